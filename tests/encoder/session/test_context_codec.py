"""A closed context that was written down is the same context, then and ever after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.session.closed_context import ClosedContext, ClosedSegment, WindowRules
from encoder.session.context_codec import load_context, save_context
from encoder.session.pool import run_plans
from tests.encoder.histories import make_tokens
from tests.encoder.session.test_session import STARTS_WORD, hashes

GEOMETRY = WindowRules(48, 16, STARTS_WORD)
COUNTS = st.one_of(st.integers(0, 4), st.integers(0, 20), st.integers(0, 150))
DEEDS = st.lists(
    st.tuples(st.sampled_from(["join", "join", "join", "edit", "delete"]), COUNTS, st.integers(0, 99)), max_size=40
)


def do(context, number, deed):
    kind, count, seed = deed
    recent = context.closed[seed % len(context.closed)] if context.closed else None
    if kind == "join":
        context.append_segment(ClosedSegment(f"segment {number}", make_tokens(count, seed)))
    elif recent is not None:
        index = context.find(recent.id)
        context.replace_segment(index, ClosedSegment(recent.id, make_tokens(count, seed)) if kind == "edit" else None)


def shown(context):
    """All that anybody can see of a context; segments in front of all that is shown may have lost their tokens."""
    pieces = [(x.first, x.start, x.segment.tokens[x.first :].tolist()) for x in context.spans]
    return context.version, pieces, [(x.id, len(x.tokens)) for x in context.closed], len(context.base)


@settings(max_examples=300)
@given(DEEDS, DEEDS)
def test_a_context_goes_on_as_it_would_have(before, after):
    context = ClosedContext(GEOMETRY)
    for number, deed in enumerate(before):
        do(context, number, deed)
    other = load_context(GEOMETRY, save_context(context))
    assert shown(other) == shown(context)
    for number, deed in enumerate(after, 100):
        for x in (context, other):
            do(x, number, deed)
        assert shown(other) == shown(context)
        assert save_context(other) == save_context(context)


def test_it_stays_small_however_long_the_session_lasts():
    context = ClosedContext(GEOMETRY)
    sizes = []
    for i in range(2000):
        context.append_segment(ClosedSegment(f"u{i % 10}", make_tokens([3, 20, 9, 150, 1][i % 5], i)))
        sizes.append(len(save_context(context)))
    assert context.spans[0].first > 0
    assert max(sizes[1000:]) <= max(sizes[100:200]) + 4  # a number that has grown
    assert max(sizes) < 2 * 3 * GEOMETRY.positions + 300  # 2 bytes a token, names and numbers apart


def test_a_large_vocabulary_takes_four_bytes():
    context = ClosedContext(GEOMETRY)
    context.append_segment(ClosedSegment("u", np.array([5, 1 << 20], np.int32)))
    assert load_context(GEOMETRY, save_context(context)).closed[0].tokens.tolist() == [5, 1 << 20]


LENGTHS = st.lists(st.one_of(st.integers(1, 9), st.integers(1, 90)), min_size=1, max_size=25)


@settings(max_examples=100)
@given(LENGTHS, LENGTHS, st.integers(0, 40), st.integers(0, 60), st.booleans())
def test_scores_after_it_are_what_they_would_have_been(closed, more, held, grown, stale):
    """On hashes: equal only if the same tokens were seen at the same positions in the same passes."""
    pool, other = hashes(), hashes()
    one, two = pool.open_session(), other.open_session()

    def say(name, count, seed):
        tokens = make_tokens(count, seed)
        run_plans(pool, [one.plan_update(name, tokens, 0, 0)])
        run_plans(pool, [one.plan_close(name)])

    for i, count in enumerate(closed[:-1] if stale else closed):
        say(f"u{i}", count, i)
    tokens = make_tokens(held + grown, 77)
    run_plans(pool, [one.plan_update("open", tokens[:held], 0, 0)])
    if stale:
        say("last", closed[-1], 5)
    two.load_context(one.save_context())
    two.resume_segment("open", tokens[:held], one.standing_read("open"))
    plans = [x.plan_update("open", tokens, held, 0) for x in (one, two)]
    (want,), (got,) = (run_plans(p, [plan]) for p, plan in zip((pool, other), plans, strict=True))
    assert_tail(got, want, grown)
    for rows in want:
        assert max(got[0].first, plans[1].final_tokens) == rows.first
    want, got = (run_plans(p, [x.plan_close("open")])[0] for p, x in ((pool, one), (other, two)))
    assert_tail(got, want, 0)
    for i, count in enumerate(more):
        for p, x in ((pool, one), (other, two)):
            run_plans(p, [x.plan_update(f"v{i}", make_tokens(count, i), 0, 0)])
            run_plans(p, [x.plan_close(f"v{i}")])
        assert one.save_context() == two.save_context()


def assert_tail(got, want, least):
    """What the first reads anew, the second reads too, and with the same scores."""
    assert len(want) <= len(got) or not least
    for a, b in zip(got, want, strict=False):
        assert a.first <= b.first
        assert np.array_equal(a.logits[b.first - a.first :], b.logits)


def test_bytes_of_something_else_are_refused():
    with pytest.raises(ValueError, match=r"."):
        hashes().open_session().load_context(b"\xc1")
