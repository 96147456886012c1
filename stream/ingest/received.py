"""Sessions and their segments as received. Labels lag behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from stream.messages.caller_id import NOBODY, CallerId
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
    """The last write of the segment while it is open; it may have been handed out already."""
    applied: int = -1
    """Offset of its last message in the restored state."""
    saved: SegmentState | None = None
    """The restored state, until a message comes that the former owner had not applied."""
    speaker: str | None = None
    channel: str | None = None
    opened: Opened = NEVER_OPENED
    confirmed: int = 0
    """Characters at its beginning that its source will not rewrite."""


@dataclass(slots=True)
class ReceivedSession:
    """One session as received."""

    seen: float
    """Time of its last message."""
    offset: int = -1
    """The last message that changed it."""
    saved: SavedSession | None = None
    """The restored state, until somebody looks at its segments."""
    fully_applied_through: int = -1
    """Every message up to this one was in the restored state."""
    removed_at: dict[str, int] = field(default_factory=dict)
    """Segments that were removed in the restored state, and their last messages, if later than that."""
    caller: CallerId = NOBODY
    """Source of its last message."""
    position: Opened = NEVER_OPENED
    """Offset of the newest message, and its position among the session's messages at that offset."""
    _segments: dict[str, ReceivedSegment] = field(default_factory=dict)
    _last_applied: int = -1

    @property
    def segments(self) -> dict[str, ReceivedSegment]:
        """The segments: open ones and the last closed ones."""
        if self.saved is not None:
            self._restore_segments(self.saved)
        return self._segments

    @property
    def last_applied(self) -> int:
        """The last message of any segment in the restored state.

        An earlier message that is not in it had been overtaken: before it was applied, a newer update of its segment
        had arrived, which is later than this.
        """
        if self.saved is not None:
            self._restore_segments(self.saved)
        return self._last_applied

    @property
    def open_count(self) -> int:
        """Number of open segments."""
        if self.saved is not None:
            return self.saved.segments.open_count
        return sum(not x.closed for x in self._segments.values())

    def _restore_segments(self, saved: SavedSession) -> None:
        self._segments = {name: _restore_segment(x) for name, x in saved.segments.items()}
        applied = (x.applied for x in self._segments.values())
        self._last_applied = max([saved.offset, *saved.removed_at.values(), *applied])
        self.saved = None

    def count_message(self, offset: int) -> None:
        """Count a message, new or repeated, so that a segment that it opens gets the same position each time."""
        before, number = self.position
        self.position = offset, number + 1 if offset == before else 0

    def open_segments(self) -> list[str]:
        """Return the open segments in order of opening.

        After a crash the order of `segments` differs: a segment opened by a repeated message follows all restored ones.
        """
        named = [(segment.opened, name) for name, segment in self.segments.items() if not segment.closed]
        return [name for _, name in sorted(named, key=lambda one: one[0])]

    def contains(self, message: Message, offset: int) -> bool:
        """Tell whether the message was in the restored state."""
        if offset <= self.fully_applied_through or isinstance(message, End):
            return offset <= self.fully_applied_through
        segment = self.segments.get(message.segment)
        return offset <= max(segment.applied if segment else -1, self.removed_at.get(message.segment, -1))


class ReceivedSessions:
    """All sessions that are known: active ones, and ended ones that are still remembered."""

    def __init__(self) -> None:
        self.active: dict[str, ReceivedSession] = {}
        """In order of their last message."""
        self.ended: dict[str, tuple[float, int]] = {}
        """Time of the end, and the last message that was in the session when it was restored."""

    def already_applied(self, message: Message, offset: int) -> bool:
        """Tell whether the restored state of the session contains the message."""
        session = self.active.get(message.session)
        if session is not None:
            return session.contains(message, offset)
        return message.session in self.ended and offset <= self.ended[message.session][1]

    def mark_seen(self, name: str, session: ReceivedSession, now: float) -> None:
        """Note the time of a message; the session becomes active if it was new or ended."""
        session.seen = now
        self.ended.pop(name, None)
        self.active.pop(name, None)
        self.active[name] = session  # last, as `active` is in order of `seen`

    def mark_ended(self, name: str, now: float) -> None:
        """Remember an active session as ended."""
        del self.active[name]
        self.ended[name] = now, -1

    def forget_session(self, name: str) -> bool:
        """Forget a session; returns whether it was known."""
        was_active = self.active.pop(name, None) is not None
        return self.ended.pop(name, None) is not None or was_active

    def restore(self, name: str, saved: SavedSession, now: float) -> None:
        """Add a session as it was saved."""
        if saved.ended:
            self.ended[name] = now, saved.offset
        else:
            self.active[name] = ReceivedSession(now, saved.offset, saved, saved.offset, saved.removed_at)

    def idle_since(self, before: float) -> Mapping[str, ReceivedSession]:
        """Return the active sessions without a message since `before`."""
        return dict(takewhile(lambda item: item[1].seen <= before, self.active.items()))

    def purge_ended(self, before: float) -> list[str]:
        """Forget the sessions that ended at or before `before`; returns their names."""
        names = [name for name, _ in takewhile(lambda item: item[1][0] <= before, self.ended.items())]
        for name in names:
            del self.ended[name]
        return names


def _restore_segment(x: SegmentState) -> ReceivedSegment:
    return ReceivedSegment(
        x.text,
        x.closed,
        x.times,
        applied=x.applied,
        saved=x,
        speaker=x.speaker,
        channel=x.channel,
        opened=x.opened,
        confirmed=x.confirmed,
    )
