"""Log events about messages: where they are, and their text only if that was asked for."""

import structlog

from consumers.kafka.in_flight import ConsumedRecord
from stream.messages.types import Message, Update
from stream.messages.validation import MAX_ID
from stream.overload.governor import OverloadChange
from stream.sessions.step_result import Failure, FormatDifference, StepResult

log = structlog.get_logger()

LOGGED_LETTERS, LOG_EVERY = 20, 1000
"""Dead letters of one reason that are logged: the first ones, then every thousandth."""


def log_message(message: Message, record: ConsumedRecord) -> None:
    """Log a message that was taken, with its text."""
    text = message.text if isinstance(message, Update) else None
    place = {"partition": record.partition, "offset": record.offset}
    log.info("message_received", session=message.session, **place, kind=type(message).__name__.lower(), text=text)


def log_dead_letter(reason: str, record: ConsumedRecord, count: int) -> None:
    """Log a record that cannot be used. Of many records with the same reason only some are logged."""
    if count <= LOGGED_LETTERS or count % LOG_EVERY == 0:
        session = (record.key or b"")[:MAX_ID].decode("utf-8", "replace")
        place = {"partition": record.partition, "offset": record.offset}
        log.warning("dead_letter_written", reason=reason, session=session, **place, count=count)


def log_clock_fault(fault: str, record: ConsumedRecord, now: float, count: int) -> None:
    """Log a timestamp that cannot be the time of production; a missing one is no fault of a clock."""
    if fault != "missing" and (count == 1 or count % LOG_EVERY == 0):
        place = {"partition": record.partition, "offset": record.offset}
        log.warning(
            "record_clock_wrong", reason=fault, **place, seconds=round(now - record.timestamp / 1000), count=count
        )


def log_failure(failure: Failure, record: ConsumedRecord | None) -> None:
    """Log a failure of the labeller, which is a bug of ours."""
    partition = record.partition if record else None
    place = {"partition": partition, "offset": failure.offset}
    log.error("labelling_failed", session=failure.session, **place, exc_info=failure.error)


def log_format_difference(difference: FormatDifference) -> None:
    """Log that a worker of another number format has written sessions of this one."""
    log.warning("number_formats_differ", **difference._asdict())


def log_forced_closings(result: StepResult, count: int) -> None:
    """Log that sessions have too many open segments: the first time, and then about every thousandth.

    Args:
        result: of a step that closed segments because of the limit.
        count: such segments so far, with those of the step.
    """
    new = result.stats.forced_closings
    if count == new or count // LOG_EVERY > (count - new) // LOG_EVERY:
        revision = next((x for x in result.revisions if x.closed_by == "open_segments"), None)
        log.warning("segments_closed_by_limit", session=revision.session if revision else None, count=count)


def log_overload_change(change: OverloadChange) -> None:
    """Log that restarts begin or cease to be limited."""
    if change.cause == "budget":
        if change.overloaded:
            log.warning("budget_exceeded")
        else:
            log.info("budget_recovered", seconds=round(change.seconds, 1), shortened=change.shortened)
    elif change.overloaded:
        log.warning("overload_started", waited=round(change.waited, 3))
    else:
        log.info("overload_ended", seconds=round(change.seconds, 1), shortened=change.shortened)
