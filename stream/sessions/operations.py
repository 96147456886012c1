"""What waits to be done: messages as the intake resolved them, in the order of their session."""

from dataclasses import dataclass, field

from stream.messages.word_times import Times
from stream.sessions.snapshot import NEVER_OPENED, Opened, SavedSession


@dataclass(slots=True)
class Operation:
    """Something to be done with one session."""

    session: str
    answers: list[int]
    """Messages that are answered by it."""
    floor: int = field(default=-1, kw_only=True)
    """Set when it is handed out: once it is done, the session's messages up to this one are all done."""


@dataclass(slots=True)
class Write(Operation):
    """The text of a segment is now this; `final` closes it."""

    segment: str
    text: str
    times: Times
    final: bool
    offset: int
    speaker: str | None = None
    channel: str | None = None
    opened: Opened = NEVER_OPENED
    """Which message opened the segment; not one that this write has overtaken."""
    cost: int = 0
    """A rough count of the tokens to compute; 0: a repeat."""
    superseded: bool = False
    held: bool = False
    """Whether it waits for the update that overtook it in another life, and so is in no queue."""


@dataclass(slots=True)
class Remove(Operation):
    """A segment is taken back."""

    segment: str
    offset: int


@dataclass(slots=True)
class EndSession(Operation):
    """A session is over; its closings went before."""

    offset: int


@dataclass(slots=True)
class PurgeEnded(Operation):
    """What was remembered of a session that is over is forgotten too."""


@dataclass(slots=True)
class DropSession(Operation):
    """Somebody else has the session now."""


@dataclass(slots=True)
class Restore(Operation):
    """A session that was kept is here now."""

    saved: SavedSession


@dataclass(slots=True)
class AlreadyApplied(Operation):
    """A message came that is in the restored state already."""
