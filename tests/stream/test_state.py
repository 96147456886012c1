"""A session that goes on in another engine goes on as if nothing had happened, wherever it was cut off."""

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart import Always, Entropy, Last, Never
from stream.engine import Engine
from tests.stream.cuts import IDLE, REMEMBER, CutRun, in_groups
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller
from tests.stream.streams import ALL, messages, steps

POLICIES = st.sampled_from([Always(), Never(), Last(2), Last(4), Entropy(0.5)])
SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=6)
CUTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=5)


def engine(policy, poison=(), idle_seconds=IDLE, **more):
    return Engine(FakeLabeller(poison), policy, idle_seconds=idle_seconds, remember_seconds=REMEMBER, **more)


@settings(max_examples=300)
@given(steps(VOCABULARY, ALL, sessions=3, most=40), POLICIES, SIZES, CUTS, st.booleans())
def test_a_cut_run_says_what_the_whole_run_says(script, policy, sizes, cuts, poisoned):
    make = partial(engine, policy, ["river"] if poisoned else [])
    groups = in_groups(messages(script), sizes)
    whole, cut = CutRun(make, groups).run(), CutRun(make, groups).run(cuts)
    assert cut.bytes() == whole.bytes()
    assert cut.refused == whole.refused
    assert cut.failed == whole.failed
    assert whole.engine._sessions.alive == whole.engine._sessions.over == {}  # all have expired, and are forgotten
    assert cut.engine._sessions.saved == cut.engine._sessions.alive == cut.engine._sessions.over == {}
    assert set(whole.answered) | whole.refused == set(range(sum(map(len, groups))))


@settings(max_examples=200)
@given(steps(VOCABULARY, ALL, sessions=2, most=40), POLICIES, SIZES, CUTS, st.integers(1, 40))
def test_coalescing_between_cuts_reaches_the_same_finals(script, policy, sizes, cuts, budget):
    """Messages that a newer one overtook are done with it, those of other segments in between are not done twice."""
    told = messages(script)
    groups = in_groups(told, sizes)
    whole = CutRun(partial(engine, policy, idle_seconds=None), groups).run()
    make = partial(engine, policy, idle_seconds=None, coalesce=True, token_budget=budget)
    cut = CutRun(make, groups).run(cuts)
    assert not cut.refused
    assert finals(cut) == finals(whole)


def finals(run):
    """What stands of each segment that was closed and not deleted, when its life is over."""
    found = {}
    for told in run.revisions.values():
        for x in told:
            key = x.session, x.segment
            if x.final and not any(gone.cause == "delete" for gone in x.retracted):
                found[key] = [(s.start, s.end, s.label, s.text) for s in x.spans]
            else:
                found.pop(key, None)
    return {key: spans for key, spans in found.items() if spans}
