"""Text scores in training: what is read, how examples carry them, pooling, loss, calibration and a whole run."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.heads.text_scores import TextScores
from encoder.model.config import ConfigError
from encoder.train.config import AugmentConfig, StageConfig, TextSource, read_train_config
from encoder.train.data.batches import WordPieces, cut_to_prefix, make_batches, make_examples
from encoder.train.data.sequence import TextSequence
from encoder.train.data.text import read_source, score_names
from encoder.train.run import run_training
from encoder.train.stages.scaling import fit_scale
from encoder.train.stages.text_scores import pool_segments
from encoder.train.start import load_start
from tests.encoder.train.samples import tokenizer
from tests.tiny import tiny_checkpoint, tiny_config


def test_scores_are_read_from_rows_and_from_labels(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"text": "you fool", "labels": {"toxic": 1, "threat": 0, "other": 1}}\n'
        '{"text": "nice day", "votes": {"toxic": 0.25}, "label": "fine"}\n{"text": "hm"}\n'
    )
    source = TextSource(
        path=str(path),
        scores={"toxic": "toxicity", "threat": "threat"},
        label_scores={"*": {"threat": 0.5}, "fine": {"insult": 0.0}},
        spans_known=False,
    )
    rows = read_source(source)
    assert [dict(row.scores or ()) for row in rows] == [
        {"toxicity": 1.0, "threat": 0.0},
        {"toxicity": 0.25, "threat": 0.5, "insult": 0.0},
        {"threat": 0.5},
    ]
    assert {tag for row in rows for tag in row.tags} == {"?"}
    assert score_names(rows) == ("threat", "toxicity", "insult")
    assert [row.document == "" for row in rows] == [True, True, False]
    path.write_text('{"text": "a", "label": "x", "doc": "d"}\n{"text": "b", "spans": []}\n{"text": "c"}\n')
    assert [row.document.rpartition("/")[2] for row in read_source(source)] == ["x.jsonl:d", "", "x.jsonl"]


def test_a_score_out_of_range_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "you", "labels": {"toxic": 3}}\n')
    with pytest.raises(ConfigError, match=r"line 1: score 'toxic' must be a number from 0 to 1, not 3"):
        read_source(TextSource(path=str(path), scores={"toxic": "toxicity"}))


def _sequence(words: str, **scores: float) -> TextSequence:
    split = tuple(words.split())
    return TextSequence("", split, ("O",) * len(split), scores=tuple(scores.items()) or None)


def test_segments_carry_their_own_scores() -> None:
    pieces = WordPieces(tokenizer(), ("O",), ("O",), text_scores=[("a",), ("b", "c")])
    both = [[_sequence("met rice", a=1)], [_sequence("paris", b=0.5), _sequence("met")]]
    found = make_examples(pieces, both, AugmentConfig(), 20, random.Random(1), [0, 1])
    expected = [[1, np.nan, np.nan], [np.nan, 0.5, np.nan], [np.nan] * 3]
    assert np.array_equal(np.concatenate([x.scores for x in found]), np.array(expected, np.float32), equal_nan=True)


def test_a_text_that_is_cut_has_no_score() -> None:
    pieces = WordPieces(tokenizer(), ("O",), text_scores=[("a",)])
    (example,) = make_examples(pieces, [[_sequence("met rice paris", a=1)]], AugmentConfig(), 50, random.Random(1))
    cuts = [cut_to_prefix(example, random.Random(i)) for i in range(20)]
    assert {(len(x.ids) == len(example.ids), bool(np.isnan(x.scores[0, 0]))) for x in cuts} == {
        (True, False),
        (False, True),
    }
    (short,) = make_examples(pieces, [[_sequence("met rice paris", a=1)]], AugmentConfig(), 1, random.Random(1))
    assert len(short.ids)
    assert np.isnan(short.scores).all()


@given(st.data())
def test_pooling_in_training_is_the_live_kernel(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=3))
    segments = max(map(len, lengths))
    longest = max(map(sum, lengths)) + 2
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    columns = rng.normal(size=(len(lengths), longest, 4)).astype(np.float32)
    segment = np.full((len(lengths), longest), -1)
    for row, parts in enumerate(lengths):
        segment[row, : sum(parts)] = np.repeat(np.arange(len(parts)), parts)
    found = pool_segments(torch.from_numpy(columns), torch.from_numpy(segment), segments).sigmoid().numpy()
    head = TextScores(("a", "b"), 0)
    for row, parts in enumerate(lengths):
        for number in range(len(parts)):
            assert found[row, number] == pytest.approx(head.pool(columns[row][segment[row] == number]), abs=1e-5)


def test_a_batch_has_the_scores_of_its_segments() -> None:
    pieces = WordPieces(tokenizer(), ("O",), text_scores=[("a",)])
    texts = [[_sequence("met rice", a=1), _sequence("paris", a=0)]]
    examples = make_examples(pieces, texts, AugmentConfig(), 50, random.Random(1))
    (batch,) = make_batches(examples, tiny_config(), StageConfig(epochs=1, blocks="one"), random.Random(1))
    assert sorted(batch.scores.flatten().tolist()) == [0, 1]
    words = [len(x.words) for x in texts[0]]
    assert sorted((batch.segment >= 0).sum(dim=1).tolist()) == sorted(words)


def test_the_fitted_scale_gives_probabilities() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(size=4000) * 2
    wanted = (rng.random(4000) < 1 / (1 + np.exp(-true))).astype(float)
    scale, shift = fit_scale((true - 1) / 0.5, wanted)
    assert (scale, shift) == pytest.approx((0.5, 1), abs=0.15)
    assert fit_scale(true, np.zeros(4000)) == (1.0, 0.0)


def test_a_run_learns_text_scores_and_keeps_the_heads_it_starts_from(tmp_path: Path) -> None:
    start = tiny_checkpoint(labels=("O",), taggers={"names": ("O", "B-x", "I-x"), "old": ("O", "B-y", "I-y")})
    save_checkpoint(tmp_path / "start", start.config, start.weights, start.tokenizer)
    kinds = ("met paris", 1), ("rice", 0)
    rows = [{"text": text, "labels": {"rude": rude}, "doc": f"{text} {i}"} for i in range(30) for text, rude in kinds]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "names.conll").write_text("met\tO\nparis\tB-x\n\n" * 20)
    config = tmp_path / "run.toml"
    config.write_text(f"""
