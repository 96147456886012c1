"""Peers are worth a comparison only if they do all of the work, and all of the same."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.peers import onnx, openvino, spacy
from benchmarks.peers import transformers as hugging
from benchmarks.peers.agreement import check_peers, dense_scores
from benchmarks.peers.bert_weights import NoBert, dense_twin, make_bert
from benchmarks.peers.comparison import NO_RESTARTS
from benchmarks.peers.debounce import EVERY_WORD, THIRD_WORD, TIMER, count_runs, speech
from benchmarks.peers.peer import (
    Batches,
    Material,
    MissingPackages,
    Peer,
    PeerFormat,
    PeerMismatch,
    Step,
    build_peers,
    pad,
)
from benchmarks.peers.report import OURS
from benchmarks.peers.run import run_peers
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import tiny_checkpoint

TEXTS = [np.array(ids, np.int64) for ids in ([5, 6, 7, 8, 9, 10, 11], [12, 13], [14], [9, 8, 7, 6, 5])]
MATERIAL = Material(tiny_checkpoint(stability=8), TEXTS)


def none(*_):
    return None


@pytest.fixture(scope="module")
def bert():
    return make_bert(MATERIAL.checkpoint)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.lists(st.integers(5, 60), min_size=1, max_size=40), min_size=1, max_size=5))
def test_transformers_scores_are_those_of_our_weights(bert, texts):
    batch = pad([np.array(ids, np.int64) for ids in texts])
    ours = dense_scores(dense_twin(MATERIAL.checkpoint), batch)
    with torch.inference_mode():
        theirs = bert(input_ids=torch.from_numpy(batch.ids), attention_mask=torch.from_numpy(batch.mask)).logits
    seen = batch.mask.astype(bool)
    np.testing.assert_allclose(theirs.numpy()[seen], ours[seen], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("module", "packages", "formats"),
    [
        (hugging, ("transformers",), {"float32"}),
        (onnx, ("onnx", "onnxruntime", "sympy"), {"float32", "int8", "int8 with fused layers"}),
        (openvino, ("openvino", "nncf"), {"float32", "int8"}),
    ],
)
def test_a_neural_peer_has_the_scores_of_its_weights_in_every_format(module, packages, formats):
    for package in packages:
        pytest.importorskip(package, reason=f"{package} comes with the extra `peers`")
    made = build_peers({"it": module.build}, MATERIAL, none)
    assert not made.missing
    found = check_peers(made.peers, dense_twin(MATERIAL.checkpoint), TEXTS)
    assert {x.format for x in found} - {"bfloat16", "int8 and bfloat16"} == formats
    assert all(x.error <= x.allowed for x in found)


def test_spacy_runs_texts_to_entities():
    pytest.importorskip("spacy", reason="spacy comes with the extra `peers`")
    (peer,) = spacy.build(MATERIAL)
    (way,) = peer.ways
    way.run(way.prepare(Step(["we met ms rice", "in rome"], TEXTS[:2])))


def test_a_peer_with_other_weights_is_not_measured():
    other = tiny_checkpoint(seed=1, stability=8)
    (alone, _) = hugging.build(Material(other, TEXTS))
    with pytest.raises(PeerMismatch, match="one by one in float32"):
        check_peers([alone], dense_twin(MATERIAL.checkpoint), TEXTS)


def test_a_peer_that_gives_no_numbers_is_not_measured():
    wrong = PeerFormat("float32", lambda batch: np.full((*batch.ids.shape, 5), np.nan), 0.1)
    with pytest.raises(PeerMismatch):
        check_peers([Peer("it", "1", "", [Batches(wrong, 1)])], dense_twin(MATERIAL.checkpoint), TEXTS)


def test_an_encoder_that_is_no_bert_is_refused():
    with pytest.raises(NoBert, match="whose encoder is a BERT"):
        make_bert(tiny_checkpoint(embedding=16))


@pytest.mark.parametrize("module", [hugging, onnx, openvino, spacy])
def test_a_peer_that_is_not_installed_is_left_out_and_says_what_to_install(module, monkeypatch):
    package = module.PACKAGES.split()[0]
    monkeypatch.setitem(importlib.sys.modules, package, None)
    with pytest.raises(MissingPackages, match=f"pip install {module.PACKAGES}"):
        module.build(MATERIAL)
    found = build_peers({"it": module.build}, MATERIAL, none)
    assert not found.peers
    assert found.missing == {"it": f"pip install {module.PACKAGES}"}


@pytest.mark.parametrize("most", [1, 2, None])
def test_batches_hold_every_token_once(most):
    batches = Batches(PeerFormat("float32", none, 0.1), most).prepare(Step([], TEXTS))
    held = [row[seen.astype(bool)].tolist() for batch in batches for row, seen in zip(*batch, strict=True)]
    assert sorted(held) == sorted(text.tolist() for text in TEXTS)
    assert all(len(batch.ids) <= (most or len(TEXTS)) for batch in batches)


class Recorded:
    """A way that notes what it ran."""

    def __init__(self, name, work=0):
        self.name, self.work, self.ran = name, work, []

    def differs(self, texts):
        return True

    def prepare(self, step):
        return step.texts

    def run(self, texts):
        self.ran.append(texts)
        sum(range(self.work))


def test_all_sides_say_the_same_words_in_turns(tmp_path):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    slow, fast = Recorded("slow", 300_000), Recorded("fast")
    builds = {
        "it": lambda _: [Peer("it", "1", "given", [slow, fast], sessions=2)],
        "absent": lambda _: (_ for _ in ()).throw(MissingPackages("pip install absent")),
    }
    told = []
    report = run_peers(
        str(tmp_path), [1, 3], [9], "last:2", repeats=2, steps=3, progress=lambda *x: told.append(x), builds=builds
    )
    assert [(x.words, x.sessions, x.side, x.way) for x in report.rows] == [
        (9, 1, OURS, ""), (9, 1, NO_RESTARTS, ""), (9, 1, "it", "fast"),
        (9, 3, OURS, ""), (9, 3, NO_RESTARTS, ""), (9, 3, "it", "fast"),
    ]  # fmt: skip
    assert report.missing == {"absent": "pip install absent"}
    assert len(slow.ran) == 2 * 3  # tried only
    words = [[len(text.split()) for text in texts] for texts in fast.ran[-3:]]
    assert words == [[2, 2], [5, 5], [8, 8]]  # of three sessions two; the middles of three thirds of nine words
    for row in report.rows:
        assert 0 < row.slowest <= row.words_per_second <= row.fastest
        assert 0 < row.p50_ms <= row.p99_ms
        assert row.steps == (3 if row.side == "it" else 9)
    ours, causal, theirs = report.rows[:3]
    assert causal.open_words_per_second == causal.words_per_second  # it does not close
    assert ours.open_words_per_second > ours.words_per_second  # closing takes time
    assert theirs.open_words_per_second == theirs.words_per_second
    assert report.ratios(ours) is None
    assert report.ratios(theirs)[0] == ours.words_per_second / theirs.words_per_second
    shares = [share for _, share in told]
    assert shares == sorted(shares)


def test_a_debounced_re_run_costs_less_and_is_late():
    segments = [([0.0, 0.1, 0.5, 0.6, 2.0], 2.2)]
    assert count_runs(EVERY_WORD, segments) == (6 / 5, 0.0, 0.0, 0.0)  # and one when the segment closes
    third = count_runs(THIRD_WORD, segments)
    assert third.runs_a_word == 2 / 5  # at .5 and at the close
    assert third.late_ms == pytest.approx(1000 * (0.5 + 0.4 + 0.0 + 1.6 + 0.2) / 5)
    assert third.words_behind == (2 + 1 + 0 + 1 + 0) / 5 or third.words_behind == (0 + 1 + 2 + 0 + 1) / 5
    timer = count_runs(TIMER, segments)
    assert timer.runs_a_word == 3 / 5  # at .3, at .8, and at the close, which comes before 2.3
    assert timer.late_ms == pytest.approx(1000 * (0.3 + 0.2 + 0.3 + 0.2 + 0.2) / 5)


def test_the_speech_of_the_sizing_table_is_that_of_live_speakers():
    words = [len(times) for times, closed in speech()]
    assert all(times == sorted(times) and closed > times[-1] for times, closed in speech())
    assert 1 <= min(words) <= max(words) <= 60
    every, third = (count_runs(rule, list(speech())) for rule in (EVERY_WORD, THIRD_WORD))
    assert 2 < every.runs_a_word / third.runs_a_word < 3.5
