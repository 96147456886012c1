"""Closed contexts at their edges."""

import numpy as np

from encoder.session.closed_context import ClosedContext, ClosedSegment, WindowRules


def test_a_last_word_that_is_longer_than_the_kept_context_leaves_none() -> None:
    rules = WindowRules(positions=48, window=16, starts_word=np.array([True, False]))
    context = ClosedContext(rules)
    context.append_segment(ClosedSegment("a", np.zeros(20, np.int32)))
    assert (context.length, context.reanchors) == (20, 0)
    context.append_segment(ClosedSegment("b", np.r_[0, np.ones(19)].astype(np.int32)))  # one word of 20 pieces; B is 8
    assert (context.spans, context.length, context.reanchors) == ([], 0, 1)
    context.append_segment(ClosedSegment("c", np.zeros(3, np.int32)))
    assert (context.length, context.reanchors) == (3, 1)
