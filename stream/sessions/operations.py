"""Operations on sessions, as ingest resolved them from messages; they wait in the order of their session."""

from dataclasses import dataclass, field

from stream.messages.caller_id import NOBODY, CallerId
from stream.messages.types import ClosedBy
from stream.messages.word_times import Times
from stream.sessions.snapshot import NEVER_OPENED, Opened, SavedSession


@dataclass(slots=True)
class Operation:
    """One thing to be done with one session."""

    session: str
    answers: list[int]
    """Offsets of the messages that it answers."""
    fully_applied_through: int = field(default=-1, kw_only=True)
    """Set when it is handed out: once it is done, every message of the session up to this one is fully applied."""


@dataclass(slots=True)
class Write(Operation):
    """New text of a segment; `final` closes it."""

    segment: str
    text: str
    times: Times
    final: bool
    offset: int
    speaker: str | None = None
    channel: str | None = None
    opened: Opened = NEVER_OPENED
    """The message that opened the segment; never one that this write superseded."""
    cost: int = 0
    """Estimated number of tokens to compute; 0 for a repeat."""
    superseded: bool = False
    """Whether a newer write of the segment replaced it and took over its answers."""
    caller: CallerId = NOBODY
    """Whose turn it is; set when it is queued."""
    supersedes: "Write | None" = None
    """The waiting write that it supersedes, until it is queued in its place."""
    place: int = -1
    """Its place in the queue of its session."""
    handed_out: bool = False
    """Whether a step has it, so that no newer write can supersede it."""
    applied: int | None = None
    """The last message of the segment that is in the text, if that is not the one at `offset`."""
    closed_by: ClosedBy | None = None
    """Why the service closes the segment by itself, with the text as received; None: a message says what is written."""
    held: bool = False
    """Whether it is kept out of the queue until the newer update comes that had overtaken it before a crash."""
    confirmed: int = 0
    """Characters at the beginning of the text that the source will not rewrite."""


@dataclass(slots=True)
class Remove(Operation):
    """Removal of a segment."""

    segment: str
    offset: int


@dataclass(slots=True)
class EndSession(Operation):
    """End of a session; its open segments were closed by writes before it."""

    offset: int


@dataclass(slots=True)
class PurgeEnded(Operation):
    """Removal of what is remembered of an ended session."""


@dataclass(slots=True)
class DropSession(Operation):
    """Release of a session without closing it, because another engine owns it now."""


@dataclass(slots=True)
class Restore(Operation):
    """Replacement of a session by a saved one."""

    saved: SavedSession


@dataclass(slots=True)
class AlreadyApplied(Operation):
    """A repeated message that the restored state already contains."""
