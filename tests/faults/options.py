"""What a fault test is run with, and what it found."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.common.settings import Guarantee

if TYPE_CHECKING:
    from stream.engine.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One run of one fault.

    Attributes:
        command: what starts a worker; flags of `hearken serve` follow.
        make_engine: the engine that the workers have, for the oracle; given the policy.
        workers, sessions, rounds: how many.
        messages: hostile records of `hostile`, good ones not counted.
        minutes: of `load`.
        rate: messages a second that are sent while a fault is injected.
        backlog: messages sent and not yet committed at most.
        hold: seconds for which a write is held, of each injection of `hold`.
        calm: seconds between two changes of scale.
        pause: least and most seconds between two injections.
        probe: messages that the capacity is measured with.
        patience: seconds without any progress after which the workers count as stuck.
        policy: None: what fits the fault (`always` where every revision is compared).
    """

    guarantee: Guarantee
    command: Sequence[str]
    make_engine: "Callable[[str], Engine]"
    taggers: Sequence[str] = ("ner",)
    policy: str | None = None
    workers: int = 3
    sessions: int = 200
    rounds: int = 30
    messages: int = 100_000
    minutes: float = 2.0
    partitions: int = 4
    rate: float = 150.0
    backlog: int = 1000
    pause: tuple[float, float] = (0.2, 6.0)
    hold: tuple[float, ...] = (8.0, 16.0)
    calm: float = 8.0
    probe: int = 4000
    session_timeout: float = 3.0
    commit_seconds: float = 0.1
    patience: float = 90.0
    seed: int = 1
    comebacks: bool = True
    out: Path | None = None


@dataclass(slots=True)
class Finding:
    """What one run found.

    Attributes:
        injected: faults injected.
        died: workers that ended by themselves and were started again.
        stuck: the workers made no progress any more; what they had not read is lost.
        figures: measured, by name.
    """

    fault: str
    guarantee: Guarantee
    policy: str
    exact: bool
    messages: int = 0
    revisions: int = 0
    repeats: int = 0
    injected: int = 0
    died: int = 0
    bad_ends: int = 0
    stuck: bool = False
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled or wrong, no worker had to be started again, and all came to an end."""
        return not self.counts and not self.stuck and not self.bad_ends and not self.died

    def plain(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return asdict(self) | {"ok": self.ok}
