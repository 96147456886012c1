"""Logging to standard error: one event per line, with session, partition and offset where they apply.

Texts of transcripts are personal data and are logged only on request. An error is therefore described by its type and
its traceback; its message could quote the text.
"""

import logging
import sys
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Literal

from consumers.common.broker_outages import BrokerOutages

if TYPE_CHECKING:
    from collections.abc import Callable

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
    if not text:
        handler.addFilter(_AsyncioDetails())
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
    if isinstance(session, str):
        session = _hide_session(session) if _hide_session else session
        event["session"] = session if session.isprintable() else ascii(session)
    return event


_hide_session: "Callable[[str], str] | None" = None


def hide_personal_data(hide_session: "Callable[[str], str] | None") -> None:
    """Keep texts out of what is printed when this process crashes, and ids of sessions out of its log.

    Of an error that ends the process or a thread its type and its traceback are printed: its message may quote a text.

    Args:
        hide_session: gives the name under which a session is logged; None: its id.
    """
    global _hide_session
    _hide_session = hide_session
    sys.excepthook = lambda kind, error, trace: _print_crash(error)
    threading.excepthook = lambda args: _print_crash(args.exc_value)
    sys.unraisablehook = lambda args: _print_crash(args.exc_value)


def _print_crash(error: BaseException | None) -> None:
    sys.stderr.write(describe_error(error) + "\n")


class _AsyncioDetails(logging.Filter):
    """Leaves the description of a task out of what asyncio logs of it: it quotes the message of its error."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "asyncio" and record.exc_info:
            record.msg, record.args = record.getMessage().split("\n", 1)[0], ()
        return True


def _describe_error(logger: object, name: str, event: "EventDict") -> "EventDict":
    """Replace an exception by the types and tracebacks of it and its causes."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = describe_error(error)
    return event


def describe_error(error: BaseException | None) -> str:
    """Return the types and tracebacks of an error and its causes, without their messages."""
    parts: list[str] = []
    while isinstance(error, BaseException) and len(parts) < 10:
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        parts.insert(0, "".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(parts)
