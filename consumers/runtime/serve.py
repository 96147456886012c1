"""Process of `hearken serve`: runs one service from its start to a signal."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError

from consumers.common.gc_tuning import tune_interpreter
from consumers.common.settings import ServiceSettings
from consumers.common.tracing.spans import SpanRecorder, recording_spans
from consumers.common.worker_board import WorkerSlot
from consumers.formats.ignored import IgnoredRecords
from consumers.formats.readers import NORMAL, make_reader
from consumers.http.settings import HttpSettings
from consumers.runtime.engine_factory import log_loaded

if TYPE_CHECKING:
    from consumers.kafka.service.service import Service
    from stream.engine.engine import Engine
    from stream.engine.worker import Worker

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)
BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ServeWorker:
    """One of several workers."""

    slot: WorkerSlot
    listener: socket.socket | None
    """Bound socket for HTTP; None for no HTTP."""


@contextmanager
def stopped_by_signals(stop_pipe: int | None = None) -> Iterator[asyncio.Event]:
    """Give an event that the first SIGTERM or SIGINT sets; a second signal has its default action.

    The end of a supervisor's stop pipe (`WorkerSlot`) sets it too, and does not count as a signal.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_pipe_end() -> None:
        assert stop_pipe is not None
        loop.remove_reader(stop_pipe)  # the end of a pipe stays readable
        stop.set()

    def on_signal() -> None:
        remove_handlers()
        stop.set()

    def remove_handlers() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # a supervisor's worker starts with them blocked
    if stop_pipe is not None:
        loop.add_reader(stop_pipe, on_pipe_end)
    try:
        yield stop
    finally:
        if stop_pipe is not None:
            loop.remove_reader(stop_pipe)
        remove_handlers()


async def serve_until_signal(
    settings: ServiceSettings,
    make_engine: Callable[[], "Engine"],
    http: HttpSettings | None = None,
    format: str = NORMAL,
    member: ServeWorker | None = None,
    tracing: bool = False,
) -> None:
    """Serve until a signal, then finish what is in flight, commit and leave the group.

    HTTP is available from when the tagger is loaded and its kernels are compiled until all of that is done, so health
    can be asked throughout.

    `make_engine` is called in a thread; `format` is that of the records, as `--format` has it; `member` is this worker
    among several; `tracing` records spans.

    Raises:
        SettingError: from `make_engine`, or the port cannot be bound.
        BrokerUnreachable: no broker answered.
        ServiceFailed: an unexpected error; what was not committed will be read again.
    """
    with stopped_by_signals(member.slot.stop_pipe if member else None) as stop, _bound(http, member) as listener:
        engine = await asyncio.to_thread(make_engine)
        if member is None:  # else the supervisor has done it
            from consumers.runtime.warm import warm_engine  # slow to import

            await asyncio.to_thread(warm_engine, engine, stop.is_set)
        if not stop.is_set():
            asyncio.get_running_loop().set_exception_handler(_handle_loop_error)
            if member is None:  # else the supervisor has loaded and logged it
                log_loaded(engine)
            watchdog = asyncio.create_task(force_exit_after(stop, 2 * settings.shutdown_seconds + 20))
            try:
                async with recording_spans(tracing) as spans:
                    await _run(settings, engine, stop, http, listener, format, member, spans)
            finally:
                watchdog.cancel()


def _bound(http: HttpSettings | None, member: ServeWorker | None) -> AbstractContextManager[socket.socket | None]:
    """Give the bound HTTP socket; a supervisor has bound it already."""
    if member is not None:
        return member.listener or nullcontext()
    if http is None:
        return nullcontext()
    from consumers.http.server import bind_socket

    return bind_socket(http) or nullcontext()


async def _run(
    settings: ServiceSettings,
    engine: "Engine",
    stop: asyncio.Event,
    http: HttpSettings | None,
    listener: socket.socket | None,
    format: str,
    member: ServeWorker | None,
    spans: SpanRecorder | None,
) -> None:
    from consumers.kafka.service.observer import ServiceObservers
    from consumers.kafka.service.service import Service
    from consumers.kafka.service.span_observer import SpanObserver
    from stream.engine.worker import Worker

    worker, ignored = Worker(engine, queue=settings.in_flight), IgnoredRecords()
    reader = make_reader(format, engine.intake.segments, ignored=ignored)
    slot = member.slot if member else None
    traced = [SpanObserver(spans, settings.group, settings.topics.output)] if spans else []
    if http is None or listener is None:
        service = Service(settings, worker, observer=ServiceObservers(traced), reader=reader)
        tune_interpreter()
        async with sending_heartbeats(slot, worker, service):
            return await service.run(stop)
    from consumers.http.frontend import HttpFrontend

    front = HttpFrontend(http, worker, slot, ignored, spans)
    service = Service(settings, worker, observer=ServiceObservers([front.observer, *traced]), reader=reader)
    tune_interpreter()
    async with sending_heartbeats(slot, worker, service), front.serve(listener, service):
        await service.run(stop)


@asynccontextmanager
async def sending_heartbeats(slot: WorkerSlot | None, worker: "Worker", service: "Service") -> AsyncIterator[None]:
    """Write this worker's heartbeat, and whether it is stuck, to the worker board inside the block."""
    if slot is None:
        yield
        return
    from consumers.http.ops.stalls import STALL_SECONDS, find_stalls

    async def beat() -> None:
        while True:
            slot.board.beat(slot.worker, bool(find_stalls(worker, service, STALL_SECONDS)))
            await asyncio.sleep(BEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


def _handle_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore Kafka errors that no task awaited: a producer that is given up leaves some, and its reason is logged."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


async def force_exit_after(stop: asyncio.Event, seconds: float) -> None:
    """Exit the process this long after `stop` was set, if it still runs: clients of an absent broker may hang.

    This loses nothing: what is not committed is read again.
    """
    await stop.wait()
    timer = threading.Timer(seconds, _force_exit, (seconds,))
    timer.daemon = True
    timer.start()


def _force_exit(seconds: float) -> None:
    log.error("exit_forced", seconds=seconds)
    os._exit(1)
