from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.heads.viterbi import labels_to_spans
from stream.evaluation.metrics.chart_metrics import (
    Chart,
    character_f1,
    common_prefix_lengths,
    correction_time,
    edit_overhead,
    erased_labels,
    find_edits,
    relative_correctness,
    row_spans,
    standing_since,
)
from stream.evaluation.metrics.corpus_metrics import CorpusTally
from stream.labelling.labeller import PlanWork
from tests.iob2 import strict_f1

NAMES = ("O", "B-a", "I-a", "B-b", "I-b")
CHECKED = ["1", "12", "113", "1132", "12113", "121132", "1221311", "12113113", "121131121", "1211322311"]


def chart(rows, **more):
    """Make a chart of rows of digits."""
    return Chart([np.array([int(c) for c in row], np.int32) for row in rows], **more)


def tallied(made, gold=None):
    tally = CorpusTally(NAMES)
    tally.add(made, None if gold is None else np.array([int(c) for c in gold], np.int32))
    return tally.result()


def test_the_checked_chart():
    made = chart(CHECKED)
    edits = find_edits(made)
    assert edit_overhead(edits, 10) == pytest.approx(11 / 21)
    assert edit_overhead(edits, 10, 1) == pytest.approx(7 / 16)
    assert edit_overhead(edits, 10, 2) == pytest.approx(5 / 13)
    assert correction_time(edits, 10) == pytest.approx(0.4)
    assert relative_correctness(made) == 0.5
    assert relative_correctness(made, 1) == pytest.approx(4 / 9)
    assert relative_correctness(made, 2) == 0.5


def test_a_corpus_of_the_checked_chart_has_its_metrics():
    result = CorpusTally(("O", "B-a", "I-a", "B-b"))
    result.add(chart(CHECKED))
    found = result.result()
    assert (found.segments, found.words) == (1, 10)
    assert found.eo == pytest.approx(11 / 21)
    assert found.eo_1 == pytest.approx(7 / 16)
    assert found.eo_2 == pytest.approx(5 / 13)
    assert found.flips_per_word == pytest.approx(1.1)
    assert (found.ct, found.rc, found.rc_2) == (pytest.approx(0.4), 0.5, 0.5)
    assert found.rc_1 == pytest.approx(4 / 9)
    assert found.streaming_em is None
    assert found.words_recomputed is None


def test_a_small_corpus_worked_out_by_hand():
    """Gold is [a a] O; the second word is first O, so the span stands from the third word on: one flip."""
    work = [PlanWork("append", 1), PlanWork("append", 1), PlanWork("full", 3)]
    tally = CorpusTally(NAMES)
    tally.add(chart(["1", "10", "120"], work=work), np.array([1, 2, 0], np.int32))
    tally.add_flops(30.0, 120.0)
    found = tally.result()
    assert found.offline_em == found.offline_f1 == 1
    assert found.streaming_em == pytest.approx(2 / 3)
    assert found.streaming_f1 == pytest.approx(2 / 3)  # right 1 + 0 + 1 of 3 found and 3 wanted
    assert found.eo == pytest.approx(1 / 4)
    assert found.eo_1 == 0  # the one edit is one step late
    assert found.ct == pytest.approx(1 / 3)
    assert found.rc == pytest.approx(2 / 3)
    assert found.words_recomputed == pytest.approx(5 / 3)
    assert found.restart_rate == pytest.approx(1 / 3)
    assert found.full_restart_rate == pytest.approx(1 / 3)
    assert found.active_restarts == 1
    assert found.r_pertinence == 1  # the one revision met a wrong prefix
    assert found.r_appropriateness == 1  # and it was the only wrong prefix that could be revised
    assert found.flops_saved == pytest.approx(0.75)
    assert found.erasure == pytest.approx(1 / 3)
    assert (found.delay_p50, found.delay_p95) == (1, 1)


def test_revisions_of_right_and_wrong_prefixes():
    """Row 2 revises a right prefix (to a wrong one), row 3 leaves it, row 4 mends it."""
    found = tallied(chart(["1", "30", "300", "1000"]), "1000")
    assert found.r_pertinence == pytest.approx(1 / 2)
    assert found.r_appropriateness == pytest.approx(1 / 2)


def test_restarts_that_change_nothing_are_not_active():
    found = tallied(chart(["1", "10", "100"], work=[PlanWork("append", 1), PlanWork("local", 2), PlanWork("local", 2)]))
    assert found.restart_rate == pytest.approx(2 / 3)
    assert found.full_restart_rate == 0
    assert found.active_restarts == 0


def test_the_closing_restart_replaces_the_last_row_and_counts_as_edits():
    rows = ["1", "10", "100"]
    closed = np.array([1, 2, 0], np.int32)
    made = chart(rows, closed=closed, work=[PlanWork("append", 1)] * 3, closing=PlanWork("full", 3))
    found = tallied(made, "120")
    assert tallied(chart(rows), "120").offline_em == 0
    assert found.offline_em == 1
    assert found.streaming_em == pytest.approx(2 / 3)
    assert found.flips_per_word == pytest.approx(1 / 3)
    assert found.rc == pytest.approx(2 / 3)
    assert found.words_recomputed == 1
    assert found.closing_words == 1
    assert found.closing_rate == 1
    assert found.restart_rate == 0


