"""Levels in the engine: every promise to readers holds under each, and a session that is restored goes on the same."""

from functools import partial

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from stream.engine.engine import Engine
from stream.revisions.emission import LEVELS, LOW, Emission
from stream.revisions.settled import SettledRule, SettledRules
from tests.stream.cuts import REMEMBER, CutRun, in_groups
from tests.stream.engine.test_properties import read_one_by_one
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller
from tests.stream.helpers import brief, delete, end, final, tell, update
from tests.stream.streams import ALL, GROWING, messages, steps

POLICIES = st.sampled_from([Always(), Never(), Last(2), Entropy(0.5)])
THRESHOLDS = st.sampled_from([0.0, 0.5, 0.93, 0.97, 1.0])
"""The fake tagger is .4, .9, .95 or .99 sure."""
EMISSIONS = st.builds(Emission, THRESHOLDS, THRESHOLDS)


def test_levels_of_the_engine():
    """It is .4 sure of a last "may", .95 once the next word is there, .99 of names."""
    engine = Engine(FakeLabeller(), Always(), emission=Emission(show=0.97, change=0.97))
    told = [update("u", "anna"), update("u", "anna may"), update("u", "anna may said"), update("u", "anna may said so")]
    revisions = tell(engine, *told)
    assert [(x.offset, brief(x.spans)) for x in revisions] == [(0, [(1, "person", "anna")])]
    (closed,) = tell(engine, final("u", "anna may said so"), first=4)
    assert brief(closed.spans) == [(1, "person", "anna may")]
    (edited,) = tell(engine, update("u", "may said"), first=5)
    assert [x.text for x in edited.spans] == ["may"]
    (gone,) = tell(engine, delete("u"), first=6)
    assert [x.cause for x in gone.retracted] == ["delete"]


def test_a_delete_tells_only_of_what_was_shown_and_an_end_shows_all():
    engine = Engine(FakeLabeller(), Always(), emission=Emission(show=1, change=1))
    assert not tell(engine, update("u", "anna"), delete("u"), update("v", "bob"))
    (closed,) = tell(engine, end(), first=3)
    assert brief(closed.spans) == [(1, "person", "bob")]


@given(steps(VOCABULARY, ALL), POLICIES, EMISSIONS)
def test_every_promise_to_readers_holds(script, policy, emission):
    read_one_by_one(Engine(FakeLabeller(), policy, emission=emission), messages(script))


@given(steps(VOCABULARY, GROWING), POLICIES, EMISSIONS)
def test_all_levels_close_alike(script, policy, emission):
    told = messages(script)
    finals = []
    for level in (LOW, emission):
        readers, _ = read_one_by_one(Engine(FakeLabeller(), policy, emission=level), told)
        finals.append(
            [
                (*x[:3], [(y.start, y.end, y.label, y.stability) for y in x[3]])
                for r in readers.values()
                for x in r.finals
            ]
        )
    assert finals[0] == finals[1]


@given(steps(VOCABULARY, ALL), POLICIES)
def test_the_lowest_level_holds_nothing(script, policy):
    """Each revision has just the spans that were found, if nothing settles."""
    rules = SettledRules({"fake": SettledRule(threshold=1)})
    engine = Engine(FakeLabeller(), policy, emission=LEVELS["low"], rules=rules)
    for offset, message in enumerate(messages(script)):
        for revision in tell(engine, message, first=offset):
            living = engine._sessions.active.get(revision.session)
            if living and revision.segment in living.readings:
                (found,) = living.readings[revision.segment]
                places = [(found.starts[first], found.ends[stop - 1], label) for first, stop, label in found.spans]
                assert [(x.start, x.end, x.label) for x in revision.spans] == places


@settings(max_examples=150)
@given(
    steps(VOCABULARY, ALL, most=40),
    POLICIES,
    EMISSIONS,
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12),
)
def test_a_restored_session_shows_what_it_would_have_shown(script, policy, emission, sizes, cuts):
    make = partial(Engine, FakeLabeller(), policy, emission=emission, idle_seconds=9.0, remember_seconds=REMEMBER)
    groups = in_groups(messages(script), sizes)
    assert CutRun(make, groups).run(cuts).bytes() == CutRun(make, groups).run().bytes()


@given(steps(VOCABULARY, ALL), POLICIES, EMISSIONS)
def test_the_same_input_gives_the_same_bytes(script, policy, emission):
    told = messages(script)
    runs = [read_one_by_one(Engine(FakeLabeller(), policy, emission=emission), told)[1] for _ in range(2)]
    assert msgspec.json.encode(runs[0]) == msgspec.json.encode(runs[1])
