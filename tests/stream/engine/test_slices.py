"""Long texts in slices: nothing of the results depends on them, and nobody waits for more than one."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from encoder.tagger import Tagger
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.multi_model import MultiModelLabeller
from stream.messages.caller_id import CallerId
from stream.messages.types import Message, Revision
from stream.sessions.snapshot import restore_sessions
from tests.stream.cuts import CutRun, restore
from tests.stream.engine.test_engine_machine import EngineMachine
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import delete, drain, end, final, revisions_of, tell, update
from tests.stream.hybrid import _checkpoint, tiny_tagger, two_headed_tagger
from tests.stream.labelling.test_hybrid import VOCABULARY
from tests.stream.streams import ALL, messages, steps

POLICIES = st.sampled_from([Always(), Never(), Last(2), Entropy(0.5)])
LONG = " ".join(f"we met ms rice in rome with {number}" for number in range(120))
"""Many windows of the tiny tagger, and more than `LONG_TOKENS`."""


@contextmanager
def tiny_slices(tokens: int = 2) -> Iterator[None]:
    """Nearly every update is long, and each part of the work ends a slice as often as it can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream.ingest.schedule.LONG_TOKENS", tokens)
        patch.setattr("stream.engine.sliced_work.LONG_TOKENS", tokens)
        patch.setattr("encoder.tokenizer.incremental._SLICE", 6)
        patch.setattr("stream.labelling.sliced_decode._SLICE", 2)
        yield


def exact_tagger() -> Tagger:
    """Two taggers whose results have the same bits whatever is packed with them, unlike those of the torch kernels."""
    return tiny_tagger(_checkpoint(two=True), kernels="auto", max_sessions=8)


def bytes_of(revisions: list[Revision], session: str) -> list[bytes]:
    return [msgspec.json.encode(x) for x in revisions if x.session == session]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps(VOCABULARY, ALL, sessions=3), POLICIES, st.lists(st.integers(0, 4), min_size=1, max_size=8), st.booleans())
def test_slices_change_no_byte_whatever_arrives_between_them(script, policy, gaps, two_models):
    told = messages(script)

    def make() -> Engine:
        taggers = [exact_tagger() for _ in range(1 + two_models)]
        if not two_models:
            return Engine(taggers[0], policy)
        return Engine(
            MultiModelLabeller([HybridLabeller(x, [name]) for x, name in zip(taggers, "ab", strict=True)]), policy
        )

    expected = tell(make(), *told)
    with tiny_slices():
        engine, revisions = make(), []
        for offset, message in enumerate(told):
            engine.submit(message, offset)
            for _ in range(gaps[offset % len(gaps)]):
                revisions += engine.step().revisions
        revisions += revisions_of(drain(engine))
    for session in {x.session for x in told}:
        assert bytes_of(revisions, session) == bytes_of(expected, session)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps(VOCABULARY, ALL),
    POLICIES,
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), min_size=1, max_size=4),
)
def test_a_crash_between_slices_loses_nothing_and_changes_no_final_label(script, policy, cuts):
    told = messages(script)
    groups = [[(offset, message)] for offset, message in enumerate(told)]
    whole = CutRun(lambda: Engine(exact_tagger(), policy), groups).run()
    with tiny_slices():
        cut = CutRun(lambda: Engine(exact_tagger(), policy), groups).run(cuts)
    assert finals_of(cut) == finals_of(whole)
    assert set(cut.answered) | cut.refused == set(range(len(told)))


def finals_of(run: CutRun) -> dict[tuple[str, str, str], list[tuple[int, int, str]]]:
    finals = {}
    for x in [x for told in run.revisions.values() for x in told if x.final]:
        finals[x.tagger, x.session, x.segment] = [(y.start, y.end, y.label) for y in x.spans]
    return finals


class SlicedEngineMachine(EngineMachine):
    """The engine in random order, with all that is longer than two words in slices."""

    def __init__(self) -> None:
        super().__init__()
        self._slices = tiny_slices()
        self._slices.__enter__()

    def teardown(self) -> None:
        super().teardown()
        self._slices.__exit__(None, None, None)


TestSlicedEngine = SlicedEngineMachine.TestCase
TestSlicedEngine.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def tokens_of_steps(engine: Engine, *later: Message) -> tuple[list[int], list[Revision]]:
    """Step to the end; gives the tokens that each step took through prefix and tail."""
    work, counts, revisions = engine.labeller._tagger.sessions.work, [], []
    while engine.pending:
        before = work.appended + work.computed
        revisions += engine.step().revisions
        counts.append(work.appended + work.computed - before)
    return counts, revisions


WINDOW = 16  # of the tiny tagger
SLICE = 2 * WINDOW


@pytest.mark.parametrize("closing", [True, False])
def test_a_long_text_never_computes_more_than_one_window_in_a_step(closing):
    engine = Engine(tiny_tagger(), Last(3))
    engine.submit(update("u", LONG, final=closing), 0)
    counts, revisions = tokens_of_steps(engine)
    assert max(counts) <= SLICE
    assert sum(counts) > 60 * WINDOW
    assert len(revisions) == 1


