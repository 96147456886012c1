"""Logs: to standard error, one event a line, with session, partition and offset where it is about one.

No text of a transcript is logged unless that was asked for: it is personal data. So an error is told by its kind and by
where it happened; its message may quote what it failed on.
"""

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Literal

import structlog
from structlog.typing import EventDict

Level = Literal["debug", "info", "warning", "error"]


def configure_logging(level: Level = "info", text: bool = False, worker: int | None = None) -> None:
    """Send structlog's and the libraries' events to standard error; JSON lines when nobody watches a terminal.

    Args:
        level: the least that is logged.
        text: log the messages of errors too, whatever they quote.
        worker: every line says which of several workers it is; None: there is but one.
    """
    number = {"debug": 10, "info": 20, "warning": 30, "error": 40}[level]
    shared: Sequence[structlog.typing.Processor] = (
        structlog.contextvars.merge_contextvars,
        *([] if worker is None else [_WorkerField(worker)]),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tame_session,
        structlog.processors.format_exc_info if text else _tell_trace,
    )
    tty = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line in one piece: processes share the stream
    )
    # Libraries speak up only when something is wrong: aiokafka calls every rebalance an event worth a line.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_record_keys, renderer])
    )
    # Brokers refuse the first records of a transaction that follows another closely, and take them 10 ms later.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    # It knows no generations, so a member that comes back claims what others have; that is settled, not wrong.
    logging.getLogger("aiokafka.coordinator.assignors.sticky.sticky_assignor").setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


class _WorkerField:
    """Not by a context variable, which a thread does not inherit."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, logger: object, name: str, event: EventDict) -> EventDict:
        return {"worker": self._number, **event}


def _drop_record_keys(logger: object, name: str, event: EventDict) -> EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, name, event)


def _tame_session(logger: object, name: str, event: EventDict) -> EventDict:
    """Anybody can name a session; a terminal must not obey it."""
    session = event.get("session")
    if isinstance(session, str) and not session.isprintable():
        event["session"] = ascii(session)
    return event


def _tell_trace(logger: object, name: str, event: EventDict) -> EventDict:
    """Of an error, and of what led to it, tell the kind and the places."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    told: list[str] = []
    while isinstance(error, BaseException) and len(told) < 10:
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        told.insert(0, "".join(traceback.format_tb(error.__traceback__)) + kind)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if told:
        event["exception"] = "\n".join(told)
    return event
