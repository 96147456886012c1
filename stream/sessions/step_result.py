"""What a step of the engine gives its caller."""

from dataclasses import dataclass, field
from typing import NamedTuple

from stream.messages.types import Revision
from stream.sessions.snapshot import Entry
from stream.sessions.stats import EngineStats


class Answer(NamedTuple):
    """A message whose effects are complete: everything it caused is in this or an earlier step's revisions."""

    session: str
    offset: int


class Failure(NamedTuple):
    """A message that labelling failed on (a bug of ours, not bad input); its session was reset, others go on.

    `segment` is "" and `offset` -1 where a session that is over could not be let go.
    """

    session: str
    segment: str
    offset: int
    error: Exception


@dataclass(slots=True)
class StepResult:
    """What one step did. Revisions of one session and tagger stand in order of `rev`."""

    revisions: list[Revision] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)
    """In order per session. An offset is answered with the last of its revisions, never before; a failed one too."""
    failures: list[Failure] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """What another engine needs to go on from here, in the order in which it must be kept (see
    `stream.sessions.snapshot`).
    """
    stats: EngineStats = field(default_factory=EngineStats)
    """Counts of this step alone."""
    laps: dict[str, float] = field(default_factory=dict)
    """Seconds that each of its phases took; empty if nobody gave it a clock."""
