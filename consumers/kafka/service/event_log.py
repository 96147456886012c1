"""What the service logs of messages: where they are, and never what they say unless that was asked for."""

import structlog

from consumers.kafka.in_flight import ConsumedRecord
from stream.messages.types import Message, Update
from stream.messages.validation import MAX_ID
from stream.overload.governor import OverloadChange
from stream.sessions.step_result import Failure

log = structlog.get_logger()

TOLD_LETTERS, TOLD_OF = 20, 1000
"""Dead letters of one reason that are logged: the first ones, then one of so many."""


def tell_heard(message: Message, record: ConsumedRecord) -> None:
    """A message was taken; with its text."""
    text = message.text if isinstance(message, Update) else None
    place = {"partition": record.partition, "offset": record.offset}
    log.info("heard", session=message.session, **place, kind=type(message).__name__.lower(), text=text)


def tell_letter(reason: str, record: ConsumedRecord, count: int) -> None:
    """A record could not be used; a flood of them must not become a flood of lines."""
    if count <= TOLD_LETTERS or count % TOLD_OF == 0:
        session = (record.key or b"")[:MAX_ID].decode("utf-8", "replace")
        place = {"partition": record.partition, "offset": record.offset}
        log.warning("dead letter", reason=reason, session=session, **place, count=count)


def tell_failure(failure: Failure, record: ConsumedRecord | None) -> None:
    """Labelling failed: a bug of ours."""
    partition = record.partition if record else None
    place = {"partition": partition, "offset": failure.offset}
    log.error("labelling failed", session=failure.session, **place, exc_info=failure.error)


def tell_shift(shift: OverloadChange) -> None:
    """Restarts begin or end to be shortened."""
    if shift.cause == "budget":
        if shift.overloaded:
            log.warning("the budget is spent; restarts are shortened")
        else:
            log.info("the budget suffices again", seconds=round(shift.seconds, 1), shortened=shift.shortened)
    elif shift.overloaded:
        log.warning("overloaded; restarts are shortened", waited=round(shift.waited, 3))
    else:
        log.info("overload is over", seconds=round(shift.seconds, 1), shortened=shift.shortened)
