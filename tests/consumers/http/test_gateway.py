"""Callers at the engine: private sessions, every answer to who asked, and places that a slow reader uses up."""

import asyncio

import msgspec
import pytest
from aiokafka import TopicPartition

from consumers.common.settings import ServiceSettings
from consumers.http.api.caller import (
    ClientHandle,
    ClientTooSlow,
    GatewayClosed,
    LabellingFailed,
    Result,
    TooManySessions,
)
from consumers.http.api.gateway import Gateway
from consumers.kafka.service.service import Service
from stream.engine.worker import StepBatch, Worker
from stream.messages.errors import InputError
from stream.messages.types import Message, Revision, Update
from stream.sessions.step_result import StepResult
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.http.gateways import Served, served, until
from tests.stream.engine.test_worker import Gated
from tests.stream.helpers import delete, drain_worker, end, final, update
from tests.waiting import PATIENCE


async def told(caller: ClientHandle, *messages: Message) -> list[Result]:
    """Submit, and take everything that came of it."""

    async def submit() -> None:
        for offset, message in enumerate(messages):
            await caller.submit(message, offset)
        caller.finish()

    submitting = asyncio.create_task(submit())
    results = [x async for x in caller.results()]
    await submitting
    return results


async def forgotten(here: Served) -> None:
    """Wait until the engine has done what waits."""
    await until(lambda: not (here.engine.pending or here.engine.intake.session_count))


async def test_a_caller_gets_its_revisions_under_its_own_names_and_offsets() -> None:
    async with served() as here, here.desk.client(sessions=4) as caller:
        results = await told(caller, update("u", "anna", "a"), update("u", "rome", "b"), final("u", "anna rice", "a"))
        last = {x.session: x for x in results if isinstance(x, Revision)}
        assert {(x.session, x.offset, x.final) for x in last.values()} == {("b", 1, False), ("a", 2, True)}
        assert [x.text for x in last["a"].spans] == ["anna rice"]


async def test_callers_with_the_same_session_ids_do_not_meet() -> None:
    async with served() as here, here.desk.client(sessions=1) as one, here.desk.client(sessions=1) as other:
        first, second = await asyncio.gather(told(one, final("u", "anna")), told(other, final("u", "rome")))
        assert [x.spans[0].text for x in first + second if isinstance(x, Revision)] == ["anna", "rome"]
        assert [x.rev for x in first + second if isinstance(x, Revision)] == [1, 1]


async def test_nothing_of_a_caller_is_left_when_it_has_gone() -> None:
    async with served() as here:
        async with here.desk.client(sessions=4) as caller:
            await told(caller, update("u", "anna", "a"), update("u", "rome", "b"))
            assert here.engine.intake.session_count == 2
        await forgotten(here)
        assert not here.desk._sessions
        assert here.desk._capacity._value == 256


async def test_a_caller_that_goes_before_it_is_answered_gives_its_places_back() -> None:
    labeller = Gated()
    async with served(labeller, in_flight=2) as here:
        async with here.desk.client(sessions=4) as caller:
            await caller.submit(update("u", "anna"), 0)
            await caller.submit(update("u", "anna rice"), 1)
        labeller.gate.set()
        await forgotten(here)
        async with here.desk.client(sessions=1) as caller:
            results = await told(caller, final("u", "rome"), final("v", "paris"))
        assert [x.offset for x in results if isinstance(x, Revision)] == [0, 1]
        assert here.desk._capacity._value == 2


async def test_a_caller_that_does_not_read_is_not_listened_to() -> None:
    async with served() as here, here.desk.client(sessions=9, in_flight=3) as caller:
        for offset in range(3):
            await caller.submit(final("u", "anna", f"s{offset}"), offset)
        await drain_worker(here.worker)
        waiting = asyncio.create_task(caller.submit(final("u", "rome", "s3"), 3))
        async with here.desk.client(sessions=1) as other:  # who reads is served meanwhile
            assert len(await told(other, final("u", "bob"))) == 1
        assert not waiting.done()
        results = caller.results()
        taken = [await anext(results) for _ in range(3)]
        assert not waiting.done()  # the last is not dealt with before the next is asked for
        taken.append(await anext(results))
        assert [x.offset for x in taken] == [0, 1, 2, 3]
        await waiting


async def test_callers_together_leave_room_in_the_queue() -> None:
    labeller = Gated()
    async with (
        served(labeller, in_flight=2) as here,
        here.desk.client(sessions=1) as one,
        here.desk.client(sessions=1) as other,
    ):
        await one.submit(update("u", "anna"), 0)
        await one.submit(update("v", "anna met"), 1)
        third = asyncio.create_task(other.submit(update("u", "rome"), 0))
        await asyncio.sleep(0.02)
        assert not third.done()
        labeller.gate.set()
        await third


