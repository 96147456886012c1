"""Scores of whole texts: the kernel against the formula, and the columns of a checkpoint with several heads."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import head_columns, load_checkpoint, save_checkpoint
from encoder.heads.text_scores import TextScores
from encoder.model.config import ConfigError, HybridConfig
from encoder.tagger import make_heads
from tests.tiny import LABELS, tiny_checkpoint

TAGGERS = {"names": LABELS, "talk": ("O", "B-rude", "I-rude")}
SCORES = {"talk": ("rude", "threat"), "names": ("newsworthy",)}


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 3), st.integers(0, 1000))
def test_the_kernel_is_the_formula(words: int, names: int, first: int, seed: int) -> None:
    columns = np.random.default_rng(seed).normal(size=(words, first + 2 * names + 1)).astype(np.float32) * 3
    found = TextScores(tuple(map(str, range(names))), first).pool(columns)
    values, weights = np.split(columns[:, first : first + 2 * names].astype(np.float64), 2, axis=1)
    shares = np.exp(weights) / np.exp(weights).sum(axis=0)
    assert found == pytest.approx(1 / (1 + np.exp(-(shares * values).sum(axis=0))), abs=1e-6)


@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 4), st.integers(0, 1000))
def test_a_text_has_the_same_scores_whatever_is_pooled_with_it(lengths: list[int], names: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    texts = [random.normal(size=(n, 3 + 2 * names)).astype(np.float32) * 3 for n in lengths]
    scores = TextScores(tuple(map(str, range(names))), 1)
    together = scores.pool_texts(texts)
    assert together.shape == (len(texts), names)
    assert [x.tobytes() for x in together] == [scores.pool(x).tobytes() for x in texts]


@pytest.mark.parametrize("stability", [0, 3])
def test_every_head_has_its_own_columns_and_a_single_head_keeps_them(stability: int, tmp_path: Path) -> None:
    made = tiny_checkpoint(labels=("O",), taggers=TAGGERS, text_scores=SCORES, stability=stability)
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    checkpoint = load_checkpoint(str(tmp_path))
    weight, bias = head_columns(checkpoint.config, checkpoint.weights)
    assert len(weight) == len(bias) == checkpoint.config.columns
    names, talk = make_heads(checkpoint)
    assert names.text_scores is not None
    assert talk.text_scores is not None
    assert (names.text_scores.names, talk.text_scores.names) == (SCORES["names"], SCORES["talk"])
    assert (talk.first, talk.text_scores.end) == (names.text_scores.end, checkpoint.config.columns)
    own = weight[talk.text_scores.first : talk.text_scores.end]
    assert (own == checkpoint.weights["text_scores.1.weight"]).all()

    alone = checkpoint.single_head("talk")
    (head,) = make_heads(alone)
    columns = head_columns(alone.config, alone.weights)
    assert (columns[0] == weight[talk.first : talk.text_scores.end]).all()
    assert (columns[1] == bias[talk.first : talk.text_scores.end]).all()
    assert head.text_scores is not None
    assert head.text_scores.names == SCORES["talk"]


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({"nobody": ("x",)}, "no tagger of the checkpoint"),
        ({"": ()}, "1 to 256"),
        ({"": ("x", "x")}, "repeat"),
        ({"": ("",)}, "characters"),
    ],
)
def test_wrong_names_are_refused(scores: dict[str, tuple[str, ...]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        HybridConfig(labels=LABELS, text_scores=scores)


def test_a_configuration_without_text_scores_has_the_identity_that_it_always_had() -> None:
    assert b"text_scores" not in HybridConfig(labels=LABELS).identity_bytes()
    assert b"text_scores" in HybridConfig(labels=LABELS, text_scores={"": ("rude",)}).identity_bytes()