def test_flips_of_rewritten_text_are_the_inputs():
    """The third update rewrites word 2: its label and its right neighbour's move with it, the left one's by itself."""
    made = chart(["1", "10", "100", "3310"], rewritten=[0, 1, 2, 1])
    edits = find_edits(made)
    assert edits.word.tolist() == [1, 2, 3]
    assert edits.by_input.tolist() == [False, True, True]
    found = tallied(made)
    assert found.flips_per_word == pytest.approx(1 / 4)
    assert found.input_flips_per_word == pytest.approx(2 / 4)


def test_a_shrink_is_no_flip_but_an_erasure():
    found = tallied(chart(["10", "1", "10"], rewritten=[0, 1, 1]))
    assert found.flips_per_word == found.input_flips_per_word == 0
    assert found.erasure == pytest.approx(1 / 2)


def test_words_that_arrive_again_are_counted_as_arrivals():
    work = [PlanWork("append", 2), PlanWork("append", 1)]
    found = tallied(chart(["10", "12"], rewritten=[0, 1], work=work))
    assert found.words_recomputed == 1
    assert found.restart_rate == 0


def test_delay_runs_from_a_spans_last_word_to_the_row_from_which_it_stands():
    rows = [[(0, 1, "a")], [(0, 2, "a")], [(0, 1, "a")], [(0, 2, "a"), (3, 4, "b")], [(0, 2, "a"), (3, 4, "b")]]
    lengths = [1, 2, 3, 4, 5]
    assert [lengths[row] - span[1] for span, row in standing_since(rows)] == [2, 0]


def test_delay_percentiles_are_delays_that_occur():
    tally = CorpusTally(NAMES)
    for late in (0, 0, 0, 4):
        rows = ["1" + "0" * i for i in range(5)] if not late else ["0" * i for i in range(1, 5)] + ["10000"]
        tally.add(chart(rows))
    found = tally.result()
    assert (found.delay_p50, found.delay_p95) == (0, 4)


def test_seen_is_the_share_of_the_words_that_had_arrived_when_a_span_came_to_stay():
    found = tallied(chart(["1", "00", "100", "1003"]))  # the first span comes, goes, and comes again
    assert (found.seen_mean, found.seen_p50, found.seen_p95) == (pytest.approx((3 / 4 + 1) / 2), 0.75, 1.0)
    by_close = tallied(chart(["1", "10"], closed=np.array([1, 2], np.int32)))
    assert by_close.seen_mean == 1.0
    assert tallied(chart(["0", "00"])).seen_mean is None


def test_empty_charts_and_empty_corpora_count_nothing():
    tally = CorpusTally(NAMES)
    tally.add(Chart([]), np.empty(0, np.int32))
    found = tally.result()
    assert (found.segments, found.eo, found.streaming_em, found.delay_p50) == (0, 0, None, None)


# Definitions, word for word, against the fast ones on charts of any kind.


@st.composite
def charts(draw, most=8):
    n = draw(st.integers(1, most))
    row = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    rows = [np.array(draw(row)[: t + 1], np.int32) for t in range(n)]
    closed = draw(st.none() | row.map(lambda labels: np.array(labels, np.int32)))
    return Chart(rows, closed=closed), np.array(draw(row), np.int32)


def plain_edits(made, d):
    """S_d, from the definition: P[t][i] with t and i from 1."""
    steps = [*enumerate(made.rows, 1)] + ([(len(made.rows), made.closed)] if made.closed is not None else [])
    return sum(
        int(row[i - 1] != before[i - 1])
        for (_, before), (t, row) in pairwise(steps)
        for i in range(1, len(before) + 1)
        if d == 0 or t - i > d
    )


@given(charts())
def test_definitions_hold_on_any_chart(case):
    made, gold = case
    n, edits = len(gold), find_edits(made)
    for d in (0, 1, 2, 3):
        s = plain_edits(made, d)
        assert edit_overhead(edits, n, d) == pytest.approx(float(Fraction(s, s + n - d)) if n > d else 0)
    rows = made.standing
    agree = [rows[t - 1].tolist() == made.final[:t].tolist() for t in range(1, n + 1)]
    assert relative_correctness(made) == pytest.approx(sum(agree) / n)
    last = [
        max([i, *(int(t) for t, w in zip(edits.step, edits.word, strict=True) if w == i)]) - i for i in range(1, n + 1)
    ]
    assert correction_time(edits, n) == pytest.approx(sum(last) / (n * (n - 1) / 2) if n > 1 else 0)