async def test_an_update_that_supersedes_a_waiting_one_never_waits_and_the_newest_is_labelled() -> None:
    labeller = Gated()
    async with (
        served(labeller, in_flight=3) as here,
        here.desk.client(sessions=2, in_flight=3) as caller,
        here.desk.client(sessions=1) as other,
    ):
        await caller.submit(update("busy", "anna", "a"), 0)
        await until(lambda: here.worker.engine.pending == 0)  # its step has begun
        texts = ["anna", *(f"anna {number}" for number in range(500)), "anna met bob"]
        async with asyncio.timeout(30):
            for offset, text in enumerate(texts, 1):
                await caller.submit(update("u", text, "b"), offset)
            await caller.submit(final("u", "anna met bob in rome", "b"), len(texts) + 1)
            await other.submit(final("u", "bob"), 0)  # there is room for others: all of these took one place
        assert here.worker.engine.intake.waiting == 2
        assert here.worker.in_flight == 3
        labeller.gate.set()
        caller.finish()
        revisions = [x async for x in caller.results() if isinstance(x, Revision) and x.session == "b"]
        assert [(x.offset, x.final, [y.text for y in x.spans]) for x in revisions] == [
            (len(texts) + 1, True, ["anna", "bob", "rome"])
        ]
        await drain_worker(here.worker)
        assert here.worker.in_flight == 0
        assert here.desk._capacity._value == 3
        assert caller._capacity._value == 3


async def test_updates_that_supersede_others_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.http.api.caller.MAX_SUPERSEDED", 20)
    labeller = Gated()
    async with served(labeller) as here, here.desk.client(sessions=2, in_flight=3) as caller:
        await caller.submit(update("busy", "anna", "a"), 0)
        await until(lambda: here.worker.engine.pending == 0)

        async def flood() -> None:
            for offset in range(1, 1000):
                await caller.submit(update("u", f"anna {offset}", "b"), offset)

        flooding = asyncio.create_task(flood())
        await until(caller._capacity.locked)
        assert caller._unread <= 20 + 3
        labeller.gate.set()
        flooding.cancel()


async def test_results_that_pile_up_all_the_same_end_the_caller() -> None:
    async with served() as here, here.desk.client(sessions=1) as caller:
        await told(caller, update("u", "anna"))
        (held,) = here.desk._sessions.values()
        late = Revision(tagger="fake", session=held.engine_id, segment="u", rev=9, offset=0, final=False, spans=())
        for _ in range(5000):
            here.desk.on_step(StepBatch(StepResult(revisions=[late]), [], 0.0))
        assert caller._results.qsize() < 4200
        with pytest.raises(ClientTooSlow):
            [x async for x in caller.results()]


async def test_bad_messages_are_told_by_the_callers_own_names() -> None:
    async with served() as here, here.desk.client(sessions=1) as caller:
        for message, reason in [
            (end("call"), "unknown_session"),
            (delete("u", "call"), "unknown_session"),
            (update("u", "x", session=""), "bad_id"),
            (update("u", "x", session="x" * 257), "bad_id"),
            (update("u", "\ud800", "call"), "bad_text"),
        ]:
            with pytest.raises(InputError, match=reason):
                await caller.submit(message, 0)
        await caller.submit(update("u", "x", "call"), 0)
        with pytest.raises(InputError, match="session 'call' has no segment 'other'"):
            await caller.submit(delete("other", "call"), 0)
        assert caller.open_sessions == ["call"]


async def test_a_refused_first_message_begins_no_session() -> None:
    async with served() as here, here.desk.client(sessions=1) as caller:
        await caller.submit(Update(session="a", segment="u", text="y" * 65_000), 0)
        with pytest.raises(InputError, match="text_too_long"):
            await caller.submit(Update(session="a", segment="u", text="y" * 65_000, mode="append"), 1)
        with pytest.raises(TooManySessions):
            await caller.submit(update("u", "x", "b"), 2)
        assert caller.open_sessions == ["a"]
        assert len(here.desk._sessions) == 1


async def test_long_ids_of_sessions_stay_apart() -> None:
    async with served() as here, here.desk.client(sessions=2) as caller:
        results = await told(caller, final("u", "anna", "x" * 255 + "a"), final("u", "rome", "x" * 255 + "b"))
        assert [(x.session[-1], x.rev) for x in results if isinstance(x, Revision)] == [("a", 1), ("b", 1)]


