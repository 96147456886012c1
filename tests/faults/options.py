"""Options and result of a fault run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumers.common.settings import Guarantee

if TYPE_CHECKING:
    from stream.engine.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of one run of one fault.

    Attributes:
        command: starts a worker; flags of `hearken serve` follow.
        make_engine: makes the workers' engine, for the oracle; given the policy.
        workers, sessions, rounds: number of each.
        messages: hostile records of `hostile`, without good ones.
        minutes: duration of `load`.
        rate: messages a second while faults are injected.
        backlog: most messages sent and not committed.
        hold: seconds for which a write is held, of each injection of `hold`.
        scale_seconds: seconds between two changes of scale.
        pause: least and most seconds between two injections.
        capacity_messages: messages that measure the capacity.
        patience: seconds without progress after which the workers count as stuck.
        policy: restart policy; None: `always` where every revision is compared, else last:3.
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
    scale_seconds: float = 8.0
    capacity_messages: int = 4000
    session_timeout: float = 3.0
    commit_seconds: float = 0.1
    patience: float = 90.0
    seed: int = 1
    reuse_names: bool = True
    out: Path | None = None


@dataclass(slots=True)
class FaultResult:
    """Result of one run.

    Attributes:
        injected: number of injected faults.
        died: workers that ended unexpectedly and were restarted.
        bad_ends: workers that did not stop cleanly.
        stuck: the workers stopped making progress.
        figures: measurements by name.
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
        """Whether nothing was lost, duplicated or wrong, no worker failed, and the run ended."""
        return not self.counts and not self.stuck and not self.bad_ends and not self.died

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return asdict(self) | {"ok": self.ok}
