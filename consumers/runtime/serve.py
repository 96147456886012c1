"""`hearken serve`: one service as a process of its own, from its start to a signal."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError

from consumers.common.gc_tuning import settle
from consumers.common.settings import ServiceSettings
from consumers.formats.readers import NORMAL, make_reader
from consumers.http.settings import HttpSettings

if TYPE_CHECKING:
    from consumers.kafka.service.service import Service
    from consumers.runtime.serve_many import ServeWorker
    from consumers.runtime.supervisor import WorkerSlot
    from stream.engine.engine import Engine
    from stream.engine.worker import Worker

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)
BEAT_SECONDS = 1.0


@contextmanager
def stopped_by_signals(leash: int | None = None) -> Iterator[asyncio.Event]:
    """An event that a first SIGTERM or SIGINT sets; a second one acts as if nobody had caught the first.

    So does the end of a leash, as consumers/runtime/supervisor.py has it; it is no signal, and does not count as one.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def let_go() -> None:
        assert leash is not None
        loop.remove_reader(leash)  # an end can be read for ever
        stop.set()

    def heed() -> None:
        release()
        stop.set()

    def release() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, heed)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # a supervisor's worker begins with them blocked
    if leash is not None:
        loop.add_reader(leash, let_go)
    try:
        yield stop
    finally:
        if leash is not None:
            loop.remove_reader(leash)
        release()


async def serve(
    settings: ServiceSettings,
    make_engine: Callable[[], "Engine"],
    http: HttpSettings | None = None,
    format: str = NORMAL,
    member: "ServeWorker | None" = None,
) -> None:
    """Serve until a signal, then finish what is in flight, commit and leave the group.

    HTTP is there from when the tagger is loaded until all of that is done, so health can be asked throughout.

    Args:
        settings: see there.
        make_engine: called in a thread; it may take its time.
        http: None for no HTTP.
        format: what records are, as `--format` has it.
        member: one of several workers; None: it is alone.

    Raises:
        SettingError: from `make_engine`, or the port cannot be had.
        BrokerUnreachable: no broker answered.
        ServiceFailed: something broke; what was not committed will be read again.
    """
    with stopped_by_signals(member.place.leash if member else None) as stop, _bound(http, member) as at:
        engine = await asyncio.to_thread(make_engine)
        settle()
        if not stop.is_set():
            asyncio.get_running_loop().set_exception_handler(_tell)
            if member is None:  # else it was loaded before
                log.info("tagger loaded", tagger=", ".join(engine.names))
            watchdog = asyncio.create_task(end_at_last(stop, 2 * settings.shutdown_seconds + 20))
            try:
                await _run(settings, engine, stop, http, at, format, member)
            finally:
                watchdog.cancel()


def _bound(http: HttpSettings | None, member: "ServeWorker | None") -> AbstractContextManager[socket.socket | None]:
    """The port, which a supervisor has taken already."""
    if member is not None:
        return member.at or nullcontext()
    if http is None:
        return nullcontext()
    from consumers.http.server import bind

    return bind(http) or nullcontext()


async def _run(
    settings: ServiceSettings,
    engine: "Engine",
    stop: asyncio.Event,
    http: HttpSettings | None,
    at: socket.socket | None,
    format: str,
    member: "ServeWorker | None",
) -> None:
    from consumers.kafka.service.service import Service
    from stream.engine.worker import Worker

    worker, reader = Worker(engine, queue=settings.in_flight), make_reader(format, engine.segments)
    place = member.place if member else None
    if http is None or at is None:
        service = Service(settings, worker, reader=reader)
        async with telling(place, worker, service):
            return await service.run(stop)
    from consumers.http.frontend import HttpFrontend

    front = HttpFrontend(http, worker, place)
    service = Service(settings, worker, tap=front.tap, reader=reader)
    async with telling(place, worker, service), front.open(at, service):
        await service.run(stop)


@asynccontextmanager
async def telling(place: "WorkerSlot | None", worker: "Worker", service: "Service") -> AsyncIterator[None]:
    """Let the other workers of this machine know, inside the block, that this one lives and whether it is stuck."""
    if place is None:
        yield
        return
    from consumers.http.ops.stalls import STALL_SECONDS, find_stalls

    async def beat() -> None:
        while True:
            place.board.beat(place.worker, bool(find_stalls(worker, service, STALL_SECONDS)))
            await asyncio.sleep(BEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Errors that nobody awaited. A producer that is given up leaves some behind; why it was is told elsewhere."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


async def end_at_last(stop: asyncio.Event, seconds: float) -> None:
    """Once told to stop, end the process even if something of it does not: clients of a broker that is away may wait.

    Nothing is lost: what is not committed is read again.
    """
    await stop.wait()
    timer = threading.Timer(seconds, _give_up, (seconds,))
    timer.daemon = True
    timer.start()


def _give_up(seconds: float) -> None:
    log.error("did not end in order; the process ends now, what is not committed will be read again", seconds=seconds)
    os._exit(1)
