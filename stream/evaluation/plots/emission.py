"""Plot of emission levels: how often the shown spans change, against how long readers wait for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stream.evaluation.metrics.report import EvaluationReport, PolicySummary
from stream.evaluation.plots.frontier import annotate_point, open_figure
from stream.revisions.emission import parse_emission

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#444444")
_NAMED = ("low", "medium", "high")


def plot_levels(report: EvaluationReport, path: Path) -> None:
    """Draw flips of shown spans against their mean delay: in words, and in seconds where words have times.

    Each policy has a colour, and the named levels are large. A line joins the levels that no other level of the same
    policy beats in both figures. Closing restarts are included if they were measured.
    """
    has_closing = any(summary.closing for summary in report.summary)
    shown = [x for x in report.summary if x.emission and x.closing == has_closing]
    delays = [x for x in ("delay_mean", "delay_seconds_mean") if any(x in summary.metrics for summary in shown)]
    figure, panels = open_figure(report, len(delays))
    for axes, delay in zip(panels, delays, strict=True):
        _draw(axes, shown, delay)
        axes.set_xlabel(f"mean {'seconds' if 'seconds' in delay else 'words'} from a span's end until it stands")
        axes.set_ylabel("spans retracted or shortened by the model, per span shown")
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, summaries: list[PolicySummary], delay: str) -> None:
    for color, policy in zip(_COLORS * len(summaries), dict.fromkeys(x.policy for x in summaries), strict=False):
        points = [
            (x.metrics[delay].mean, x.metrics["span_flips"].mean, x.emission)
            for x in summaries
            if x.policy == policy and {delay, "span_flips"} <= x.metrics.keys()
        ]
        best = frontier([(x, y) for x, y, _ in points])
        axes.plot([x for x, _ in best], [y for _, y in best], color=color, linewidth=1.2, label=policy)
        for x, y, level in points:
            axes.plot([x], [y], "o", color=color, markersize=8 if level in _NAMED else 4)
            if level in _NAMED or (x, y) in best:
                annotate_point(axes, level, x, y, color)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, title="restart policy")


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point equals or beats in both figures (less is better), by the first figure."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(set(points)):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def plot_points(points: Sequence[tuple[float, float, float, str]], title: str, default: str, path: Path) -> None:
    """Draw the share of published spans that the model withdrew against their delay, a point for each level.

    Args:
        points: 95th percentile and mean of the delay in words, share withdrawn in percent, level.
        title: what was measured.
        default: level that is drawn large.
        path: file.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    panels: Any = figure.subplots(1, 2, sharey=True)
    for column, (axes, name) in enumerate(zip(panels, ("95th percentile", "mean"), strict=True)):
        for number, waits in enumerate(dict.fromkeys(_wait_of(x[3]) for x in points)):
            own = sorted((x[column], x[2], x[3]) for x in points if _wait_of(x[3]) == waits)
            color = _COLORS[number % len(_COLORS)]
            axes.plot(
                [x[0] for x in own], [x[1] for x in own], "o-", color=color, markersize=4, linewidth=1, label=waits
            )
            for x, y, level in own:
                if level == default:
                    axes.plot([x], [y], "o", color=color, markersize=11)
                if column or level in _NAMED:
                    axes.annotate(level, (x, y), fontsize=6.5, xytext=(3, 3), textcoords="offset points")
        axes.axhline(10, color="#999999", linewidth=0.8, linestyle="--")
        axes.set_xlabel(f"{name} of words from a span's end until it is published")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("published spans that the model withdrew, %")
    panels[1].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=150)


def _wait_of(level: str) -> str:
    """Name the levels that are joined by a line."""
    wait = parse_emission(level).wait
    return "until the close" if wait is None else f"at most {wait} words"
