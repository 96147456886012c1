"""What the sources entry: the text of each segment after each message, kept as the service keeps it.

It is changes only of messages that were accepted (see stream/ingest/queue.py), and knows nothing of labels.
"""

from dataclasses import dataclass, field

from stream.messages.types import Delete, End, Message, Update
from stream.sessions.session import close_and_forget


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """What one message says of one segment.

    Attributes:
        text: the segment's text from now on; empty when it is taken back.
        created: the segment was not there before, or its name was free again.
        final: whether a revision that answers this tells of a closed segment.
        was_closed: whether the segment was closed before: this edits or deletes it.
        deleted: the segment is taken back.
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
    """One session as its expected wrote it; closed segments are forgotten as the service forgets them."""

    segments: dict[str, _SegmentText] = field(default_factory=dict)

    def apply(self, message: Message) -> list[ExpectedChange]:
        """Take the next message; returns what it says, of each segment once."""
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
        """Whether the segment is closed (and still remembered)."""
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
    """All sessions, and the partition that each was first heard in."""

    sessions: dict[str, ExpectedSession] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)
    scattered: set[str] = field(default_factory=set)
    """Sessions that came in more than one partition: nothing is promised of their order."""

    def is_elsewhere(self, session: str, partition: int) -> bool:
        """Whether a message of the session comes from another partition than the session's first one, now or before."""
        if self.partitions.get(session, partition) != partition:
            self.scattered.add(session)
        return session in self.scattered

    def apply(self, message: Message) -> list[ExpectedChange]:
        """Take the next message of its session."""
        expected = self.sessions.setdefault(message.session, ExpectedSession())
        changes = expected.apply(message)
        if isinstance(message, End):
            del self.sessions[message.session]
        return changes

    def is_closed(self, session: str, segment: str) -> bool:
        """Whether the segment is closed as far as was heard."""
        expected = self.sessions.get(session)
        return expected is not None and expected.is_closed(segment)
