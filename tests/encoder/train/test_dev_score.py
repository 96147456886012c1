"""Dev scores of the dense model are those of live sessions."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.dense import HybridModel
from encoder.runtime.encoder import HybridEncoder
from encoder.session.closed_context import WindowRules
from encoder.session.pool import SessionPool, run_plans
from encoder.train.config import AugmentConfig, TextSource
from encoder.train.data.batches import WordPieces
from encoder.train.data.sequence import TextSequence
from encoder.train.data.text import LabelledCorpus
from encoder.train.stages import dev_score
from encoder.train.stages.dev_score import DevScore, score_dev
from tests.tiny import LABELS, tiny_checkpoint

CHECKPOINT, SUNK, MARKED = tiny_checkpoint(), tiny_checkpoint(sink=True), tiny_checkpoint(segment_starts=True)
VOCABULARY = ("we", "met", "rice", "in", "paris", "xu", "peru", "o'neil")


def texts(seed: int, count: int) -> list[TextSequence]:
    """Texts of one document; at most 8 tokens each, so that no window is ever full within one."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        words = tuple(rng.choice(VOCABULARY[:-1]) for _ in range(rng.randint(1, 4)))
        rows.append(TextSequence("d", words, tuple(rng.choice(("O", "B-person", "?")) for _ in words)))
    return rows


@given(st.integers(0, 1000), st.integers(1, 20), st.sampled_from([CHECKPOINT, SUNK, MARKED]))
def test_the_dense_layout_gives_the_scores_of_live_sessions(seed: int, count: int, checkpoint: Checkpoint) -> None:
    """Windows slide and contexts are re-anchored: with an attention sink, with marks of segments and without."""
    session = texts(seed, count)
    model, config = checkpoint.dense_model(), checkpoint.config
    pieces = WordPieces(checkpoint.tokenizer, LABELS)
    encoder = HybridEncoder(checkpoint, max_sessions=1, kernels="torch", number_format="float32")
    pool = SessionPool(encoder, max_sessions=1, starts_word=pieces.starts_word)
    live = pool.open_session()
    rules = WindowRules(config.positions, config.window, pieces.starts_word, config.start_mark)
    wanted = []
    for number, x in enumerate(session):
        ids = pieces.sentence(x.words, x.tags, 0).ids.astype(np.int32)
        assert len(ids) <= 8
        plan = live.plan_update(number, ids, 0, 0)
        run_plans(pool, [plan])
        (rows,) = run_plans(pool, [live.plan_close(number)])
        wanted.append((rows or plan.rows())[0].logits[:, : len(LABELS)])
    got = []
    for x in dev_score._lay_out(session, pieces, AugmentConfig(), 0, rules):
        with torch.inference_mode():
            scores = model(*dev_score._padded([x]))[0].numpy()
        got += [scores[(x.segment == n) & (x.read > 0)] for n in np.unique(x.segment[x.read > 0])]
    assert len(got) == len(wanted)
    for mine, its in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, its, atol=2e-4)


def test_scores_count_exact_spans_and_skip_what_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows two words, on text in which one of its spans is of unknown label and one lacks its title."""
    model = HybridModel(CHECKPOINT.config)
    pieces = WordPieces(CHECKPOINT.tokenizer, LABELS)
    labels = {pieces.units(w)[0][-1]: i for w, i in (("rice", 1), ("paris", 3), ("ms", 1))}

    def hidden_states(ids: torch.Tensor, *_: torch.Tensor) -> list[torch.Tensor]:
        scores = torch.zeros(*ids.shape, len(LABELS))
        for token, label in labels.items():
            scores[..., label] += 9.0 * (ids == token)
        return [scores]

    monkeypatch.setattr(model, "hidden_states", hidden_states)
    monkeypatch.setattr(model, "head", torch.nn.Identity())
    rows = [
        TextSequence("", ("rice", "in", "paris"), ("B-person", "O", "B-place")),
        TextSequence("", ("paris", "met", "rice"), ("?", "O", "O")),
        TextSequence("", ("we", "met", "xu"), ("O", "O", "B-place")),
    ]
    sources = (TextSource(path="a/x", known=("person", "place")), TextSource(path="b/x", known=("person",)))
    dev = LabelledCorpus(sources, [rows, rows], (0, 0))
    scores = score_dev(model, pieces, dev, ("alone", "session"), ("spoken",))
    assert [x.name for x in scores] == ["a spoken alone", "a spoken session", "b spoken alone", "b spoken session"]
    for one, two in pairwise(scores[:2]):
        assert (one.found.total(), one.gold.total(), one.right.total()) == (3, 3, 2)
        assert (one.found, one.gold, one.right) == (two.found, two.gold, two.right)
    assert scores[0].f1 == pytest.approx(100 * 2 * 2 / 6)
    assert scores[0].recall() == {"person": 100.0, "place": 50.0}
    assert (scores[2].found.total(), scores[2].gold.total()) == (2, 1)


def test_sentence_ends_count_with_either_mark_and_at_any_word() -> None:
    names = ("O", *(f"{mark}-{kind}" for kind in ("period", "question", "comma") for mark in "BI"))
    words = ["we", "do", "this", ".", "that", "'", "s", "it", "so"]
    gold = [0, 0, 1, 0, 3, 0, 0, 5, -100]
    read = [0, 0, 3, 0, 0, 0, 0, 5, 1]
    row = DevScore("set", 0)
    dev_score._compare(np.array(read, np.int32), np.array(gold), words, names, row, None)
    assert row.ends == {"found": 1, "gold": 2, "right": 1}, "this and that are no names, and may end a sentence"
    assert row.marks() == {"ends": pytest.approx(200 / 3), "commas": 100.0}
    assert str(row) == "set: F1 40.00, ends 66.67, commas 100.00"
    assert DevScore("names", 0, gold=Counter(person=1)).marks() == {}
