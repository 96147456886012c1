"""The rank formula is the count of pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.train.ranking import rank_auc


@given(st.lists(st.tuples(st.sampled_from([-2.0, 0.1, 0.5, 3.0]), st.booleans()), max_size=30))
def test_auc_counts_pairs_and_ties_by_halves(rows: list[tuple[float, bool]]) -> None:
    ups, downs = ([x for x, good in rows if good is wanted] for wanted in (True, False))
    pairs = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in ups for b in downs)
    expected = pytest.approx(pairs / (len(ups) * len(downs))) if ups and downs else None
    assert rank_auc([x for x, _ in rows], [good for _, good in rows]) == expected
