"""Expected text of each segment after each message, with the service's rules for closed segments.

It takes only messages that were accepted (stream/ingest/queue.py), and ignores labels.
"""

from dataclasses import dataclass, field

from stream.messages.types import Delete, End, Message, Update
from stream.sessions.session import close_and_forget


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """Effect of one message on one segment.

    Attributes:
        text: text after the message; empty if the segment is deleted.
        created: whether the segment is new, or its name was free again.
        final: whether a revision that answers the message must be final.
        was_closed: whether the segment was closed before, so that the message edits or deletes it.
        deleted: whether the message deletes the segment.
    """

    segment: str
    text: str
    created: bool
    final: bool
    was_closed: bool
    deleted: bool = False


@dataclass(slots=True)
class _SegmentText:
    text: str = ""
    closed: bool = False


@dataclass(slots=True)
class ExpectedSession:
    """Texts of one session; closed segments are forgotten as the service forgets them."""

    segments: dict[str, _SegmentText] = field(default_factory=dict)

    def apply(self, message: Message) -> list[ExpectedChange]:
        """Apply the next message; returns its effects, one for each segment."""
        if isinstance(message, Update):
            return [self._write(message)]
        if isinstance(message, Delete):
            deleted = self.segments.pop(message.segment, _SegmentText())
            return [ExpectedChange(message.segment, "", False, True, deleted.closed, deleted=True)]
        changes = [
            ExpectedChange(name, entry.text, False, True, False)
            for name, entry in self.segments.items()
            if not entry.closed
        ]
        self.segments.clear()
        return changes

    def is_closed(self, segment: str) -> bool:
        """Whether the segment is closed, and not yet forgotten."""
        return segment in self.segments and self.segments[segment].closed

    def _write(self, update: Update) -> ExpectedChange:
        created = update.segment not in self.segments
        entry = self.segments.setdefault(update.segment, _SegmentText())
        was_closed = entry.closed
        entry.text = entry.text + update.text if update.mode == "append" else update.text
        if update.final and not was_closed:
            close_and_forget(self.segments, update.segment)
        return ExpectedChange(update.segment, entry.text, created, entry.closed, was_closed)


@dataclass(slots=True)
class ExpectedSessions:
    """All sessions, and the first partition of each."""

    sessions: dict[str, ExpectedSession] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)
    scattered: set[str] = field(default_factory=set)
    """Sessions with messages in several partitions, whose order is not guaranteed."""

    def is_elsewhere(self, session: str, partition: int) -> bool:
        """Whether a message of the session, this one or an earlier one, is outside its first partition."""
        if self.partitions.get(session, partition) != partition:
            self.scattered.add(session)
        return session in self.scattered

    def apply(self, message: Message) -> list[ExpectedChange]:
        """Apply the next message of its session."""
        expected = self.sessions.setdefault(message.session, ExpectedSession())
        changes = expected.apply(message)
        if isinstance(message, End):
            del self.sessions[message.session]
        return changes

    def is_closed(self, session: str, segment: str) -> bool:
        """Whether the segment is closed after the applied messages."""
        expected = self.sessions.get(session)
        return expected is not None and expected.is_closed(segment)
