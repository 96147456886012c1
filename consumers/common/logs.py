"""Logging to standard error: one event per line, with session, partition and offset where they apply.

Texts of transcripts are personal data and are logged only on request. An error is therefore described by its type and
its traceback; its message could quote the text.
"""

import logging
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Literal

from consumers.common.broker_outages import BrokerOutages

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

Level = Literal["debug", "info", "warning", "error"]


def configure_logging(level: Level = "info", text: bool = False, worker: int | None = None) -> None:
    """Send events of structlog and of libraries to standard error, as JSON lines if it is not a terminal.

    Args:
        level: lowest level that is logged.
        text: log the messages of errors too, whatever they quote.
        worker: number of this worker, for each line; None: there is only one.
    """
    import structlog  # slow to import

    number = {"debug": 10, "info": 20, "warning": 30, "error": 40}[level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        *([] if worker is None else [partial(_add_worker, worker=worker)]),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _escape_session,
        structlog.processors.format_exc_info if text else _describe_error,
    ]
    tty = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write per line: processes share the stream
    )
    # Libraries log only warnings: aiokafka logs each rebalance at level info.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    handler.addFilter(BrokerOutages())
    logging.getLogger("aiokafka.cluster").setLevel(logging.DEBUG)  # tells the filter that brokers are back
    # Brokers refuse the first records of a transaction that closely follows another, and accept them 10 ms later.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    # The assignor does not know generations, so a returning member claims partitions of others; that is resolved.
    logging.getLogger("aiokafka.coordinator.assignors.sticky.sticky_assignor").setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def _add_worker(logger: object, name: str, event: "EventDict", worker: int) -> "EventDict":
    """Add the worker's number; a context variable would not do, since threads do not inherit it."""
    return {"worker": worker, **event}


def _escape_session(logger: object, name: str, event: "EventDict") -> "EventDict":
    """Escape control characters: clients choose the names of sessions, and a terminal must not obey them."""
    session = event.get("session")
    if isinstance(session, str) and not session.isprintable():
        event["session"] = ascii(session)
    return event


def _describe_error(logger: object, name: str, event: "EventDict") -> "EventDict":
    """Replace an exception by the types and tracebacks of it and its causes."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    parts: list[str] = []
    while isinstance(error, BaseException) and len(parts) < 10:
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        parts.insert(0, "".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if parts:
        event["exception"] = "\n".join(parts)
    return event
