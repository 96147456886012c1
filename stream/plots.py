"""Pictures of what was measured: one line a family of policies, with a band from the lowest to the highest seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stream.report import Report, Spread, Summary

COLORS = {
    "always": "#444444",
    "never": "#999999",
    "last": "#0072b2",
    "entropy": "#d55e00",
    "stability": "#009e73",
    "oracle": "#b8860b",
}
OTHERS = ("#56b4e9", "#882255", "#999933", "#332288", "#661100")
BASELINE = "bidirectional"
BASELINE_COLOR = "#cc79a7"


class _Point(NamedTuple):
    x: Spread
    y: Spread
    parameter: str
    note: str


def plot_report(report: Report, path: Path) -> None:
    """Draw streaming EM against FLOPs saved, without closing restarts."""
    shown = [summary for summary in report.summary if not summary.closing]
    figure, axes = _begin(report)
    _draw(axes, _families(shown, "flops_saved", "streaming_em"), 100, 100)
    axes.set_xlabel("FLOPs saved against the bidirectional encoder re-run on every word, %")
    axes.set_ylabel("streaming exact match, %")
    figure.savefig(path, dpi=150)


def plot_frontier(report: Report, path: Path) -> None:
    """Draw flips a word against the mean delay of spans, with closing restarts where they were measured.

    Streaming EM stands at each point: flips alone say little.
    """
    has_closing = any(summary.closing for summary in report.summary)
    shown = [summary for summary in report.summary if summary.closing == has_closing or summary.baseline]
    figure, axes = _begin(report, "; in brackets: streaming EM" if report.updates is None else "")
    _draw(axes, _families(shown, "delay_mean", "flips_per_word"), 1, 1)
    closed = ", closing restarts included" if has_closing else ""
    axes.set_xlabel(f"words from a span's last word until it stands, mean{closed}")
    axes.set_ylabel(f"flips a word{closed}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    figure.savefig(path, dpi=150)


def _begin(report: Report, more: str = "") -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    seeds = max((summary.seeds for summary in report.summary), default=1)
    of_seeds = f", {seeds} seeds: mean, lowest and highest" if seeds > 1 else ""
    name = f"{Path(report.data).parent.name}/{Path(report.data).name}"
    axes.set_title(f"{name}: {report.sequences} sequences{of_seeds}{more}", fontsize=10)
    axes.grid(alpha=0.3)
    return figure, axes


def _draw(axes: Axes, families: dict[str, list[_Point]], scale_x: float, scale_y: float) -> None:
    others = iter(OTHERS * len(families))
    for name, unordered in families.items():
        points = sorted(unordered, key=_order)
        color = BASELINE_COLOR if name == BASELINE else COLORS.get(name) or next(others)
        x, y = [scale_x * p.x.mean for p in points], [scale_y * p.y.mean for p in points]
        low, high = [scale_y * p.y.low for p in points], [scale_y * p.y.high for p in points]
        marker = "s" if name == BASELINE else "o"
        axes.plot(x, y, marker=marker, color=color, label=name, linewidth=1.2, markersize=5)
        if len(points) > 1:
            axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        else:
            axes.vlines(x, low, high, color=color, linewidth=1.2)
        for a, b, point in zip(x, y, points, strict=True):
            axes.annotate(point.note, (a, b), (6, 3), textcoords="offset points", fontsize=8, color=color)
    if families:
        axes.margins(0.08)
        axes.legend(fontsize=8)


def _families(summaries: Sequence[Summary], x: str, y: str) -> dict[str, list[_Point]]:
    """Group what has both metrics by kind of policy and by emission."""
    groups: dict[str, list[_Point]] = {}
    for summary in summaries:
        if x not in summary.metrics or y not in summary.metrics:
            continue
        kind, _, parameter = summary.policy.partition(":")
        name = BASELINE if summary.baseline else f"{kind}, {summary.emission}" if summary.emission else kind
        right = summary.metrics.get("streaming_em") if y == "flips_per_word" else None
        note = f"{parameter} ({100 * right.mean:.1f})".strip() if right else parameter
        groups.setdefault(name, []).append(_Point(summary.metrics[x], summary.metrics[y], parameter, note))
    return groups


def _order(point: _Point) -> tuple[float, str]:
    """Along a line the policy's number rises."""
    try:
        return float(point.parameter), ""
    except ValueError:
        return 0.0, point.parameter
