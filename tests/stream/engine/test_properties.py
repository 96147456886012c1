"""Promises that hold for any stream of messages, on the fake labeller (on a real one: test_hybrid.py)."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from stream.engine.engine import Engine
from stream.messages.types import Message, Revision
from tests.stream.checks import Reader
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller, fake_labeller
from tests.stream.helpers import drain, final, revisions_of, tell
from tests.stream.streams import ALL, GROWING, messages, steps

POLICIES = st.sampled_from([Always(), Never(), Last(2), Last(4), Entropy(0.5)])


TAGGERS = st.sampled_from([("fake",), ("scored", "speech"), ("speech", "b@other", "scored@other")])


def read_one_by_one(engine: Engine, told: list[Message]) -> tuple[dict[str, Reader], list[Revision]]:
    """Each tagger has its own reader, who hears all messages."""
    readers, revisions = {name: Reader() for name in engine.tagger_names}, []
    for offset, message in enumerate(told):
        caused = tell(engine, message, first=offset)
        for name, reader in readers.items():
            reader.message(message, [x for x in caused if x.tagger == name])
        assert {x.tagger for x in caused} <= set(engine.tagger_names)
        assert all(x.offset == offset for x in caused)
        revisions += caused
    return readers, revisions


@given(steps(VOCABULARY, ALL), POLICIES, TAGGERS)
def test_every_promise_to_readers_holds(script, policy, taggers):
    read_one_by_one(Engine(fake_labeller(*taggers), policy), messages(script))


@given(steps(VOCABULARY, GROWING), POLICIES)
def test_final_equals_offline(script, policy):
    readers, _ = read_one_by_one(Engine(FakeLabeller(), policy), messages(script))
    offline = Engine(FakeLabeller(), Always())
    for session, segment, text, spans in readers["fake"].finals:
        (revision,) = tell(offline, final(segment, text, session))
        assert [(x.start, x.end, x.label) for x in revision.spans] == [(x.start, x.end, x.label) for x in spans]


@given(steps(VOCABULARY, ALL), POLICIES, st.lists(st.integers(1, 8), min_size=1, max_size=10), st.booleans(), TAGGERS)
def test_batching_changes_no_byte(script, policy, sizes, small_steps, taggers):
    told = messages(script)
    _, expected = read_one_by_one(Engine(fake_labeller(*taggers), policy), told)
    engine = Engine(fake_labeller(*taggers), policy, token_budget=1 if small_steps else 2048)
    revisions, answered = [], []
    waiting = list(enumerate(told))
    while waiting:
        for offset, message in waiting[: sizes[len(waiting) % len(sizes)]]:
            engine.submit(message, offset)
        del waiting[: sizes[len(waiting) % len(sizes)]]
        results = [engine.step()] if waiting else drain(engine)
        revisions += revisions_of(results)
        for result in results:
            assert not {x.offset for x in result.revisions} & set(answered)
            answered += [x.offset for x in result.answered]
    assert sorted(answered) == list(range(len(told)))
    for session in {x.session for x in told}:
        assert _bytes(revisions, session) == _bytes(expected, session)


def _bytes(revisions: list[Revision], session: str) -> list[bytes]:
    return [msgspec.json.encode(x) for x in revisions if x.session == session]


# A segment that waited open while another closed sees another context then, though its own words stand.
CONTEXT_CHANGES = [
    (0, 0, "append", (".",), 0),
    (0, 0, "append", ("anna",), 0),
    (0, 1, "append", ("there",), 0),
    (0, 0, "end", (".",), 0),
]


@example(CONTEXT_CHANGES, Always(), 2)
@given(steps(VOCABULARY, ALL), POLICIES, st.integers(1, 12))
def test_coalescing_reaches_the_same_finals(script, policy, size):
    told = messages(script)
    _, expected = read_one_by_one(Engine(FakeLabeller(), policy), told)
    engine, revisions, answered = Engine(FakeLabeller(), policy, coalesce=True), [], []
    for first in range(0, len(told), size):
        for offset, message in enumerate(told[first : first + size], first):
            engine.submit(message, offset)
        results = drain(engine)
        revisions += revisions_of(results)
        answered += [x.offset for result in results for x in result.answered]
    assert sorted(answered) == list(range(len(told)))
    assert _finals(revisions) == _finals(expected)


def _finals(revisions: list[Revision]) -> dict[tuple[str, str], list]:
    """What stands at the end of each segment that was closed and not deleted; ids differ, as fewer spans came by."""
    finals = {}
    for x in revisions:
        if x.final and not any(gone.cause == "delete" for gone in x.retracted):
            finals[x.session, x.segment] = [(s.start, s.end, s.label, s.text) for s in x.spans]
        else:
            finals.pop((x.session, x.segment), None)
    return {key: spans for key, spans in finals.items() if spans}


@given(steps(VOCABULARY, ALL), POLICIES)
def test_the_same_input_gives_the_same_bytes(script, policy):
    runs = []
    for _ in range(2):
        engine = Engine(FakeLabeller(), policy)
        for offset, message in enumerate(messages(script)):
            engine.submit(message, offset)
        runs.append(msgspec.json.encode([(x.revisions, x.answered, x.stats) for x in drain(engine)]))
    assert runs[0] == runs[1]


@given(steps(VOCABULARY, ALL))
def test_append_only_never_flips_by_the_model(script):
    engine = Engine(FakeLabeller(), Never())
    for offset, message in enumerate(messages([x for x in script if x[2] in ("append", "repeat")])):
        tell(engine, message, first=offset)
    assert engine.stats.words_recomputed == engine.stats.words
    assert engine.stats.flips_model == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_labeller_that_fails_at_random_loses_no_answer(seed):
    class Flaky(FakeLabeller):
        def compute(self, plans):
            super().compute(plans)
            if len(self.steps) % (3 + seed) == 0:
                raise RuntimeError("flaky")

    engine = Engine(Flaky(), Last(2))
    script = [(i % 3, i % 2, ALL[i * 7 % len(ALL)], (VOCABULARY[i % len(VOCABULARY)], "anna"), i) for i in range(200)]
    told = messages(script)
    results = []
    for offset, message in enumerate(told):
        engine.submit(message, offset)
        results += [engine.step()] if offset % 3 == 0 else []
    results += drain(engine)
    assert sorted(x.offset for r in results for x in r.answered) == list(range(len(told)))
    assert engine.stats.revisions > 10
