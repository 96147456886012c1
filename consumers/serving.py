"""`hearken serve`: one service as a process of its own, from its start to a signal."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

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


async def serve(settings: ServiceSettings, make_engine: Callable[[], "Engine"]) -> None:
    """Serve until a signal, then finish what is in flight, commit and leave the group.

    Args:
        settings: see there.
        make_engine: called in a thread; it may take its time.

    Raises:
        SettingError: from `make_engine`.
        BrokerUnreachable: no broker answered.
        ServiceFailed: something broke; what was not committed will be read again.
    """
    with stopped_by_signals() as stop:
        engine = await asyncio.to_thread(make_engine)
        from consumers.service import Service
        from stream.worker import Worker

        if not stop.is_set():
            log.info("tagger loaded", tagger=engine.name)
            await Service(settings, Worker(engine, queue=settings.in_flight)).run(stop)
