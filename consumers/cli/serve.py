"""`hearken serve`: the Kafka service."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from consumers.cli.options import FormatOption, HttpFlags, LogLevelOption, TracingOption
from consumers.common.logs import configure_logging
from consumers.common.redaction import RedactionSettings
from consumers.common.settings import REDACTED_TOPIC, EngineSettings, ServiceSettings, SettingError, setting


@dataclass(frozen=True, kw_only=True)
class ServeCommand:
    """Settings of `hearken serve`."""

    service: ServiceSettings
    format: FormatOption = "normal"
    engine: EngineSettings
    redaction: RedactionSettings
    http: HttpFlags
    workers: Annotated[
        int,
        setting(
            "Number of processes that share the partitions and, in memory, the weights; at most one per core. Linux "
            "only.",
            panel="Load",
            min=1,
            max=256,
        ),
    ] = 1
    tracing: TracingOption = False
    log_level: LogLevelOption = "info"


def serve(settings: ServeCommand) -> int:
    """Label the updates of a Kafka topic until SIGTERM."""
    service, engine, format = settings.service, settings.engine, settings.format
    configure_logging(settings.log_level, service.log_text)
    settings.redaction.hide_personal_data()
    service = _name_redacted_topic(service, settings.redaction)
    from consumers.common.tracing.spans import check_tracing
    from consumers.formats.readers import check_format, default_remember_segments
    from consumers.kafka.client.security import check_cluster
    from consumers.runtime.engine_factory import build_engine, check_engine
    from consumers.runtime.serve import serve_until_signal
    from consumers.runtime.serve_many import check_workers, serve_many

    check_cluster(service.broker)
    check_format(format)
    check_workers(settings.workers)
    check_engine(engine)
    check_tracing(settings.tracing)
    http = settings.http.read()
    engine = replace(engine, remember_segments=engine.remember_segments or default_remember_segments(format))
    make_engine = partial(build_engine, engine, settings.redaction)
    if settings.workers > 1:
        log_as = partial(configure_logging, settings.log_level, service.log_text)
        return serve_many(settings.workers, service, make_engine, http, format, log_as, settings.tracing)
    asyncio.run(serve_until_signal(service, make_engine, http, format, tracing=settings.tracing))
    return 0


def _name_redacted_topic(service: ServiceSettings, redaction: RedactionSettings) -> ServiceSettings:
    """Return the settings with a topic of the redacted stream if there is one.

    Raises:
        SettingError: texts would be logged although they are redacted.
    """
    if redaction.redact is None:
        return replace(service, topics=replace(service.topics, redacted=""))
    if service.log_text:
        raise SettingError("log_text", "logs would hold what --redact hides; leave one of them out")
    return replace(service, topics=replace(service.topics, redacted=service.topics.redacted or REDACTED_TOPIC))
