import numpy as np
import torch

from benchmarks.dense import ALONE, BATCHED, OURS, PACKED, dense_batch, fastest_model, make_texts, run_bench
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.runtime.passes import Pass
from encoder.tagger import load_tagger
from tests.tiny import tiny_checkpoint


def test_a_bench_compares_all_sides_at_each_number_of_sessions(tmp_path):
    made = tiny_checkpoint()
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    report = run_bench(str(tmp_path), [1, 3], words=9, policy="last:2", repeats=2)
    assert [(row.sessions, row.side) for row in report.rows] == [
        (count, side) for count in (1, 3) for side in (OURS, ALONE, BATCHED, PACKED)
    ]
    for row in report.rows:
        assert 0 < row.slowest <= row.words_per_second <= row.fastest
        assert 0 < row.p50_ms <= row.p99_ms
    ours, alone = report.rows[:2]
    assert ours.ratio is None
    assert alone.ratio == ours.words_per_second / alone.words_per_second


def test_padding_changes_no_score_of_the_dense_side():
    model = tiny_checkpoint().dense_model()
    texts = [torch.tensor([5, 6, 7, 8, 9]), torch.tensor([10, 11])]
    with torch.inference_mode():
        together = model(*dense_batch(texts))
        for i, text in enumerate(texts):
            torch.testing.assert_close(together[i, : len(text)], model(*dense_batch([text]))[0], atol=1e-5, rtol=1e-5)


def test_the_packed_side_scores_as_the_dense_ones(tmp_path):
    made = tiny_checkpoint()
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    encoder = load_tagger(str(tmp_path), number_format="float32").encoder
    slot, ids = encoder.open_slot(), np.array([5, 6, 7, 8, 9], np.int32)
    scores = encoder.step([Pass(slot, 0, ids, 0, 0)]).logits
    with torch.inference_mode():
        dense = load_checkpoint(str(tmp_path)).dense_model()(*dense_batch([torch.from_numpy(ids).long()]))[0]
    torch.testing.assert_close(torch.from_numpy(scores), dense, atol=1e-4, rtol=1e-4)


def test_the_dense_side_runs_in_a_format_this_machine_has():
    model, name = fastest_model(tiny_checkpoint().dense_model())
    assert {str(weight.dtype) for weight in model.parameters()} == {f"torch.{name}"}


def test_texts_are_made_up_the_same_way_every_time_and_differ_by_session():
    texts = make_texts(8, 60)
    assert texts == make_texts(8, 60)
    assert {len(text) for text in texts} == {60}
    assert len({" ".join(text) for text in texts}) == 8
    assert make_texts(1, 60)[0] == texts[0]
