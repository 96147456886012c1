"""Plot of emission levels: how often the shown spans change, against how long readers wait for them."""

from pathlib import Path

from matplotlib.axes import Axes

from stream.evaluation.metrics.report import EvaluationReport, PolicySummary
from stream.evaluation.plots.frontier import annotate_point, open_figure

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
