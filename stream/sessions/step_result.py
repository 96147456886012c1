"""Result of one step of the engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.messages.types import Revision, Span
from stream.redaction.messages import RedactedOutput
from stream.sessions.snapshot import Entry
from stream.sessions.stats import EngineStats


class Answer(NamedTuple):
    """A message whose effects are complete: all revisions that it caused are in this or an earlier step's result."""

    session: str
    offset: int


class Failure(NamedTuple):
    """A message for which labelling failed (our bug, not bad input). Its session was reset, others are unaffected.

    `segment` is "" and `offset` is -1 if the failed operation was not about a segment, such as the end of a session.
    """

    session: str
    segment: str
    offset: int
    error: Exception


class SettledSegment(NamedTuple):
    """What readers of a tagger may have of a segment after an update of its text, whether or not a revision says so."""

    tagger: str
    session: str
    segment: str
    offset: int
    """Of the message that brought the text."""
    text: str
    final: bool
    settled: int
    """Settled offset (`stream.revisions.settled`)."""
    spans: tuple[Span, ...]
    """The spans that are shown."""


class FormatDifference(NamedTuple):
    """Number format of a tagger in this engine, and in the one that last wrote a restored session."""

    tagger: str
    here: str
    there: str


@dataclass(slots=True)
class StepResult:
    """Effects of one step. Revisions of one session and tagger are in order of `rev`."""

    revisions: list[Revision] = field(default_factory=list)
    redacted: list[RedactedOutput] = field(default_factory=list)
    """Those of one session in order of `rev`; none unless the engine redacts."""
    answered: list[Answer] = field(default_factory=list)
    """In order within each session. An offset is answered together with the last of its revisions, failed ones too."""
    failures: list[Failure] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """Changes of the stored state, in the order in which they must be stored (`stream.sessions.snapshot`)."""
    settled: list[SettledSegment] = field(default_factory=list)
    """Of every update that was labelled, for each tagger; the updates of a session are in order."""
    format_differences: list[FormatDifference] = field(default_factory=list)
    """Those of restored sessions that no earlier step of this engine has reported."""
    stats: EngineStats = field(default_factory=EngineStats)
    """Counts of this step only."""
    phase_seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each phase, in seconds; empty if the step was given no clock."""

    def add_changes(
        self, revisions: Iterable[Revision], entries: Iterable[Entry], settled: Iterable[SettledSegment]
    ) -> None:
        """Add the effects of one operation."""
        self.revisions += revisions
        self.entries += entries
        self.settled += settled
