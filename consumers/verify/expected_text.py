"""What the sources said: the text of each segment after each message, kept as the service keeps it.

It is told only of messages that were accepted (see stream/ingest/queue.py), and knows nothing of labels.
"""

from dataclasses import dataclass, field

from stream.messages.types import Delete, End, Message, Update
from stream.sessions.session import close_and_forget


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """What one message says of one segment.

    Attributes:
        text: the segment's text from now on; empty when it is taken back.
        born: the segment was not there before, or its name was free again.
        final: whether a revision that answers this tells of a closed segment.
        was_closed: whether the segment was closed before: this edits or deletes it.
        gone: the segment is taken back.
    """

    segment: str
    text: str
    born: bool
    final: bool
    was_closed: bool
    gone: bool = False


@dataclass(slots=True)
class _Said:
    text: str = ""
    closed: bool = False


@dataclass(slots=True)
class ExpectedSession:
    """One session as its source wrote it; closed segments are forgotten as the service forgets them."""

    segments: dict[str, _Said] = field(default_factory=dict)

    def hear(self, message: Message) -> list[ExpectedChange]:
        """Take the next message; returns what it says, of each segment once."""
        if isinstance(message, Update):
            return [self._write(message)]
        if isinstance(message, Delete):
            gone = self.segments.pop(message.segment, _Said())
            return [ExpectedChange(message.segment, "", False, True, gone.closed, gone=True)]
        told = [
            ExpectedChange(name, said.text, False, True, False)
            for name, said in self.segments.items()
            if not said.closed
        ]
        self.segments.clear()
        return told

    def is_closed(self, segment: str) -> bool:
        """Whether the segment is closed (and still remembered)."""
        return segment in self.segments and self.segments[segment].closed

    def _write(self, update: Update) -> ExpectedChange:
        born = update.segment not in self.segments
        said = self.segments.setdefault(update.segment, _Said())
        was_closed = said.closed
        said.text = said.text + update.text if update.mode == "append" else update.text
        if update.final and not was_closed:
            close_and_forget(self.segments, update.segment)
        return ExpectedChange(update.segment, said.text, born, said.closed, was_closed)


@dataclass(slots=True)
class ExpectedSessions:
    """All sessions, and the partition that each was first heard in."""

    sessions: dict[str, ExpectedSession] = field(default_factory=dict)
    homes: dict[str, int] = field(default_factory=dict)
    scattered: set[str] = field(default_factory=set)
    """Sessions that came in more than one partition: nothing is promised of their order."""

    def is_elsewhere(self, session: str, partition: int) -> bool:
        """Whether a message of the session comes from another partition than the session's first one, now or before."""
        if self.homes.get(session, partition) != partition:
            self.scattered.add(session)
        return session in self.scattered

    def hear(self, message: Message) -> list[ExpectedChange]:
        """Take the next message of its session."""
        source = self.sessions.setdefault(message.session, ExpectedSession())
        told = source.hear(message)
        if isinstance(message, End):
            del self.sessions[message.session]
        return told

    def is_closed(self, session: str, segment: str) -> bool:
        """Whether the segment is closed as far as was heard."""
        source = self.sessions.get(session)
        return source is not None and source.is_closed(segment)
