"""Sessions and their segments as they were received; labels lag behind them."""

from dataclasses import dataclass, field

from stream.messages.types import End, Message
from stream.revisions.text_alignment import Times
from stream.sessions.operations import Write
from stream.sessions.snapshot import SavedSession, SegmentState


@dataclass(slots=True)
class ReceivedSegment:
    """One segment as received."""

    text: str = ""
    closed: bool = False
    times: Times = ()
    waiting: Write | None = None
    applied: int = -1
    """The last message that was in it when it was restored."""
    speaker: str | None = None
    channel: str | None = None


@dataclass(slots=True)
class ReceivedSession:
    """One session as received."""

    seen: float
    offset: int = -1
    segments: dict[str, ReceivedSegment] = field(default_factory=dict)
    floor: int = -1
    """Messages up to this one were in it when it was restored."""
    gone: dict[str, int] = field(default_factory=dict)
    """Segments that were gone when it was restored, and their last messages, if later than `floor`."""

    def opened(self) -> list[str]:
        """Open segments, in order of opening."""
        return [name for name, heard in self.segments.items() if not heard.closed]

    def has(self, message: Message, offset: int) -> bool:
        """Whether the message was in the state that was restored."""
        if offset <= self.floor or isinstance(message, End):
            return offset <= self.floor
        heard = self.segments.get(message.segment)
        return offset <= max(heard.applied if heard else -1, self.gone.get(message.segment, -1))


def restore_source(saved: SavedSession, now: float) -> ReceivedSession:
    """A session as it was received until it was kept."""
    segments = {name: _restore(x) for name, x in saved.segments.items()}
    return ReceivedSession(now, saved.offset, segments, saved.offset, saved.gone)


def _restore(x: SegmentState) -> ReceivedSegment:
    return ReceivedSegment(x.text, x.closed, x.times, applied=x.applied, speaker=x.speaker, channel=x.channel)