async def test_ended_sessions_make_room_and_speak_again_where_they_were() -> None:
    async with served() as here, here.desk.client(sessions=2) as caller:
        script = [final("u", "anna", "a"), end("a"), final("u", "rome", "b"), final("u", "bob", "c"), end("b")]
        results = await told(caller, *script, final("v", "anna", "a"))
        assert [x.rev for x in results if isinstance(x, Revision) and x.session == "a"] == [1, 2]
        with pytest.raises(TooManySessions, match="at most 2 sessions"):
            await caller.submit(final("u", "x", "d"), 9)


async def test_of_many_ended_sessions_only_some_are_remembered() -> None:
    async with served() as here, here.desk.client(sessions=3, in_flight=1) as caller:
        script = [message for i in range(40) for message in (final("u", "anna", f"s{i}"), end(f"s{i}"))]
        assert len(await told(caller, *script)) == 40
        assert len(here.desk._sessions) <= 6


async def test_a_failure_is_told_and_is_an_answer() -> None:
    async with served() as here, here.desk.client(sessions=2) as caller:
        results = await told(caller, final("u", "anna poison", "a"), final("u", "rome", "b"))
        assert LabellingFailed("a", "u", 0) in results
        assert [x.session for x in results if isinstance(x, Revision)] == ["b"]


async def test_idle_sessions_close_and_give_their_place_free() -> None:
    async with served(idle_seconds=0.01) as here, here.desk.client(sessions=1) as caller:
        await caller.submit(update("u", "anna", "a"), 0)
        finals = [x async for x in _until_final(caller)]
        assert finals[-1].session == "a"
        await until(lambda: not caller.open_sessions)
        await caller.submit(update("u", "anna", "b"), 1)


async def _until_final(caller: ClientHandle):
    async for x in caller.results():
        yield x
        if isinstance(x, Revision) and x.final:
            return


async def test_a_closed_desk_ends_what_is_waited_for() -> None:
    async with served() as here:
        async with here.desk.client(sessions=1) as caller:
            here.desk.close()
            with pytest.raises(GatewayClosed):
                [x async for x in caller.results()]
            with pytest.raises(GatewayClosed):
                await caller.submit(update("u", "anna"), 0)
        with pytest.raises(GatewayClosed):
            async with here.desk.client(sessions=1):
                pass


async def test_finishing_with_nothing_to_wait_for_ends_at_once() -> None:
    async with served() as here, here.desk.client(sessions=1) as caller:
        caller.finish()
        assert [x async for x in caller.results()] == []
        assert isinstance(here.desk, Gateway)


async def test_what_may_be_seen_is_told_until_the_caller_goes() -> None:
    heard: list[Message] = []
    async with served() as here:
        here.desk._on_message = heard.append
        async with here.desk.client(sessions=3, shown=True) as caller, here.desk.client(sessions=1) as hidden:
            await told(hidden, final("u", "secret", "a"))
            await told(caller, update("u", "anna", "call"), update("u", "rome", "over"), end("over"))
            with pytest.raises(InputError):
                await caller.submit(delete("v", "call"), 9)
    names = [(type(x).__name__, x.session.rpartition("/")[2]) for x in heard]
    assert names == [("Update", "call"), ("Update", "over"), ("End", "over"), ("End", "call")]
    assert all(x.session.startswith(here.desk.prefix) for x in heard)


async def test_beside_kafka_each_gets_its_own_and_nothing_of_callers_is_written() -> None:
    kafka, stop = FakeKafka(), asyncio.Event()
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    desk = Gateway(worker)
    settings = ServiceSettings(broker="fake:1", commit_seconds=0.01, session_timeout_seconds=0.1)
    serving = asyncio.create_task(Service(settings, worker, kafka.clients(), observer=desk).run(stop))
    async with desk.client(sessions=2) as caller:
        await kafka.append(IN, msgspec.json.encode(final("u", "rome", "call")), b"call")
        results = await told(caller, final("u", "anna", "call"), update("u", "poison", "bad"))
        await kafka.until(lambda: len(kafka.records(OUT)) == 1)
        assert {type(x).__name__ for x in results} == {"Revision", "LabellingFailed"}
        assert [x.spans[0].text for x in results if isinstance(x, Revision)] == ["anna"]
        await kafka.append(IN, msgspec.json.encode(end("call")), b"call")
        await kafka.until(lambda: kafka.committed.get(TopicPartition(IN, 0)) == 2)
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await serving
    assert [(x.key, msgspec.json.decode(x.value)["spans"][0]["text"]) for x in kafka.records(OUT)] == [
        (b"call", "rome")
    ]
    assert not kafka.records(DEAD)
    assert kafka.records(STATE)
    assert not any(desk.prefix.encode() in (x.key or b"") for x in kafka.records(STATE))
