"""The re-runs by our own code score as the weights do."""

import numpy as np
import pytest

from benchmarks.harness.texts import make_texts
from benchmarks.peers.agreement import dense_scores
from benchmarks.peers.comparison import NO_RESTARTS
from benchmarks.peers.dense import ALONE, BATCHED, PACKED, PackedWay, build, infer_dense
from benchmarks.peers.peer import Material, Step, pad
from benchmarks.peers.report import OURS
from benchmarks.peers.run import DENSE, run_peers
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.tagger import load_tagger
from tests.tiny import tiny_checkpoint


@pytest.mark.parametrize("parts", [{}, {"stability": 3, "spans": True, "sink": True, "text_scores": {"": ("x",)}}])
def test_all_sides_are_compared_at_each_number_of_sessions(parts, tmp_path):
    made = tiny_checkpoint(**parts)
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    report = run_peers(str(tmp_path), [1, 3], [9], "last:2", repeats=2, steps=3, progress=lambda *_: None, builds=DENSE)
    assert [(row.sessions, row.side) for row in report.rows] == [
        (1, OURS), (1, NO_RESTARTS), (1, ALONE), (1, PACKED),
        (3, OURS), (3, NO_RESTARTS), (3, ALONE), (3, BATCHED), (3, PACKED),
    ]  # fmt: skip
    assert {x.format for x in report.agreement} == {"float32", "bfloat16"}
    assert not report.missing


def test_padding_changes_no_score_of_the_dense_side():
    model = tiny_checkpoint().dense_model()
    texts = [np.array(ids, np.int64) for ids in ([5, 6, 7, 8, 9], [10, 11])]
    together = dense_scores(model, pad(texts))
    for i, text in enumerate(texts):
        alone = infer_dense(model)(pad([text])).numpy()
        np.testing.assert_allclose(together[i, : len(text)], alone[0], atol=1e-5, rtol=1e-5)


def test_the_packed_side_scores_as_the_dense_ones_and_keeps_its_slots(tmp_path):
    made = tiny_checkpoint()
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    encoder = load_tagger(str(tmp_path), number_format="float32").encoder
    way = PackedWay(encoder)
    texts = [np.array(ids, np.int64) for ids in ([5, 6, 7, 8, 9], [10, 11, 12])]
    for some in (texts, texts[1:], texts):
        prepared = way.prepare(Step([], some))
        way.run(prepared)
        scores = encoder.step(prepared).logits
        dense = dense_scores(load_checkpoint(str(tmp_path)).dense_model(), pad(some))
        rows = np.concatenate([dense[i, : len(text)] for i, text in enumerate(some)])
        np.testing.assert_allclose(scores, rows, atol=1e-4, rtol=1e-4)
    assert len(way.slots) == 2


def test_without_an_encoder_there_is_no_packed_side():
    assert [x.name for x in build(Material(tiny_checkpoint(), []))] == [ALONE, BATCHED]


def test_texts_are_made_up_the_same_way_every_time_and_differ_by_session():
    texts = make_texts(8, 60)
    assert texts == make_texts(8, 60)
    assert {len(text) for text in texts} == {60}
    assert len({" ".join(text) for text in texts}) == 8
    assert make_texts(1, 60)[0] == texts[0]
