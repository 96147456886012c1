"""Scores to what stands, in one call: what decoder and stability head say one after the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.heads.reader import (
    AFTER,
    BEFORE,
    BY_INPUT,
    BY_MODEL,
    FIRST,
    NOT_GROWN,
    ROW,
    SPANS_UNCHANGED,
    STOOD,
    WORDS,
    HeadReader,
    ReadWords,
)
from encoder.heads.stability_head import FEATURES, HeadStability, StabilityWeights
from encoder.heads.viterbi import NO_LABEL, Decoder
from encoder.heads.word_record import WORD
from tests.encoder.heads.reference import predict

LABELS = ("O", "B-person", "I-person", "B-place", "I-place")
UNITS = 8


def stability(labels: int, units: int) -> HeadStability:
    if not units:
        return HeadStability(None, labels, 1.3, -0.2)
    rng = np.random.default_rng(labels)
    sizes = (labels, units), (units, FEATURES), (2, units), (2,)
    head = StabilityWeights(*(rng.normal(0, 0.7, size).astype(np.float32) for size in sizes))
    return HeadStability(head, labels, 1.3, -0.2)


SIDES = {
    (labels, units): (Decoder(LABELS[:labels]), stability(labels, units)) for labels in (1, 5) for units in (0, UNITS)
}


class Case:
    """Random segments: each had words, has words, and is read from some word on."""

    def __init__(self, seed: int, sizes: list[tuple[int, int, int, int]], labels: int, units: int) -> None:
        rng = np.random.default_rng(seed)
        self.segments = np.zeros((len(sizes), 7), np.int64)
        old = new = row = 0
        for i, (stood, words, first, changed) in enumerate(sizes):
            first = min(first, stood, words)
            changed = min(changed, stood, words) if changed < 8 else NOT_GROWN
            self.segments[i] = stood, old, words, new, first, row - first, changed
            old, new, row = old + stood, new + words, row + words - first
        self.columns = rng.normal(0, 3, (row, labels + units)).astype(np.float32)
        self.before = np.zeros(old, WORD)
        self.before["labels"] = rng.integers(0, labels, old) * rng.integers(0, 2, old)
        for name in ("probability", "entropy", "base", "drift"):
            self.before[name] = rng.random(old)
        self.before["seen"] = rng.integers(1, 9, old)
        self.after = np.zeros(new, WORD)


CASES = st.builds(
    Case,
    st.integers(0, 1 << 32),
    st.lists(st.tuples(*(st.integers(0, 8) for _ in range(4))), min_size=1, max_size=6),
    st.sampled_from([1, 5]),
    st.sampled_from([0, UNITS]),
)


def sides(case: Case) -> tuple[Decoder, HeadStability]:
    units = case.columns.shape[1] % UNITS != case.columns.shape[1]
    return SIDES[case.columns.shape[1] - units * UNITS, units * UNITS]


@given(CASES)
def test_reading_is_decoding_and_settling(case):
    decoder, settle = sides(case)
    HeadReader(decoder, settle).read(case.columns, case.segments, case.before, case.after)
    for stood, old, words, new, first, row, _ in case.segments.tolist():
        before, after = case.before[old : old + stood], case.after[new : new + words]
        assert after[:first].tobytes() == before[:first].tobytes(), "what is not read stands"
        scores = case.columns[row + first : row + words]
        left = np.array([before["labels"][first - 1] if first else NO_LABEL], np.int32)
        decoded = decoder.decode(scores[:, : settle.labels], np.array([0, len(scores)]), left)
        right = np.arange(len(scores), dtype=np.int32)[::-1]
        settled = predict(settle, scores, decoded.labels, decoded.probability, decoded.entropy, right)
        read = after[first:]
        assert read["labels"].tolist() == decoded.labels.tolist()
        assert read["seen"].tolist() == [words] * len(scores)
        for name, wanted in (("probability", decoded.probability), ("entropy", decoded.entropy)):
            assert read[name].tolist() == wanted.tolist()
        for name, wanted in (("base", settled.base), ("drift", settled.drift)):
            assert read[name] == pytest.approx(wanted, abs=1e-5, rel=1e-5)


@given(CASES)
def test_nothing_depends_on_what_is_read_together(case):
    reader = HeadReader(*sides(case))
    changes = reader.read(case.columns, case.segments, case.before, case.after)
    for i in range(len(case.segments)):
        alone = np.zeros_like(case.after)
        assert (reader.read(case.columns, case.segments[i : i + 1], case.before, alone) == changes[i]).all()
        words, new = case.segments[i, 2:4]
        assert alone[new : new + words].tobytes() == case.after[new : new + words].tobytes()


@given(CASES, st.integers(0, 63))
def test_words_that_were_read_elsewhere_become_the_same_records(case, given):
    """Those of some segments, as a device gives them; the others are decoded."""
    reader = HeadReader(*sides(case))
    changes = reader.read(case.columns, case.segments, case.before, case.after)
    rows, values = np.full(len(case.segments), -1), []
    for i, (_, _, words, new, first, _, _) in enumerate(case.segments.tolist()):
        if given >> i & 1:
            rows[i] = sum(map(len, values))
            names = ("labels", "probability", "entropy", "base", "drift")
            values.append(np.stack([case.after[name][new + first : new + words] for name in names], 1))
    read = ReadWords(rows, np.concatenate([np.zeros((0, 5)), *values]).astype(np.float32))
    after = np.zeros_like(case.after)
    assert (reader.read(case.columns, case.segments, case.before, after, read) == changes).all()
    assert after.tobytes() == case.after.tobytes()


@pytest.mark.parametrize(
    ("column", "value"), [(FIRST, -1), (FIRST, 1), (FIRST, 3), (WORDS, 6), (BEFORE, 1), (AFTER, 1), (STOOD, 3)]
)
def test_words_that_were_read_elsewhere_must_be_there(column, value):
    """Two words stood and five are, of which the last three were read; one number of that is wrong."""
    columns, before, after = np.zeros((0, 5), np.float32), np.zeros(2, WORD), np.zeros(5, WORD)
    segments, read = (
        np.array([[2, 0, 5, 0, 2, 0, 2]], np.int64),
        ReadWords(np.zeros(1, np.int64), np.zeros((3, 5), "f")),
    )
    HeadReader(*SIDES[5, 0]).read(columns, segments, before, after, read)
    segments[0, column] = value
    with pytest.raises(IndexError, match="words"):
        HeadReader(*SIDES[5, 0]).read(columns, segments, before, after, read)


@given(CASES)
def test_changes_are_what_comparing_finds(case):
    changes = HeadReader(*sides(case)).read(case.columns, case.segments, case.before, case.after)
    for (stood, old, words, new, _, _, changed), found in zip(case.segments.tolist(), changes.tolist(), strict=True):
        before, after = case.before["labels"][old : old + stood], case.after["labels"][new : new + words]
        if changed == NOT_GROWN:
            assert found == [0, 0, 0]
            continue
        both = min(stood, words)
        flipped = before[:both] != after[:both]
        assert found[BY_MODEL] == flipped[:changed].sum()
        assert found[BY_INPUT] == flipped[changed:].sum()
        is_quiet = not flipped[:changed].any() and not before[changed:].any() and not after[changed:].any()
        assert found[SPANS_UNCHANGED] == is_quiet


@pytest.mark.parametrize(
    ("column", "value"),
    [(ROW, -5), (ROW, -1), (ROW, 2), (FIRST, -1), (FIRST, 3), (WORDS, 6), (BEFORE, 1), (AFTER, 1), (STOOD, 3)],
)
def test_what_lies_outside_is_refused(column, value):
    """Two words stood and five are, of which the last three are read; one number of that is wrong."""
    decoder, settle = SIDES[5, 0]
    columns, before, after = np.zeros((3, 5), np.float32), np.zeros(2, WORD), np.zeros(5, WORD)
    segments = np.array([[2, 0, 5, 0, 2, -2, 2]], np.int64)
    HeadReader(decoder, settle).read(columns, segments, before, after)
    segments[0, column] = value
    with pytest.raises(IndexError, match="words"):
        HeadReader(decoder, settle).read(columns, segments, before, after)
