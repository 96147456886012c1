"""Spans of a model and of rules joined: nothing that one of them covers is released."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream.rules.merge import RuleSpan, merge_spans

spans = st.lists(
    st.builds(
        lambda start, n, label, score: RuleSpan(start, start + n, label, score),
        st.integers(0, 30), st.integers(1, 9), st.sampled_from("abc"), st.sampled_from((0.3, 0.5, 0.9)),
    ),
    max_size=8,
)  # fmt: skip


def characters(*sources: list[RuleSpan]) -> set[int]:
    return {i for source in sources for x in source for i in range(x.start, x.end)}


@given(model=spans, rules=spans)
def test_all_that_is_covered_stays_covered_and_spans_are_apart(model: list[RuleSpan], rules: list[RuleSpan]):
    merged = merge_spans(model, rules)
    assert characters(merged) == characters(model, rules)
    assert all(a.end <= b.start for a, b in pairwise(merged))
    assert merge_spans(merged) == merged
    for span in merged:
        inside = [x for x in (*model, *rules) if span.start <= x.start < span.end]
        assert span.score == max(x.score for x in inside)
        assert (span.label, span.score) in {(x.label, x.score) for x in inside}


def test_the_label_is_that_of_the_surer_one():
    model, rules = [RuleSpan(3, 9, "person", 0.6)], [RuleSpan(5, 12, "email", 0.95)]
    assert merge_spans(model, rules) == [RuleSpan(3, 12, "email", 0.95)]
    assert merge_spans(rules, model) == [RuleSpan(3, 12, "email", 0.95)]


def test_spans_that_touch_stay_two():
    two = [RuleSpan(0, 4, "phone", 0.5), RuleSpan(4, 9, "email", 0.5)]
    assert merge_spans(two) == two
