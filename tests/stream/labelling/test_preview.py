"""While updates wait, an open segment is labelled without a closed context that would have to be computed first: finals
are those of the context all the same.
"""

from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Last
from stream.engine.engine import Engine
from stream.overload.governor import Governor
from tests.stream.cuts import IDLE, REMEMBER, CutRun, in_groups, restore
from tests.stream.helpers import drain, final, tell, update
from tests.stream.hybrid import tiny_tagger
from tests.stream.labelling.test_hybrid import LONG, VOCABULARY
from tests.stream.sessions.test_snapshot import CUTS, SIZES, finals
from tests.stream.streams import ALL, messages, steps

SCRIPTS = st.one_of(
    steps(VOCABULARY, (*ALL, "close", "close"), sessions=4, most=40),
    steps(VOCABULARY, (*LONG, "close", "edit", "delete"), sessions=2, most=50),
)
SAID = [final("a", "anna went to rome"), final("b", "bob met anna"), update("c", "she")]
GROWS = [update("c", "she met"), update("c", "she met bob"), update("c", "he met bob in rome")]


def hurried(policy, budget=4, **limits):
    """One step takes a few tokens, so that with several sessions something waits nearly always."""
    return Engine(
        tiny_tagger(**limits),
        policy,
        idle_seconds=IDLE,
        remember_seconds=REMEMBER,
        governor=Governor(1e9),
        token_budget=budget,
    )


@settings(max_examples=15)
@given(SCRIPTS, SIZES, CUTS, st.sampled_from([Always(), Last(3)]), st.integers(1, 12), st.integers(1, 3))
def test_finals_are_those_of_an_engine_that_has_time(script, sizes, cuts, policy, budget, slots):
    groups = in_groups(messages(script), sizes)
    calm = partial(Engine, tiny_tagger(), policy, idle_seconds=IDLE, remember_seconds=REMEMBER)
    whole = CutRun(calm, groups).run()
    cut = CutRun(partial(hurried, policy, budget, max_sessions=slots), groups).run(cuts)
    assert finals(cut) == finals(whole)
    assert cut.failed == set()


def taken_over(**options):
    """An engine that has restored a session with closed segments."""
    first = Engine(tiny_tagger(), Always())
    entries = []
    for offset, message in enumerate(SAID):
        first.submit(message, offset)
        entries += [x for result in drain(first) for x in result.entries]
    second = Engine(tiny_tagger(), Always(), **options)
    second.restore(restore(entries)["s"], "s")
    drain(second)
    return second


@pytest.fixture(autouse=True)
def _few_tokens(monkeypatch):
    """Of one context in a step."""
    monkeypatch.setattr("stream.overload.restart_pricing.TAKEOVER_TOKENS", 1)


@pytest.fixture
def crowd(monkeypatch):
    """Whether more waits than a step takes, to be set by a test."""
    state = {"crowded": False}
    monkeypatch.setattr("stream.ingest.queue.Intake.crowded", property(lambda intake: state["crowded"]))
    return state


def feed(engine, *told, first=3):
    before = engine.labeller.counters().flops
    revisions = tell(engine, *told, first=first)
    return revisions, engine.labeller.counters().flops - before


def test_a_restored_session_waits_for_its_context_only_if_there_is_time(crowd):
    _, calm = feed(taken_over(governor=Governor(1.0)), GROWS[0])
    engine = taken_over(governor=Governor(1.0))
    crowd["crowded"] = True
    _, hasty = feed(engine, GROWS[0])
    assert 0 < hasty < calm / 2
    crowd["crowded"] = False
    _, later = feed(engine, GROWS[1], first=4)
    assert later > calm  # the context, and one word more
    _, cached = feed(engine, GROWS[2], first=5)
    assert cached < calm / 2


@pytest.mark.parametrize("last", [final("c", "he met bob in rome"), final("c", "he met bob in rome and anna")])
def test_a_closing_is_that_of_the_context(crowd, last):
    """Also one that brings no word, so that nothing of it would be new."""
    crowd["crowded"] = True
    hasty, _ = feed(taken_over(governor=Governor(1.0)), *GROWS, last)
    crowd["crowded"] = False
    calm, _ = feed(taken_over(governor=Governor(1.0)), *GROWS, last)
    assert (hasty[-1].final, hasty[-1].spans, hasty[-1].score) == (True, calm[-1].spans, calm[-1].score)


def test_no_word_is_settled_without_the_context(crowd):
    """The risk of a settled word was measured with it."""
    stable = []
    for crowded in (True, False):
        engine = taken_over(governor=Governor(1.0))
        crowd["crowded"] = crowded
        feed(engine, GROWS[0])
        (reading,) = engine._sessions.active["s"].readings["c"]
        stable.append(reading.stable_run(0, 0.0)[1])
    assert stable == [0, 2]


def test_taken_over_sessions_get_their_contexts_one_after_the_other():
    """One step labels all of them, and none of them waits for the contexts of all."""
    first, sessions = Engine(tiny_tagger(), Always()), [f"s{number}" for number in range(8)]
    entries = []
    for name in sessions:
        for offset, message in enumerate(SAID):
            first.submit(msgspec.structs.replace(message, session=name), offset)
        entries += [x for result in drain(first) for x in result.entries]
    spent = []
    for governor in (Governor(1.0), None):
        engine = Engine(tiny_tagger(), Always(), governor=governor)
        for name, saved in restore(entries).items():
            engine.restore(saved, name)
        drain(engine)
        for name in sessions:
            engine.submit(update("c", "she met", name), 3)
        result = engine.step()
        assert len(result.answered) == len(sessions)
        spent.append(result.stats.flops)
        assert result.stats.contexts_deferred == (0 if governor is None else len(sessions) - 1)
    assert spent[0] < spent[1] / 2


def test_an_engine_without_a_governor_never_hurries(crowd):
    crowd["crowded"] = True
    _, taken = feed(taken_over(), GROWS[0])
    crowd["crowded"] = False
    assert feed(taken_over(), GROWS[0])[1] == taken


def test_what_stood_before_a_preview_does_not_stand_after_it(crowd):
    """An evicted session has a segment much longer than the window, and its beginning is rewritten meanwhile."""
    words = ["anna", "went", "to", "rome", "and", "met", "bob"] * 8
    before, after = " ".join(words), " ".join(["bob", *words[::-1]])
    readings = []
    for crowded in (True, False):
        engine = Engine(tiny_tagger(max_sessions=1), Always(), governor=Governor(1e9))
        feed(engine, *SAID[:2], update("c", before), update("c", f"{before} she"), first=0)
        feed(engine, update("x", "she met bob", "other"), first=4)  # evicts the session
        crowd["crowded"] = crowded
        feed(engine, update("c", after), first=5)
        crowd["crowded"] = False
        feed(engine, update("c", f"{after} and"), first=6)
        (reading,) = engine._sessions.active["s"].readings["c"]
        readings.append(reading)
    hasty, calm = readings
    assert hasty.labels.tolist() == calm.labels.tolist()
    assert hasty.probability == pytest.approx(calm.probability, abs=1e-4)
