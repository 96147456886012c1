"""`hearken listen`: labels over HTTP and WebSockets, without Kafka."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from consumers.cli.flags import Select
from consumers.cli.options import HttpFlags, LogLevelOption, TracingOption
from consumers.common.logs import configure_logging
from consumers.common.redaction import RedactionSettings
from consumers.common.settings import EngineSettings, SettingError


@dataclass(frozen=True, kw_only=True)
class ListenCommand:
    """Settings of `hearken listen`."""

    http: HttpFlags
    engine: Annotated[
        EngineSettings,
        Select(
            "tagger policy stability score_threshold settled_threshold publish_settled promise_alpha "
            "promise_epsilon device number_format overload_seconds idle_seconds"
        ),
    ]
    redaction: RedactionSettings
    tracing: TracingOption = False
    log_level: LogLevelOption = "info"


def listen(settings: ListenCommand) -> None:
    """Label texts that come over HTTP and WebSockets until SIGTERM, without Kafka."""
    configure_logging(settings.log_level)
    settings.redaction.hide_personal_data()
    from consumers.common.tracing.spans import check_tracing
    from consumers.runtime.engine_factory import build_engine, check_engine
    from consumers.runtime.listen import listen_until_signal

    http = settings.http.read()
    if http is None:
        raise SettingError("http_port", "`hearken listen` serves nothing but HTTP, so it needs a port")
    check_engine(settings.engine)
    check_tracing(settings.tracing)
    make_engine = partial(build_engine, settings.engine, settings.redaction)
    asyncio.run(listen_until_signal(http, make_engine, settings.tracing))