def test_what_has_to_be_computed_again_comes_in_slices_too():
    """After an eviction, after a crash, after an edit, after a deletion before an open segment, at the close."""
    engine = Engine(tiny_tagger(max_sessions=1), Last(3), remember_segments=2)
    log = []

    def run(*told: Message) -> int:
        for message in told:
            engine.submit(message, run.offset)
            run.offset += 1
        work, most = engine.labeller._tagger.sessions.work, 0
        while engine.pending:
            before = work.appended + work.computed
            log.extend(engine.step().entries)
            most = max(most, work.appended + work.computed - before)
        return most

    run.offset = 0
    assert run(final("a", "we met ms rice"), update("u", LONG)) <= SLICE + 8
    run(update("u", "anna", session="other"))  # evicts
    assert run(update("u", LONG + " and went")) <= SLICE
    run(delete("a"))  # another context
    assert run(update("u", LONG + " and went to")) <= SLICE
    engine.submit(update("u", "bob", session="other"), run.offset)
    run.offset += 1
    assert run(final("u", LONG + " and went to")) <= SLICE + 8
    assert run(update("u", LONG + " and went to rome")) <= SLICE  # an edit of the closed one
    run(update("v", LONG))
    engine = Engine(tiny_tagger(), Last(3), remember_segments=2)
    for name, saved in restore(log).items():
        engine.restore(saved, name)
    assert run(update("v", LONG + " and went")) <= SLICE


def test_closed_segments_of_another_model_are_computed_in_slices():
    engine = Engine(tiny_tagger(), Last(3))
    texts = [f"{number} {LONG[: 400 + number]}" for number in range(6)]
    log = []
    for offset, text in enumerate(texts):
        engine.submit(final(f"u{offset}", text), offset)
        log += [entry for result in drain(engine) for entry in result.entries]
    expected = tell(
        Engine(two_headed_tagger(), Last(3)), *(final(f"u{i}", x) for i, x in enumerate([*texts, "ms rice"]))
    )
    other = Engine(two_headed_tagger(), Last(3))
    for name, saved in restore_sessions(log).items():
        other.restore(saved, name)
    other.submit(final("last", "ms rice"), 6)
    other.submit(update("u", "we met", session="victim"), 0, caller=CallerId("victim"))
    first = other.step()
    assert [x.session for x in first.answered] == ["victim"]
    counts, revisions = tokens_of_steps(other)
    assert max(counts) <= SLICE
    assert len(counts) > 20
    spans = {x.tagger: [(y.start, y.end, y.label) for y in x.spans] for x in revisions}
    assert spans == {x.tagger: [(y.start, y.end, y.label) for y in x.spans] for x in expected if x.segment == "u6"}


@pytest.mark.parametrize("group", ["one", "another"])
def test_a_few_words_wait_for_one_slice_at_most_behind_long_texts(group):
    engine = Engine(tiny_tagger(), Last(3))
    for number in range(20):
        engine.submit(final("u", LONG, session=f"long{number}"), 0, caller=CallerId("one"))
    work, waited, offset = engine.labeller._tagger.sessions.work, [], 0
    while engine.pending:
        if offset < 100:
            engine.submit(update("u", f"we met {offset}", session="victim"), offset, caller=CallerId(group))
        before = work.appended + work.computed
        result = engine.step()
        if offset < 100:
            assert [x.offset for x in result.answered if x.session == "victim"] == [offset]
            waited.append(work.appended + work.computed - before)
            offset += 1
    assert max(waited) <= SLICE + 8
    assert sum(count > WINDOW for count in waited) <= len(waited) / 2 + 1  # not in two steps on end


def test_a_long_text_gets_its_share_under_load():
    engine = Engine(tiny_tagger(), Last(3))
    engine.submit(final("u", LONG, session="long"), 0)
    for offset in range(2000):
        for number in range(5):
            engine.submit(update("u", f"we met {offset}", session=f"s{number}"), offset)
        if any(x.session == "long" for x in engine.step().answered):
            break
    assert offset < 2 * engine.sliced.slices + 4
    assert engine.sliced.slices > 50


def test_a_hundred_long_texts_of_one_caller_hold_up_neither_another_s_nor_a_shorter_one():
    engine = Engine(FakeLabeller(), Always())
    for number in range(100):
        engine.submit(final("u", "anna met " * 600, session=f"long{number}"), 0, caller=CallerId("one", str(number)))
    engine.step()
    engine.submit(final("u", "bob met " * 600, session="other"), 0, caller=CallerId("two"))
    engine.submit(final("u", "rome " * 650, session="shorter"), 0, caller=CallerId("one", "0"))
    ended = {}
    while engine.pending:
        for answer in engine.step().answered:
            ended[answer.session] = engine.sliced.slices
    slices = max(ended.values()) / 102
    assert ended["other"] <= 2.2 * slices + 2
    assert ended["shorter"] < sorted(ended.values())[101]
    order = [x for x in ended if x.startswith("long")]
    assert len(order) == 100


