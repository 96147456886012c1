"""Thresholds in place of another service's do on the rows what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.evaluation.thresholds.transfer import TransferError, TransferReport, find_thresholds

ROWS = st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: all(0 < sum(row[i] for row in rows) < len(rows) for i in (1, 2))
)


def rates(rows: list[tuple[int, bool, bool]], threshold: float) -> tuple[int, float, float]:
    """Number, precision and recall of a threshold, the plain way."""
    flagged = [truth for score, _, truth in rows if score / 20 >= threshold]
    return len(flagged), sum(flagged) / max(1, len(flagged)), sum(flagged) / sum(x[2] for x in rows)


def find(rows: list[tuple[int, bool, bool]], resamples: int = 20) -> TransferReport:
    return find_thresholds([x[0] / 20 for x in rows], [x[1] for x in rows], [x[2] for x in rows], resamples=resamples)


@given(ROWS)
def test_thresholds_equal_those_of_a_plain_search(rows: list[tuple[int, bool, bool]]) -> None:
    report = find(rows)
    theirs = [truth for _, flagged, truth in rows if flagged]
    precision, recall = sum(theirs) / len(theirs), sum(theirs) / sum(x[2] for x in rows)
    assert (report.flagged, report.precision, report.recall) == pytest.approx((len(theirs), precision, recall))
    every = sorted({x[0] / 20 for x in rows})
    equal_precision, equal_recall, as_many = report.found
    precise = [x for x in every if rates(rows, x)[1] >= precision - 1e-9]
    if equal_precision.threshold is not None:
        assert equal_precision.threshold == precise[0]
    assert equal_recall.threshold == max(x for x in every if rates(rows, x)[2] >= recall - 1e-9)
    assert as_many.threshold == max(x for x in every if rates(rows, x)[0] >= len(theirs))
    for x in report.found:
        if x.threshold is not None:
            assert (x.flagged, x.precision, x.recall) == pytest.approx(rates(rows, x.threshold))
            assert x.low is not None
            assert x.high is not None
            assert 0 <= x.low <= x.high <= 1


def test_a_score_that_is_a_scaled_copy_has_the_scaled_threshold_inside_its_interval() -> None:
    theirs = [i / 500 for i in range(500)]
    report = find_thresholds([x * x for x in theirs], [x >= 0.8 for x in theirs])
    assert not report.decided
    for x in report.found[:1]:
        assert x.threshold == pytest.approx(0.64)
        assert x.low is not None
        assert x.high is not None
        assert 0.639 < x.low <= x.threshold <= x.high < 0.66  # only the order of rows tells
    again = find_thresholds([x * x for x in theirs], [x >= 0.8 for x in theirs])
    assert again == report


def test_what_no_threshold_does_is_out_of_reach() -> None:
    scores, flagged = [0.9, 0.5, 0.1] * 20, [False, True, False] * 20
    found = {x.aim: x.threshold for x in find_thresholds(scores, flagged).found}
    assert found["90 % of ours it flagged, too"] is None
    assert found["90 % of its flags are found"] == 0.5


@pytest.mark.parametrize("flagged", [[True, True], [False, False]])
def test_rows_of_one_kind_are_refused(flagged: list[bool]) -> None:
    with pytest.raises(TransferError, match="2 rows reach the other service's threshold"):
        find_thresholds([0.1, 0.2], flagged)
    with pytest.raises(TransferError, match="have a decision to flag"):
        find_thresholds([0.1, 0.2], [True, False], flagged)
