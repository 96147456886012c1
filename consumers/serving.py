"""`hearken serve`: one service as a process of its own, from its start to a signal."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError

from consumers.formats.choosing import NORMAL, make_reader
from consumers.http.settings import HttpSettings
from consumers.interpreter import settle
from consumers.settings import ServiceSettings

if TYPE_CHECKING:
    from stream.engine import Engine

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that a first SIGTERM or SIGINT sets; a second one acts as if nobody had caught the first."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def heed() -> None:
        release()
        stop.set()

    def release() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, heed)
    try:
        yield stop
    finally:
        release()


async def serve(
    settings: ServiceSettings,
    make_engine: Callable[[], "Engine"],
    http: HttpSettings | None = None,
    format: str = NORMAL,
) -> None:
    """Serve until a signal, then finish what is in flight, commit and leave the group.

    HTTP is there from when the tagger is loaded until all of that is done, so health can be asked throughout.

    Args:
        settings: see there.
        make_engine: called in a thread; it may take its time.
        http: None for no HTTP.
        format: what records are, as `--format` has it.

    Raises:
        SettingError: from `make_engine`, or the port cannot be had.
        BrokerUnreachable: no broker answered.
        ServiceFailed: something broke; what was not committed will be read again.
    """
    if http is not None:
        from consumers.http.server import bind
    with stopped_by_signals() as stop, (http and bind(http)) or nullcontext() as at:
        engine = await asyncio.to_thread(make_engine)
        settle()
        if not stop.is_set():
            asyncio.get_running_loop().set_exception_handler(_tell)
            log.info("tagger loaded", tagger=", ".join(engine.names))
            watchdog = asyncio.create_task(end_at_last(stop, 2 * settings.shutdown_seconds + 20))
            try:
                await _run(settings, engine, stop, http, at, format)
            finally:
                watchdog.cancel()


async def _run(
    settings: ServiceSettings,
    engine: "Engine",
    stop: asyncio.Event,
    http: HttpSettings | None,
    at: socket.socket | None,
    format: str,
) -> None:
    from consumers.service import Service
    from stream.worker import Worker

    worker, reader = Worker(engine, queue=settings.in_flight), make_reader(format, engine.segments)
    if http is None or at is None:
        return await Service(settings, worker, reader=reader).run(stop)
    from consumers.http.front import Front

    front = Front(http, worker)
    service = Service(settings, worker, tap=front.tap, reader=reader)
    async with front.open(at, service):
        await service.run(stop)


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
