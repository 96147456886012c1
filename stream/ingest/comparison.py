"""Second part of ingest: comparison of a valid message with the text received before.

It stores what the message says in the received session, and gives the operations that bring the labels up to it.
"""

from typing import NamedTuple

from stream.ingest.received import ReceivedSegment, ReceivedSession
from stream.messages.types import Delete, End, Message, Update
from stream.messages.word_times import retime
from stream.sessions.operations import EndSession, Operation, Remove, Write
from stream.sessions.session import REMEMBERED_SEGMENTS, close_and_forget

MAX_OPEN_SEGMENTS = 64


class SegmentLimits(NamedTuple):
    """Limits of the segments of one session."""

    open: int = MAX_OPEN_SEGMENTS
    """Segments that can be open at the same time; a new one closes the oldest."""
    remembered: int = REMEMBERED_SEGMENTS
    """Closed segments that can still be edited or deleted."""


DEFAULT_LIMITS = SegmentLimits()


class ComparedOperation(NamedTuple):
    """An operation, with the received session and segment that it is about."""

    operation: Operation
    session: ReceivedSession
    segment: ReceivedSegment | None = None


def compare_message(
    message: Message, session: ReceivedSession, offset: int, limits: SegmentLimits
) -> list[ComparedOperation]:
    """Apply a message that has passed `check_in_session` to its session as received, a new one if none is active."""
    if isinstance(message, Update):
        closings = _close_oldest(message, session, offset, limits)
        return [*closings, _compare_update(message, session, offset, limits.remembered)]
    if isinstance(message, Delete):
        session.offset = offset
        removed = session.segments.pop(message.segment)
        return [ComparedOperation(Remove(message.session, [offset], message.segment, offset), session, removed)]
    assert isinstance(message, End)
    return close_received(message.session, session, offset, [offset])


def close_received(name: str, session: ReceivedSession, offset: int, answers: list[int]) -> list[ComparedOperation]:
    """Give the operations that end a session: a final write of each open segment, in order of opening, then the end.

    `offset` is the message that ends it, or the last one that changed it; `answers` is empty if no message ends it.
    """
    closings = []
    for segment_name in session.open_segments():
        segment = session.segments[segment_name]
        cost = _estimate_tokens(segment.text, segment.text, whole=True)
        closings.append(
            ComparedOperation(_write(name, [], segment_name, segment, True, offset, cost), session, segment)
        )
    return [*closings, ComparedOperation(EndSession(name, answers, offset), session)]


def _close_oldest(
    update: Update, session: ReceivedSession, offset: int, limits: SegmentLimits
) -> list[ComparedOperation]:
    """Close the segment that opened first, with its text as received, if an update opens one beyond the limit.

    The write says which message of that segment was the last: one that comes later, even in the same record, edits it.
    """
    if update.segment in session.segments or update.final:
        return []
    if sum(not x.closed for x in session.segments.values()) < limits.open:
        return []
    name = session.open_segments()[0]
    segment = session.segments[name]
    cost = _estimate_tokens(segment.text, segment.text, whole=True)
    write = _write(update.session, [], name, segment, True, offset, cost)
    write.applied = segment.applied if segment.waiting is None else segment.waiting.offset
    write.closed_by = "open_segments"
    close_and_forget(session.segments, name, limits.remembered)
    return [ComparedOperation(write, session, segment)]


def _compare_update(update: Update, session: ReceivedSession, offset: int, remember_segments: int) -> ComparedOperation:
    name, known = update.segment, session.segments.get(update.segment)
    segment = known or ReceivedSegment(opened=session.position)
    text = segment.text + update.text if update.mode == "append" else update.text
    times = retime(segment.text, segment.times, text, update)
    closing, final = update.final and not segment.closed, update.final or segment.closed
    changes_text = text != segment.text
    confirmed = _confirmed(update, segment, text)
    changes_details = times != segment.times or confirmed != segment.confirmed or _changes_speaker(update, segment)
    if known is None or closing or changes_text or changes_details:
        session.offset = offset
    cost = _estimate_tokens(segment.text, text, whole=final) if closing or changes_text else 0
    segment.speaker, segment.channel = update.speaker or segment.speaker, update.channel or segment.channel
    segment.text, segment.times, segment.confirmed = text, times, confirmed
    session.segments[name] = segment
    if closing:
        close_and_forget(session.segments, name, remember_segments)
    write = _write(update.session, [offset], name, segment, final, offset, cost)
    return ComparedOperation(write, session, segment)


def _confirmed(update: Update, segment: ReceivedSegment, text: str) -> int:
    """Return how many characters at the beginning of a segment's new text its source will not rewrite."""
    if update.confirmed is None:
        return segment.confirmed if update.mode == "append" else 0
    return max(0, min(update.confirmed, len(text)))


def _changes_speaker(update: Update, segment: ReceivedSegment) -> bool:
    """Tell whether an update names another speaker or channel than is known. An update without one changes nothing."""
    return update.speaker not in (None, segment.speaker) or update.channel not in (None, segment.channel)


def _write(
    session: str, answers: list[int], name: str, segment: ReceivedSegment, final: bool, offset: int, cost: int
) -> Write:
    x = segment
    return Write(
        session,
        answers,
        name,
        x.text,
        x.times,
        final,
        offset,
        x.speaker,
        x.channel,
        x.opened,
        cost,
        confirmed=x.confirmed,
    )


def _estimate_tokens(before: str, text: str, whole: bool) -> int:
    """Estimate the tokens to compute: one for four new characters, or for four of a text that is computed whole."""
    new = len(text) if whole or not text.startswith(before) else len(text) - len(before)
    return 1 + new // 4