def test_a_text_that_is_shorter_overtakes_longer_ones_of_its_caller_but_not_for_ever():
    engine = Engine(FakeLabeller(), Always())
    engine.submit(final("u", "anna met " * 3000, session="longest"), 0)
    ended, number = [], 0
    while "longest" not in ended:
        if engine.pending < 3:
            number += 1
            engine.submit(final("u", "bob met " * 500, session=f"s{number}"), 0)
        ended += [x.session for x in engine.step().answered]
    assert ended[0] == "s1"
    assert len(ended) < 12


def test_ten_thousand_sessions_of_one_caller_do_not_hold_up_one_of_another():
    engine = Engine(FakeLabeller(), Always(), token_budget=100)
    for number in range(10_000):
        engine.submit(update("u", "anna met bob", session=f"s{number}"), 0, caller=CallerId("many", str(number % 7)))
    engine.step()
    for offset in range(20):
        engine.submit(update("u", f"we met {offset}", session="one"), offset, caller=CallerId("few"))
        assert any(x.session == "one" for x in engine.step().answered)
    engine.submit(update("u", "we met", session="nine"), 0, caller=CallerId("many", "nine"))
    assert any(x.session == "nine" for x in engine.step().answered)  # a member of the same group


def test_sessions_of_one_caller_take_turns():
    engine = Engine(FakeLabeller(), Always(), token_budget=1)
    for offset in range(50):
        engine.submit(final(f"u{offset}", "anna met bob", session="busy"), offset)
    engine.step()
    engine.submit(final("u", "rome", session="late"), 0)
    assert sum(1 for _ in range(2) for x in engine.step().answered if x.session == "late") == 1


def test_callers_share_tokens_not_updates():
    engine = Engine(FakeLabeller(), Always(), token_budget=64)
    for number in range(200):
        engine.submit(update("u", "anna " * 40, session=f"big{number}"), 0, caller=CallerId("big"))
        engine.submit(update("u", "anna", session=f"small{number}"), 0, caller=CallerId("small"))
    answered = [x.session for _ in range(6) for x in engine.step().answered]
    small = sum(x.startswith("small") for x in answered)
    assert small > 10 * (len(answered) - small)


def test_evicted_sessions_count_for_what_they_need():
    engine = Engine(tiny_tagger(max_sessions=2), Last(3), token_budget=60)
    sessions = [f"s{number}" for number in range(12)]
    tell(engine, *(final("a", "we met ms rice in rome with anna", session=x) for x in sessions))
    for offset, name in enumerate(sessions, 100):
        engine.submit(update("b", "we met", session=name), offset)
    counts, _ = tokens_of_steps(engine)
    assert max(counts) <= 3 * 60
    assert len(counts) > 1


def test_a_session_that_is_dropped_between_slices_is_answered_and_nothing_more():
    engine = Engine(FakeLabeller(), Always())
    engine.submit(final("u", "anna met " * 1000), 0)
    engine.submit(update("v", "bob"), 1)
    engine.step()
    engine.drop("s")
    results = drain(engine)
    assert [x.offset for r in results for x in r.answered] == [0, 1]
    assert revisions_of(results) == []
    (revision,) = tell(engine, final("u", "rome"), first=2)
    assert revision.rev == 1


def test_a_slice_that_fails_affects_nobody_else():
    engine = Engine(FakeLabeller(poison=["boom"]), Always())
    engine.submit(final("u", "anna met " * 1000 + "boom", session="bad"), 0)
    engine.submit(update("u", "anna", session="good"), 0)
    results = drain(engine)
    assert [x.session for r in results for x in r.failures] == ["bad"]
    assert [x.session for x in revisions_of(results)] == ["good"]
    (revision,) = tell(engine, final("v", "rome", session="bad"), first=1)
    assert [x.text for x in revision.spans] == ["rome"]


def test_a_session_waits_for_its_long_text_and_then_goes_on_in_order():
    engine = Engine(FakeLabeller(), Always(), coalesce=True)
    engine.submit(update("u", "anna met " * 1000), 0)
    engine.step()
    for offset, message in enumerate([update("u", "bob"), update("u", "bob met"), final("w", "rome"), end()], 1):
        engine.submit(message, offset)
        engine.step()
    assert engine.intake.waiting == 3  # the end closes "u", which supersedes its updates
    assert engine.intake.waiting_since is None  # they wait for their own session
    results = drain(engine)
    assert [x.offset for r in results for x in r.answered] == [0, 3, 1, 2, 4]
    assert [(x.segment, x.offset, x.final) for x in revisions_of(results)] == [
        ("u", 0, False),
        ("w", 3, True),
        ("u", 4, True),
    ]


def test_two_long_texts_that_take_the_cache_from_each_other_are_finished():
    engine = Engine(tiny_tagger(max_sessions=1), Last(3))
    for number in range(2):
        engine.submit(final("u", LONG, session=f"s{number}"), 0, caller=CallerId(str(number)))
    results = []
    for offset in range(500):
        engine.submit(update("u", f"we met {offset}", session="short"), offset)
        results.append(engine.step())
    assert {x.session for x in revisions_of(results)} == {"s0", "s1", "short"}
