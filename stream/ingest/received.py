"""Sessions and their segments as they were received; labels lag behind them."""

from dataclasses import dataclass, field

from stream.messages.types import End, Message
from stream.messages.word_times import Times
from stream.sessions.operations import Write
from stream.sessions.snapshot import NEVER_OPENED, Opened, SavedSession, SegmentState


@dataclass(slots=True)
class ReceivedSegment:
    """One segment as received."""

    text: str = ""
    closed: bool = False
    times: Times = ()
    waiting: Write | None = None
    applied: int = -1
    """The last message that was in it when it was restored."""
    saved: SegmentState | None = None
    """As it was restored; until an update comes that its former owner had not seen done."""
    speaker: str | None = None
    channel: str | None = None
    opened: Opened = NEVER_OPENED


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
    reached: int = -1
    """The last message of any segment that was in it when it was restored. Those before it that were not had been
    overtaken: a newer update of their segment, behind `reached`, had come before they were done."""
    held: list[Write] = field(default_factory=list)
    """Such ones, told again: to do them now would answer them after later messages. They wait for the newer one."""
    place: Opened = NEVER_OPENED
    """Of the newest message."""

    def count(self, offset: int) -> None:
        """A message came, be it new or told again: a segment that it opens has the same place each time."""
        before, number = self.place
        self.place = offset, number + 1 if offset == before else 0

    def was_overtaken(self, heard: ReceivedSegment, write: Write) -> bool:
        """Whether an update that is told again was overtaken, when it was told first, by one that comes yet.

        One after which the segment stands as it was restored need not have been: it left nothing to be kept.
        """
        if write.offset >= self.reached or write.final:
            return False
        x = heard.saved
        return x is None or (x.text, x.times, x.speaker, x.channel) != (
            write.text,
            write.times,
            write.speaker,
            write.channel,
        )

    def opened(self) -> list[str]:
        """Open segments, in order of opening.

        After a crash that is not the order in which they are known here: what was opened by a message that is told
        again comes behind all that were restored.
        """
        named = [(heard.opened, name) for name, heard in self.segments.items() if not heard.closed]
        return [name for _, name in sorted(named, key=lambda one: one[0])]

    def has(self, message: Message, offset: int) -> bool:
        """Whether the message was in the state that was restored."""
        if offset <= self.floor or isinstance(message, End):
            return offset <= self.floor
        heard = self.segments.get(message.segment)
        return offset <= max(heard.applied if heard else -1, self.gone.get(message.segment, -1))


def restore_source(saved: SavedSession, now: float) -> ReceivedSession:
    """A session as it was received until it was kept."""
    segments = {name: _restore(x) for name, x in saved.segments.items()}
    reached = max([saved.offset, *saved.gone.values(), *(x.applied for x in saved.segments.values())])
    return ReceivedSession(now, saved.offset, segments, saved.offset, saved.gone, reached)


def _restore(x: SegmentState) -> ReceivedSegment:
    return ReceivedSegment(
        x.text, x.closed, x.times, applied=x.applied, saved=x, speaker=x.speaker, channel=x.channel, opened=x.opened
    )
