"""The async face: backpressure, draining, failing, closing. Nothing here depends on how long anything takes."""

import asyncio
import threading
import time

import pytest

from encoder.restart.policies import Always
from stream.engine.engine import Answer, Engine
from stream.engine.worker import StepBatch, Worker, WorkerFailed
from stream.messages.errors import InputError
from stream.overload.governor import Governor
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import drain_worker, end, final, revisions_of, tell, update
from tests.waiting import PATIENCE


async def collect(worker: Worker, batches: list[StepBatch]) -> None:
    async for batch in worker.results():
        batches += [batch]


class Gated(FakeLabeller):
    """Holds every step until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def compute(self, plans):
        if plans:
            self.entered.set()
            assert self.gate.wait(PATIENCE)
        super().compute(plans)


async def test_results_are_those_of_the_engine():
    told = [update("u", "anna " * (i % 5), session=f"s{i % 3}") for i in range(60)]
    told += [end(f"s{i}") for i in range(3)]
    worker, batches = Worker(Engine(FakeLabeller(), Always()), queue=7), []
    reader = asyncio.create_task(collect(worker, batches))
    for offset, message in enumerate(told):
        await worker.submit(message, offset)
    await drain_worker(worker)
    assert sum(len(x.result.answered) for x in batches) == len(told)
    assert all(len(x.latencies) == len(x.result.answered) and min(x.latencies, default=0) >= 0 for x in batches)
    await worker.close()
    await reader
    expected = tell(Engine(FakeLabeller(), Always()), *told)
    got = revisions_of(x.result for x in batches)
    assert len(expected) > 20
    for session in ("s0", "s1", "s2"):
        assert [x for x in got if x.session == session] == [x for x in expected if x.session == session]


async def test_bad_input_is_raised_at_once_and_takes_no_place():
    worker, batches = Worker(Engine(FakeLabeller(), Always()), queue=1), []
    reader = asyncio.create_task(collect(worker, batches))
    for offset in range(3):
        with pytest.raises(InputError, match="unknown_session"):
            await worker.submit(end("nobody"), offset)
    await worker.submit(final("u", "anna"), 3)
    await drain_worker(worker)
    await worker.close()
    await reader
    assert [x.result.answered for x in batches] == [[Answer("s", 3)]]


async def test_submit_waits_while_the_queue_is_full():
    labeller, batches = Gated(), []
    worker = Worker(Engine(labeller, Always()), queue=2)
    reader = asyncio.create_task(collect(worker, batches))
    await worker.submit(update("u", "anna"), 0)
    await worker.submit(update("u", "anna met"), 1)
    third = asyncio.create_task(worker.submit(update("u", "anna met bob"), 2))
    await asyncio.to_thread(labeller.entered.wait, PATIENCE)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not third.done()  # the event loop runs on while the step is held
    labeller.gate.set()
    await third
    await drain_worker(worker)
    await worker.close()
    await reader
    assert [x.offset for b in batches for x in b.result.answered] == [0, 1, 2]


async def test_a_slow_reader_holds_the_source_back():
    worker = Worker(Engine(FakeLabeller(), Always()), queue=1)
    results = worker.results()
    await worker.submit(update("u", "anna"), 0)
    await anext(results)
    second = asyncio.create_task(worker.submit(update("u", "anna bob"), 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not second.done()  # the first batch is not dealt with before the next is asked for
    await anext(results)
    assert second.done()
    await worker.close()
    await results.aclose()


async def test_an_error_of_the_engine_reaches_everyone():
    class Broken(Engine):
        def step(self, clock=None):
            raise RuntimeError("broken step")

    worker = Worker(Broken(FakeLabeller(), Always()), queue=1)
    await worker.submit(update("u", "anna"), 0)
    with pytest.raises(WorkerFailed, match="broken step"):
        await collect(worker, [])
    with pytest.raises(WorkerFailed, match="broken step"):
        await worker.submit(update("u", "anna"), 1)
    with pytest.raises(WorkerFailed, match="broken step"):
        await drain_worker(worker)
    await worker.close()


async def test_close_leaves_what_waits_and_ends_the_results():
    labeller, batches = Gated(), []
    worker = Worker(Engine(labeller, Always()))
    reader = asyncio.create_task(collect(worker, batches))
    for offset in range(3):
        await worker.submit(update("u", "anna " * (offset + 1)), offset)
    await asyncio.to_thread(labeller.entered.wait, PATIENCE)
    closing = asyncio.create_task(worker.close())
    await asyncio.sleep(0)
    labeller.gate.set()
    await closing
    await worker.close()
    await reader
    assert [x.offset for b in batches for x in b.result.answered] == [0]
    with pytest.raises(WorkerFailed, match="closed"):
        await worker.submit(update("u", "x"), 3)


async def test_idle_sessions_are_closed_by_the_worker():
    worker = Worker(Engine(FakeLabeller(), Always(), idle_seconds=0.01))
    results = worker.results()
    await worker.submit(update("u", "anna"), 0)
    finals = []
    while not finals:
        finals = [x for x in (await anext(results)).result.revisions if x.final]
    assert finals[0].offset == 0
    await worker.close()
    await results.aclose()


async def test_overload_is_told_when_it_begins_and_when_it_ends_even_if_nothing_comes_any_more():
    governor, now, batches = Governor(0.01), [0.0], []
    labeller = Gated()
    worker = Worker(Engine(labeller, Always(), governor=governor), clock=lambda: now[0])
    reader = asyncio.create_task(collect(worker, batches))
    await worker.submit(update("u", "anna met"), 0)
    await asyncio.to_thread(labeller.entered.wait, PATIENCE)
    await worker.submit(update("u", "anna met bob"), 1)
    now[0] = 7.0  # while the first step is held
    labeller.gate.set()
    await drain_worker(worker)
    assert [x.overload_change.overloaded for x in batches if x.overload_change] == [True]
    assert batches[1].overload_change is not None
    assert batches[1].overload_change.waited == 7.0
    assert governor.level
    async with asyncio.timeout(PATIENCE):
        while governor.overloaded or len(batches) < 3:
            now[0] += 1.0
            await asyncio.sleep(0.01)  # the compute thread looks again by itself
    assert [x.overload_change.overloaded for x in batches if x.overload_change] == [True, False]
    assert not batches[-1].result.answered
    await worker.close()
    await reader


async def test_what_is_put_before_a_wake_finds_itself_in_one_step():
    worker, batches = Worker(Engine(FakeLabeller(), Always()), queue=4), []
    reader = asyncio.create_task(collect(worker, batches))
    await worker.submit(update("u", "anna", session="first"), 0)
    await drain_worker(worker)
    for offset in range(1, 6):
        worker.enqueue(update("u", "anna", session=f"s{offset}"), offset)  # one more than there is room for
    assert worker.full
    worker.wake()
    await drain_worker(worker)
    assert [len(x.result.answered) for x in batches] == [1, 5]
    assert not worker.full
    with pytest.raises(InputError):
        worker.enqueue(end("nobody"), 6)
    await worker.close()
    await reader
    with pytest.raises(WorkerFailed):
        worker.enqueue(update("u", "bob"), 7)


async def test_who_waits_for_room_wakes_the_engine():
    worker, batches = Worker(Engine(FakeLabeller(), Always()), queue=1), []
    reader = asyncio.create_task(collect(worker, batches))
    await worker.submit(update("u", "anna"), 0)
    await drain_worker(worker)  # the thread sleeps now
    worker.enqueue(update("u", "anna met"), 1)
    async with asyncio.timeout(PATIENCE):
        await worker.wait_for_capacity()
    await worker.close()
    await reader


async def test_a_source_may_rest_while_a_step_runs_and_only_then():
    ticks = iter(range(0, 10_000, 10))
    labeller = Gated()
    labeller.gate.set()
    worker, batches = Worker(Engine(labeller, Always()), clock=lambda: float(next(ticks))), []
    reader = asyncio.create_task(collect(worker, batches))
    assert worker.pause_before_submit(3.0) == 0
    await worker.submit(update("u", "anna"), 0)
    assert worker.pause_before_submit(3.0) == 0  # nobody knows yet how long a step takes
    await drain_worker(worker)
    assert worker.pause_before_submit(3.0) == 0
    labeller.gate.clear()
    labeller.entered.clear()
    await worker.submit(update("u", "anna met"), 1)
    assert worker.pause_before_submit(3.0) == 3.0
    assert worker.pause_before_submit(1e9) == batches[0].step_seconds / 2
    labeller.gate.set()
    await drain_worker(worker)
    assert worker.pause_before_submit(3.0) == 0
    await worker.close()
    await reader


async def test_a_step_waits_until_what_supersedes_its_updates_is_read(monkeypatch):
    monkeypatch.setattr("stream.engine.worker.LOOP_SECONDS", PATIENCE)
    labeller = Gated()
    worker, texts = (
        Worker(Engine(labeller, Always(), coalesce=True)),
        [f"{number * chr(46)}anna" for number in range(60)],
    )
    reading = asyncio.create_task(read_offsets(worker))
    await worker.submit(update("u", "anna", session="first"), 0)
    assert await asyncio.to_thread(labeller.entered.wait, PATIENCE)

    def say(offset: int) -> None:
        """One frame in each iteration of the event loop, as sockets are read."""
        worker.enqueue(update("u", texts[offset]), offset)
        worker.wake()
        if offset == 20:
            labeller.gate.set()
        if offset > 20:
            time.sleep(0.02)  # reading takes so long that steps could begin in between
        if offset + 1 < len(texts):
            asyncio.get_running_loop().call_soon(say, offset + 1)
        else:
            all_said.set()

    all_said = asyncio.Event()
    say(0)
    await asyncio.wait_for(all_said.wait(), PATIENCE)
    await drain_worker(worker)
    await worker.close()
    # The step after the gate opens finds updates that were superseded; from then on each step waits for the newest.
    labelled = [offset for session, offset in await reading if session == "s"]
    assert labelled[-1] == len(texts) - 1
    assert len(labelled) <= 3


async def read_offsets(worker: Worker) -> list[tuple[str, int]]:
    return [(x.session, x.offset) async for batch in worker.results() for x in batch.result.revisions]


async def test_updates_that_supersede_others_take_no_place_in_the_queue():
    labeller = Gated()
    worker = Worker(Engine(labeller, Always(), coalesce=True), queue=3)
    reading = asyncio.create_task(read_offsets(worker))
    await worker.submit(update("u", "anna", session="first"), 0)
    assert await asyncio.to_thread(labeller.entered.wait, PATIENCE)
    for offset in range(100):
        assert worker.enqueue(update("u", f"anna {offset}"), offset) == (offset == 0)
    assert worker.enqueue(final("v", "rome"), 100)
    assert (worker.in_flight, worker.full) == (3, True)
    labeller.gate.set()
    await drain_worker(worker)
    assert worker.in_flight == 0
    await worker.close()
    assert [offset for session, offset in await reading if session == "s"] == [99, 100]
