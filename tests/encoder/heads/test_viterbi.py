import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoder.heads.viterbi import NO_LABEL, Decoder, labels_to_spans
from tests.encoder.heads.reference import decode_reference
from tests.iob2 import conll_entities, strict_entities
from tests.tiny import LABELS

ODD_LABELS = ("O", "I-person", "B-person", "B-place", "B-event", "I-event")  # I before B, and a type without I


def packed(seed: int, lengths: list[int], names: tuple[str, ...]) -> tuple[NDArray[np.float32], ...]:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (sum(lengths), len(names))).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return logits, starts, random.integers(-1, len(names), len(lengths)).astype(np.int32)


def valid(names: tuple[str, ...], path: tuple[int, ...], before: int) -> bool:
    labels = [names[before] if before >= 0 else "O", *(names[i] for i in path)]
    return all(not b.startswith("I-") or a[2:] == b[2:] for a, b in itertools.pairwise(labels))


@given(st.integers(0, 2**32), st.lists(st.integers(0, 9), max_size=6), st.sampled_from([LABELS, ODD_LABELS, ("O",)]))
def test_equals_the_reference(seed, lengths, names):
    logits, starts, before = packed(seed, lengths, names)
    got, wanted = Decoder(names).decode(logits, starts, before), decode_reference(names, logits, starts, before)
    assert got.labels.tolist() == wanted.labels.tolist()
    np.testing.assert_allclose(got.probability, wanted.probability, atol=1e-6)
    np.testing.assert_allclose(got.entropy, wanted.entropy, atol=1e-5)


@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([LABELS, ODD_LABELS]))
def test_the_reference_is_the_best_valid_path(seed, length, names):
    logits, starts, before = packed(seed, [length], names)
    paths = [p for p in itertools.product(range(len(names)), repeat=length) if valid(names, p, before[0])]
    best = max(paths, key=lambda path: logits[np.arange(length), list(path)].astype(np.float64).sum())
    assert decode_reference(names, logits, starts, before).labels.tolist() == list(best)


def test_goes_on_from_the_standing_label_and_no_further():
    person, inside = LABELS.index("B-person"), LABELS.index("I-person")
    logits = np.zeros((3, len(LABELS)), np.float32)
    logits[:, inside] = 5.0
    starts = np.array([0, 1, 2, 3], np.int64)
    before = np.array([person, inside, LABELS.index("B-place")], np.int32)
    labels = Decoder(LABELS).decode(logits, starts, before).labels
    assert labels[:2].tolist() == [inside, inside]
    assert labels[2] != inside
    assert Decoder(LABELS).decode(logits[:1], starts[:2], np.array([NO_LABEL], np.int32)).labels[0] != inside


def test_doubt_of_known_rows():
    logits = np.array([[0.0] * 5, [100.0, 0, 0, 0, 0]], np.float32)
    decoded = Decoder(LABELS).decode(logits, np.array([0, 2], np.int64), np.array([NO_LABEL], np.int32))
    assert decoded.entropy.tolist() == pytest.approx([np.log(5), 0.0], abs=1e-6)
    assert decoded.probability.tolist() == pytest.approx([0.2, 1.0])


@given(st.lists(st.integers(0, len(LABELS) - 1), max_size=12))
def test_spans_are_strict_iob2(labels):
    names = [LABELS[i] for i in labels]
    wanted = strict_entities(names)
    assert labels_to_spans(labels, LABELS) == wanted
    if valid(LABELS, tuple(labels), NO_LABEL):
        assert conll_entities(names) == wanted
