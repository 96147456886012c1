"""`hearken listen`: labels over HTTP, and no Kafka."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from consumers.cli.http_options import HttpHostOption, HttpPortOption, HttpTokenFileOption
from consumers.cli.options import (
    DeviceOption,
    IdleOption,
    LogOption,
    NumberFormatOption,
    OverloadOption,
    PolicyOption,
    StabilityOption,
    TaggerOption,
)
from consumers.common.errors import ServiceFailed
from consumers.common.logs import configure_logging
from consumers.common.settings import (
    DEFAULT_IDLE_SECONDS,
    DEFAULT_OVERLOAD_SECONDS,
    DEFAULT_POLICY,
    DEFAULT_STABILITY,
    SettingError,
    check_seconds,
    parse_taggers,
)
from consumers.http.settings import DEFAULT_HOST, HttpSettings, read_settings

if TYPE_CHECKING:
    from consumers.kafka.service.observer import ServiceObserver
    from stream.engine.engine import Engine
    from stream.engine.worker import Worker

log = structlog.get_logger()


def listen(
    http_host: HttpHostOption = DEFAULT_HOST,
    http_port: HttpPortOption = None,
    http_token_file: HttpTokenFileOption = None,
    tagger: TaggerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    stability: StabilityOption = DEFAULT_STABILITY,
    device: DeviceOption = "auto",
    number_format: NumberFormatOption = "auto",
    overload_seconds: OverloadOption = DEFAULT_OVERLOAD_SECONDS,
    idle_seconds: IdleOption = DEFAULT_IDLE_SECONDS,
    log_level: LogOption = "info",
) -> None:
    """Label what comes over HTTP and WebSockets, without Kafka, until SIGTERM."""
    configure_logging(log_level)
    from consumers.runtime.engine_factory import build_engine

    http = read_settings(http_host, http_port, http_token_file)
    if http is None:
        raise SettingError("http_port", "`hearken listen` is HTTP and nothing else, so it needs a port")
    check_seconds("idle_seconds", idle_seconds)
    if overload_seconds:
        check_seconds("overload_seconds", overload_seconds)
    make_engine = lambda: build_engine(  # noqa: E731
        parse_taggers(tagger),
        policy,
        coalesce=True,
        stability=stability,
        idle_seconds=idle_seconds,
        overload_seconds=overload_seconds,
        device=device,
        number_format=number_format,
    )
    asyncio.run(listen_until_signal(http, make_engine))


async def listen_until_signal(http: HttpSettings, make_engine: Callable[[], "Engine"]) -> None:
    """Answer until a signal; requests that are at work then may end.

    Args:
        http: see there; its port must be free, whether it was asked for or not.
        make_engine: called in a thread; it may take its time.

    Raises:
        SettingError: from `make_engine`, or the port cannot be had.
        ServiceFailed: the engine stopped.
    """
    from consumers.http.frontend import HttpFrontend
    from consumers.http.server import bind
    from consumers.runtime.serve import end_at_last, stopped_by_signals
    from stream.engine.worker import Worker

    at = bind(http, must=True)
    assert at is not None
    with at, stopped_by_signals() as stop:
        engine = await asyncio.to_thread(make_engine)
        log.info("tagger loaded", tagger=", ".join(engine.names))
        worker = Worker(engine)
        front = HttpFrontend(http, worker)
        watchdog = asyncio.create_task(end_at_last(stop, 2.0 * http.grace_seconds + 20))
        relay = asyncio.create_task(_relay(worker, front.tap))
        stopping = asyncio.create_task(stop.wait())
        try:
            async with front.open(at):
                await asyncio.wait([relay, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await worker.close()
            failed = (await asyncio.gather(relay, return_exceptions=True))[0]
            watchdog.cancel()
        if isinstance(failed, BaseException):
            raise ServiceFailed(str(failed)) from failed
        log.info("stopped")


async def _relay(worker: "Worker", tap: "ServiceObserver") -> None:
    from consumers.kafka.service.event_log import tell_failure, tell_shift

    async for batch in worker.results():
        if batch.shift:
            tell_shift(batch.shift)
        for failure in batch.result.failures:
            tell_failure(failure, None)
        tap.stepped(batch)