out = "{tmp_path}/out"
start = "{tmp_path}/start"
[tagger]
epochs = 30
lr = 1e-2
augment = {{ sessions = true }}
[stability]
held = 0.3
epochs = 1
[[train]]
tagger = "talk"
path = "{tmp_path}/talk.jsonl"
scores = {{ rude = "rude" }}
spans_known = false
[[train]]
tagger = "names"
path = "{tmp_path}/names.conll"
[[dev]]
tagger = "talk"
path = "{tmp_path}/talk.jsonl"
scores = {{ rude = "rude" }}
""")
    found = load_checkpoint(str(run_training(read_train_config(config))))
    assert found.config.taggers == {"talk": ("O",), "names": ("O", "B-x", "I-x")}
    assert found.config.text_scores == {"talk": ("rude",)}
    note = (tmp_path / "out" / "tagger.jsonl").read_text()
    found = re.findall(r"rude AUC ([\d.]+)", note)  # bf16 or not: what is faster depends on the moment
    assert float(found[-1]) > 90


def test_a_start_may_lie_between_two_checkpoints(tmp_path: Path) -> None:
    taggers = {"names": ("O", "B-x", "I-x")}
    made = [tiny_checkpoint(seed, labels=("O",), taggers=taggers, text_scores={"names": ("a",)}) for seed in (1, 2)]
    for name, checkpoint in zip("pq", made, strict=True):
        save_checkpoint(tmp_path / name, checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    one, two = (load_checkpoint(str(tmp_path / name)).tensors() for name in "pq")
    model, _ = load_start(str(tmp_path / "p"), made[0].config, blend=str(tmp_path / "q"), share=0.25)
    for name, weight in model.state_dict().items():
        if name != "word.weight":  # which is rounded to 8 bits
            torch.testing.assert_close(weight, 0.75 * one[name] + 0.25 * two[name])
    other = tiny_checkpoint(labels=("O", "B-y"))
    save_checkpoint(tmp_path / "r", other.config, other.weights, other.tokenizer)
    with pytest.raises(ConfigError, match="needs a start of the same shape"):
        load_start(str(tmp_path / "p"), made[0].config, blend=str(tmp_path / "r"))
