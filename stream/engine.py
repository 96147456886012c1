"""The micro-batching step: waiting updates of many sessions in, revisions out; no clock, no threads, no transport."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream.messages import Message, Revision
from stream.stats import EngineStats


class Answer(NamedTuple):
    """A message whose effects are complete: everything it caused is in this or an earlier step's revisions."""

    session: str
    offset: int


class Failure(NamedTuple):
    """A message that labelling failed on (a bug of ours, not bad input); its session was reset, others go on."""

    session: str
    segment: str
    offset: int
    error: Exception


@dataclass(slots=True)
class StepResult:
    """What one step did. Revisions of one session stand in order of `rev`."""

    revisions: list[Revision] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)
    """In order per session. An offset is answered with the last of its revisions, never before; a failed one too."""
    failures: list[Failure] = field(default_factory=list)
    stats: EngineStats = field(default_factory=EngineStats)
    """Counts of this step alone."""


class Engine:
    """Sessions of live text and their labels.

    `submit` and `expire` may be called from one thread while `step` runs in another; nothing else may overlap.
    The same messages with the same calls of `step` give the same revisions, byte for byte.

    Args:
        tagger: what `encoder.tagger.load_tagger` gives (or any stand-in that has its few methods).
        policy: where restarts begin, from `encoder.restart`.
        coalesce: compute only the newest of several waiting updates of one segment (right for a live service);
            otherwise every update has its own step, so what stands after each can be measured.
        token_budget: about how many tokens one step computes at most; one update is always taken.
        idle_seconds: sessions that hear nothing for so long are closed by `expire`; None keeps them for ever.
        name: the tagger's name in revisions; None takes the tagger's own.
    """

    def __init__(
        self,
        tagger: Any,
        policy: Any,
        *,
        coalesce: bool = False,
        token_budget: int = 2048,
        idle_seconds: float | None = None,
        name: str | None = None,
    ) -> None:
        self.stats = EngineStats()
        self.idle_seconds = idle_seconds

    def submit(self, message: Message, offset: int, now: float | None = None) -> None:
        """Take one message; its effects come from later steps. `now` is any rising clock, for idle expiry.

        Raises:
            InputError: the message is bad; nothing was changed.
        """
        raise NotImplementedError

    def step(self) -> StepResult:
        """Label what waits, at most one update of each session, oldest first, up to the token budget."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Messages submitted and not yet answered, and closings that `expire` asked for; step until it is 0."""
        raise NotImplementedError

    def expire(self, now: float) -> int:
        """Close sessions idle for `idle_seconds`, as an End would; returns how many. Later steps publish it."""
        raise NotImplementedError
