"""`hearken listen`: labels over HTTP, and no Kafka."""

import asyncio

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
from consumers.http.settings import DEFAULT_HOST, read_settings


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
    from consumers.runtime.listen import listen_until_signal

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
