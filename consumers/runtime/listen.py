"""Process of `hearken listen`: labels over HTTP, without Kafka, until a signal."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from consumers.common.errors import ServiceFailed
from consumers.common.gc_tuning import tune_interpreter
from consumers.common.tracing.spans import SpanRecorder, recording_spans
from consumers.http.settings import HttpSettings
from consumers.runtime.engine_factory import log_loaded
from consumers.runtime.serve import force_exit_after, stopped_by_signals

if TYPE_CHECKING:
    from consumers.kafka.service.observer import ServiceObserver
    from stream.engine.engine import Engine
    from stream.engine.worker import Worker

log = structlog.get_logger()


async def listen_until_signal(http: HttpSettings, make_engine: Callable[[], "Engine"], tracing: bool = False) -> None:
    """Answer until a signal, then let running requests finish.

    The HTTP port must be free, whether it was asked for or not. `make_engine` is called in a thread; `tracing` records
    spans.

    Raises:
        SettingError: from `make_engine`, or the port cannot be bound.
        ServiceFailed: the engine stopped.
    """
    from consumers.http.server import bind_socket

    listener = bind_socket(http, required=True)
    assert listener is not None
    async with recording_spans(tracing) as spans:
        await _serve_http(http, make_engine, listener, spans)


async def _serve_http(
    http: HttpSettings, make_engine: Callable[[], "Engine"], listener: socket.socket, spans: SpanRecorder | None
) -> None:
    with listener, stopped_by_signals() as stop:
        engine = await asyncio.to_thread(make_engine)
        from consumers.http.frontend import HttpFrontend  # slow to import
        from consumers.runtime.warm import warm_engine
        from stream.engine.worker import Worker

        await asyncio.to_thread(warm_engine, engine, stop.is_set)
        log_loaded(engine)
        worker = Worker(engine)
        front = HttpFrontend(http, worker, spans=spans)
        tune_interpreter()
        watchdog = asyncio.create_task(force_exit_after(stop, 2.0 * http.grace_seconds + 20))
        relay = asyncio.create_task(_relay(worker, front.observer))
        stopping = asyncio.create_task(stop.wait())
        try:
            async with front.serve(listener) as address:
                print(f"live page: {address}/   moderation: {address}/moderation", flush=True)
                await asyncio.wait([relay, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await worker.close()
            failed = (await asyncio.gather(relay, return_exceptions=True))[0]
            watchdog.cancel()
        if isinstance(failed, BaseException):
            raise ServiceFailed(str(failed)) from failed
        log.info("stopped")


async def _relay(worker: "Worker", observer: "ServiceObserver") -> None:
    """Give the results of all steps to the observer."""
    from consumers.kafka.service.event_log import log_failure, log_overload_change

    async for batch in worker.results():
        if batch.overload_change:
            log_overload_change(batch.overload_change)
        for failure in batch.result.failures:
            log_failure(failure, None)
        observer.on_step(batch)