@given(charts())
def test_bounds(case):
    made, gold = case
    tally = CorpusTally(NAMES)
    tally.add(made, gold)
    found = tally.result()
    shares = [found.offline_f1, found.streaming_em, found.streaming_f1, found.eo, found.eo_1, found.eo_2]
    shares += [found.ct, found.rc, found.rc_1, found.rc_2, found.r_pertinence, found.r_appropriateness]
    assert all(share is None or 0 <= share <= 1 for share in shares)
    assert found.flips_per_word >= 0
    assert found.input_flips_per_word == 0  # nothing was rewritten
    assert (found.flips_per_word == 0) == (found.eo == 0)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_a_tagger_that_never_revises_is_calm_and_prompt(labels):
    found = tallied(chart([labels[: t + 1] for t in range(len(labels))]), labels)
    assert (found.eo, found.ct, found.flips_per_word, found.erasure) == (0, 0, 0, 0)
    assert (found.rc, found.rc_1, found.streaming_em, found.offline_em) == (1, 1, 1, 1)
    assert found.delay_p95 in (None, 0)
    assert found.r_pertinence is None


@given(st.lists(charts(), min_size=1, max_size=4))
def test_a_tally_pools_as_the_definitions_say(cases):
    tally = CorpusTally(NAMES)
    for made, gold in cases:
        tally.add(made, gold)
    found = tally.result()
    words = sum(len(gold) for _, gold in cases)
    assert found.flips_per_word == pytest.approx(sum(plain_edits(made, 0) for made, _ in cases) / words)
    assert found.eo == pytest.approx(np.mean([edit_overhead(find_edits(m), len(g)) for m, g in cases]))
    right = [m.standing[t].tolist() == g[: t + 1].tolist() for m, g in cases for t in range(len(g))]
    assert found.streaming_em == pytest.approx(np.mean(right))


@given(st.lists(charts(most=10), min_size=1, max_size=4))
def test_span_f1_is_seqevals_in_strict_iob2(cases):
    tally = CorpusTally(NAMES)
    for made, gold in cases:
        tally.add(made, gold)
    found = tally.result()

    def named(labels):
        return [NAMES[i] for i in labels]

    last = [named(made.final) for made, _ in cases]
    whole = [named(gold) for _, gold in cases]
    assert found.offline_f1 == pytest.approx(strict_f1(whole, last))
    rows = [named(row) for made, _ in cases for row in made.standing]
    clipped = [named(gold[: t + 1]) for _, gold in cases for t in range(len(gold))]
    assert found.streaming_f1 == pytest.approx(strict_f1(clipped, rows))


# Characters, and seconds.


EXTENTS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 6)).map(lambda x: (x[0], sum(x))), max_size=4)


@given(EXTENTS, EXTENTS)
def test_character_f1_is_that_of_the_task(found, wanted):
    """Da San Martino et al. 2019, from precision and recall."""
    text = range(30)
    ours = [i for i in text if any(a <= i < b for a, b in found)]
    gold = [i for i in text if any(a <= i < b for a, b in wanted)]
    if not gold:
        expected = float(not ours)
    else:
        both = [i for i in ours if i in gold]
        precision, recall = len(both) / len(ours) if ours else 0.0, len(both) / len(gold)
        expected = 2 * precision * recall / (precision + recall) if both else 0.0
    assert character_f1(found, wanted) == pytest.approx(expected)


def test_character_f1_is_the_mean_over_segments_before_and_after_closing():
    made = chart(["1"], found=[(0, 4)], closed=np.array([0], np.int32), closed_found=[])
    for kept, expected in ((made.unclosed(), (8 / 14 + 0) / 2), (made, (0 + 1) / 2)):
        tally = CorpusTally(NAMES)
        tally.add(kept, marks=[(0, 10)])
        tally.add(kept, marks=[])
        assert tally.result().character_f1 == pytest.approx(expected)
    assert tallied(chart(["1"])).character_f1 is None


def test_delay_in_seconds_runs_from_the_end_of_a_spans_last_word_to_the_update_that_settles_it():
    rows = ["1", "10", "120", "1200"]
    made = chart(rows, update_times=[1.0, 2.5, 4.0, 5.0], word_ends=[0.9, 1.5, 2.0, 3.0])
    found = tallied(made)
    assert (found.delay_p50, found.delay_mean) == (1, 1)
    assert found.delay_seconds_p50 == found.delay_seconds_p95 == found.delay_seconds_mean == 2.5
    assert tallied(chart(rows)).delay_seconds_p50 is None
    assert tallied(chart(rows, update_times=[None] * 4, word_ends=[None] * 4)).delay_seconds_mean is None


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=7), st.lists(st.integers(0, 4), max_size=7)
)
def test_rows_of_any_lengths_are_compared_as_the_definitions_say(rows, whole):
    arrays, one = [np.array(row, np.int32) for row in rows], np.array(whole, np.int32)

    def common(a, b):
        return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))

    assert common_prefix_lengths(one, arrays).tolist() == [common(whole, row) for row in rows]
    assert erased_labels(arrays) == sum(len(a) - common(a, b) for a, b in pairwise(rows))
    assert row_spans(arrays, NAMES) == [frozenset(labels_to_spans(row, NAMES)) for row in arrays]
