"""Logs: to standard error, one event a line. No text of a transcript is ever logged: it may be private."""

import logging
import sys
from collections.abc import Sequence
from typing import Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]


def configure_logging(level: Level = "info") -> None:
    """Send structlog's and the libraries' events to standard error; JSON lines when nobody watches a terminal."""
    number = {"debug": 10, "info": 20, "warning": 30, "error": 40}[level]
    shared: Sequence[structlog.typing.Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    tty = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if tty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
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


def _drop_record_keys(logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, name, event)
