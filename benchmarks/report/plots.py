"""Plots of results: one a part."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.growth.rewriting import RewritingRow
from benchmarks.growth.roofline import FloorRow
from benchmarks.growth.session_count import SessionsRow
from benchmarks.growth.session_length import LengthRow
from benchmarks.growth.subject import PartResult
from benchmarks.growth.threshold import ThresholdRow
from benchmarks.peers.report import OURS, PeersReport
from benchmarks.report.peer_tables import HEADLINE, sides_of

OURS_COLOR, OTHER, DARK = "#0072b2", "#b5bcc4", "#444444"
MEMORY, FLOOR = "#d55e00", "#222222"
POLICIES = {"price": OURS_COLOR, "stability": "#009e73"}
PHASE_COLORS = {
    "encode": OURS_COLOR,
    "submit": "#dddddd",
    "schedule": "#c9b6e4",
    "point": "#e69f00",
    "decode": "#009e73",
    "emit": "#cc79a7",
    "isolate": "#999999",
}
"""From bottom to top; the floor refers to the first."""


def plot_peers(report: PeersReport, path: Path) -> None:
    """Draw words a second of all sides as bars, a panel for each number of sessions."""
    lengths = list(dict.fromkeys(row.words for row in report.rows))
    words = HEADLINE[0] if HEADLINE[0] in lengths else lengths[0]
    rows = [row for row in report.rows if row.words == words]
    counts = list(dict.fromkeys(row.sessions for row in rows))
    figure, panels = _begin(len(counts), 3.0)
    sides = [OURS, *sides_of(report)]
    for axes, count in zip(panels, counts, strict=True):
        found = {row.side: row.words_per_second for row in rows if row.sessions == count}
        rates = [found.get(side, 0.0) for side in sides]
        bars = axes.barh(sides, rates, color=[OURS_COLOR if side == OURS else OTHER for side in sides], height=0.7)
        axes.bar_label(bars, [f"{rate:,.0f}" if rate else "" for rate in rates], padding=3, fontsize=8)
        axes.set_title(f"{count} session{'s' if count > 1 else ''}", fontsize=10)
        axes.set_xlim(0, 1.22 * max(rates))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.set_xlabel("words a second")
        axes.grid(axis="x", alpha=0.3)
        axes.grid(axis="y", visible=False)
    panels[0].invert_yaxis()  # they share it
    _save(figure, path)


def plot_length(found: PartResult[LengthRow], path: Path) -> None:
    """Draw what a word costs deep in a session, and the memory of the process."""
    figure, (time, memory) = _begin(2, 3.2, share=False)
    heard = [x.words / 1000 for x in found.rows]
    time.plot(heard, [x.ms for x in found.rows], marker="o", color=OURS_COLOR, label="the long session")
    time.plot(heard, [x.short_ms for x in found.rows], marker="s", color=DARK, linestyle=":", label="a short one")
    time.legend(fontsize=8, loc="lower right")
    time.set_ylabel("CPU ms a word")
    memory.plot(heard, [x.resident_mib for x in found.rows], marker="o", color=MEMORY)
    memory.set_ylabel("memory of the process, MiB")
    memory.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    for axes in (time, memory):
        axes.set_xlabel("thousand words that the session has heard")
        axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    _save(figure, path)


def plot_sessions(found: PartResult[SessionsRow], path: Path) -> None:
    """Draw what a word costs, and a session takes, by the number of sessions."""
    figure, (time, memory) = _begin(2, 3.2, share=False)
    counts = [x.sessions for x in found.rows]
    time.plot(counts, [x.ms for x in found.rows], marker="o", color=OURS_COLOR)
    time.set_ylabel("CPU ms a word")
    told = {x.sessions: x.resident_kib for x in found.rows if x.resident_kib is not None}
    memory.plot(list(told), list(told.values()), marker="o", color=MEMORY, label="of the process, each more")
    memory.plot(counts, [x.cached_kib for x in found.rows], marker="s", linestyle=":", color=DARK, label="in the cache")
    memory.set_ylabel("KiB a session")
    memory.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    memory.legend(fontsize=8)
    for axes in (time, memory):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.set_xlabel("live sessions")
        axes.set_ylim(bottom=0)
    _save(figure, path)


def plot_rewriting(found: PartResult[RewritingRow], path: Path) -> None:
    """Draw what a word costs by the share of updates that rewrite."""
    figure, (time, work) = _begin(2, 3.2, share=False)
    shares = [100 * x.share for x in found.rows]
    time.plot(shares, [x.ms for x in found.rows], marker="o", color=OURS_COLOR)
    time.set_ylabel("CPU ms an added word")
    work.plot(shares, [x.recomputed for x in found.rows], marker="o", color=MEMORY)
    work.set_ylabel("words computed an added word")
    for axes in (time, work):
        axes.set_xlabel("updates that rewrite, %")
        axes.set_ylim(bottom=0)
    _save(figure, path)


def plot_threshold(found: PartResult[ThresholdRow], path: Path) -> None:
    """Draw what a word costs against words computed again, a line for each kind of policy."""
    figure, (axes,) = _begin(1, 4.2)
    kinds: dict[str, list[ThresholdRow]] = {}
    for row in found.rows:
        kinds.setdefault(row.policy.partition(":")[0], []).append(row)
    for kind, rows in kinds.items():
        rows = sorted(rows, key=lambda x: x.recomputed)
        x, y = [row.recomputed for row in rows], [row.ms for row in rows]
        color = POLICIES.get(kind, DARK)
        axes.plot(x, y, marker="o", color=color, label=kind if kind in POLICIES else None)
        for row in rows:
            name = row.policy.partition(":")[2] if kind in POLICIES else row.policy
            point = (row.recomputed, row.ms)
            place, side = ((-5, 5), "right") if kind == "price" else ((6, -9), "left")
            axes.annotate(name, point, place, textcoords="offset points", ha=side, fontsize=8, color=color)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_xlabel("words computed for each word that is said")
    axes.set_ylabel("CPU ms a word")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.1)
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_floors(found: PartResult[FloorRow], path: Path) -> None:
    """Draw where a step goes, in shares of it, and its floor across."""
    figure, (axes,) = _begin(1, 3.6)
    names = [f"{x.sessions:,}" for x in found.rows]
    below = [0.0] * len(names)
    for phase, color in PHASE_COLORS.items():
        shares = [100 * x.phases_ms.get(phase, 0.0) / sum(x.phases_ms.values()) for x in found.rows]
        if any(shares):
            axes.bar(names, shares, bottom=below, color=color, label=phase, width=0.6)
        below = [a + b for a, b in zip(below, shares, strict=True)]
    for i, row in enumerate(found.rows):
        label = "_" if i else "floor"
        axes.hlines(100 * row.share, i - 0.38, i + 0.38, color=FLOOR, linewidth=2, linestyle="--", label=label)
        axes.annotate(f"{row.step_ms:.3g} ms", (i, 101), ha="center", fontsize=8)
    axes.set_xlabel("live sessions, a word more for each")
    axes.set_ylabel("share of the step, %")
    axes.set_ylim(0, 108)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
    axes.grid(axis="x", visible=False)
    _save(figure, path)


PLOTS: Mapping[str, Callable[[PartResult[Any], Path], None]] = {
    "sessions": plot_sessions,
    "length": plot_length,
    "rewriting": plot_rewriting,
    "threshold": plot_threshold,
    "floors": plot_floors,
}
"""By part."""


def _begin(panels: int, height: float, *, share: bool = True) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(7.0 if panels == 1 else 9.0, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Axes] = figure.subplots(1, panels, squeeze=False, sharey=share)[0].tolist()
    for one in axes:
        one.grid(alpha=0.3)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=150, facecolor="white")
