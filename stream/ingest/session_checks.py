"""First part of ingest: validation of a message against its session. It changes nothing."""

from stream.ingest.received import ReceivedSession
from stream.messages.errors import InputError
from stream.messages.types import Delete, Message, Update
from stream.messages.validation import check_length


def check_in_session(message: Message, session: ReceivedSession | None) -> None:
    """Check that a message can be applied to its session; `session` is None if it is not active.

    Raises:
        InputError: unknown_session, unknown_segment or text_too_long.
    """
    if isinstance(message, Update):
        if session is not None:
            _check_update(message, session)
    elif session is None:
        raise InputError("unknown_session", f"there is no session {message.session!r}")
    elif isinstance(message, Delete) and message.segment not in session.segments:
        raise InputError("unknown_segment", f"session {message.session!r} has no segment {message.segment!r}")


def _check_update(update: Update, session: ReceivedSession) -> None:
    segment = session.segments.get(update.segment)
    if segment is not None and update.mode == "append":
        check_length(len(segment.text) + len(update.text))
