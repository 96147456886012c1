"""Result of a soak: its table, its verdict and its two curves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.harness.tables import Table, make_table

SETTLE = 600.0
"""Seconds, or a sixth of a shorter run, after which memory and latency should be flat."""
MEMORY_GROWTH, P99_GROWTH = 1.05, 1.5
"""Largest last quarter as a multiple of the first one, after that time, that counts as flat."""


class SoakWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of some seconds."""

    at: float
    """End, in seconds since the load began."""
    answered: int
    p50_ms: float
    p99_ms: float
    resident_mib: float
    core_share: float
    """Share of one core that the service used."""


class SoakReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run."""

    seconds: float
    speakers: int
    capacity: int
    """Most speakers carried, of which `speakers` is a share; 0 if it was not measured."""
    good: int
    hostile: int
    """Records sent."""
    dead_letters: int
    finals: int
    """Final revisions compared with offline labels."""
    wrong: tuple[str, ...]
    """The first of those that differ, or are missing."""
    differences: int
    coalesced: int
    shortened: int
    processor: str
    windows: tuple[SoakWindow, ...]

    def growth(self, of: Callable[[SoakWindow], float]) -> float:
        """Give the median of the last quarter after the settling time as a multiple of that of the first."""
        kept = [of(x) for x in self.windows if x.at > min(SETTLE, self.seconds / 6)]
        part = max(1, len(kept) // 4)
        return median(kept[-part:]) / max(1e-9, median(kept[:part])) if kept else 0.0

    @property
    def memory_growth(self) -> float:
        """See `growth`."""
        return self.growth(lambda x: x.resident_mib)

    @property
    def p99_growth(self) -> float:
        """See `growth`."""
        return self.growth(lambda x: x.p99_ms)

    @property
    def passed(self) -> bool:
        """Whether memory and p99 are flat, and every final equals its offline labels."""
        flat = self.memory_growth <= MEMORY_GROWTH and self.p99_growth <= P99_GROWTH
        return flat and self.finals > 0 and not self.differences


def soak_tables(report: SoakReport) -> list[Table]:
    """Lay out ten rows of the run, and its totals."""
    every = max(1, len(report.windows) // 10)
    of_capacity = f", of {report.capacity:,} that one core carries" if report.capacity else ""
    title = f"{report.seconds:,.0f} s, {report.speakers:,} speakers{of_capacity}; {report.processor}"
    return [
        make_table(
            title,
            report.windows[every - 1 :: every],
            {
                "after s": lambda x: f"{x.at:,.0f}",
                "answered": lambda x: f"{x.answered:,}",
                "p50 ms": lambda x: f"{x.p50_ms:,.0f}",
                "p99 ms": lambda x: f"{x.p99_ms:,.0f}",
                "MiB": lambda x: f"{x.resident_mib:,.0f}",
                "of its core": lambda x: f"{100 * x.core_share:.0f} %",
            },
        ),
        make_table(
            "totals",
            [report],
            {
                "good records": lambda x: f"{x.good:,}",
                "hostile": lambda x: f"{x.hostile:,}",
                "dead letters": lambda x: f"{x.dead_letters:,}",
                "finals = offline": lambda x: f"{x.finals - x.differences:,} of {x.finals:,}",
                "memory, last / first quarter": lambda x: f"{x.memory_growth:.3f}",
                "p99, last / first quarter": lambda x: f"{x.p99_growth:.2f}",
                "coalesced": lambda x: f"{x.coalesced:,}",
                "shortened": lambda x: f"{x.shortened:,}",
                "verdict": lambda x: "passed" if x.passed else "FAILED",
            },
        ),
    ]


def plot_soak(report: SoakReport, path: Path) -> Path:
    """Draw latency and memory over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    minutes = [x.at / 60 for x in report.windows]

    def draw(axes: object, values: Sequence[float], color: str, label: str) -> None:
        axes.plot(minutes, values, color=color, linewidth=1.2, label=label)  # type: ignore[attr-defined]

    draw(above, [x.p99_ms for x in report.windows], "#d55e00", "p99")
    draw(above, [x.p50_ms for x in report.windows], "#0072b2", "p50")
    draw(below, [x.resident_mib for x in report.windows], "#009e73", "resident memory")
    above.set_ylabel("word to label, ms")
    above.legend(fontsize=8)
    below.set_ylabel("resident memory, MiB")
    below.set_xlabel("minutes")
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.axvline(min(SETTLE, report.seconds / 6) / 60, color="#999999", linestyle=":", linewidth=1)
    share = 100 * report.hostile / max(1, report.hostile + report.good)
    figure.suptitle(
        f"{report.speakers:,} live speakers, {share:.0f} % hostile records; flat from the dotted line on", fontsize=10
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path
