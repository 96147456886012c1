"""Expected text of each segment after each accepted message (stream/ingest/queue.py); labels are not considered."""

from dataclasses import dataclass, field

from stream.messages.types import Delete, End, Message, Update
from stream.sessions.session import close_and_forget


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """Change of one segment by one message.

    Attributes:
        text: new text of the segment; empty if it is deleted.
        created: the segment did not exist before, or its name was free again.
        final: `final` of the revision that answers the message.
        was_closed: the segment was closed before; the message edits or deletes it.
        deleted: the message deletes the segment.
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
    """Text of one session; closed segments are forgotten as in the service."""

    segments: dict[str, _SegmentText] = field(default_factory=dict)

    def apply(self, message: Message) -> list[ExpectedChange]:
        """Apply the next message; returns its changes, one per segment."""
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
    """All sessions, and the partition of the first message of each."""

    sessions: dict[str, ExpectedSession] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)
    scattered: set[str] = field(default_factory=set)
    """Sessions with messages in several partitions: their order is undefined."""

    def is_elsewhere(self, session: str, partition: int) -> bool:
        """Whether this or an earlier message came from another partition than the first message of the session."""
        if self.partitions.get(session, partition) != partition:
            self.scattered.add(session)
        return session in self.scattered

    def apply(self, message: Message) -> list[ExpectedChange]:
        """Apply the next message of its session."""
        changes = self.sessions.setdefault(message.session, ExpectedSession()).apply(message)
        if isinstance(message, End):
            del self.sessions[message.session]
        return changes

    def is_closed(self, session: str, segment: str) -> bool:
        """Whether the segment is closed by the messages so far."""
        expected = self.sessions.get(session)
        return expected is not None and expected.is_closed(segment)
