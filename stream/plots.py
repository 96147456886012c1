"""Pictures of what was measured."""

from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stream.evaluate import Report

COLORS = {"always": "#444444", "never": "#999999", "last": "#0072b2", "entropy": "#d55e00", "stability": "#009e73"}
BASELINE = "#cc79a7"


def plot_report(report: Report, baseline: str | None, path: Path) -> None:
    """Draw streaming EM against FLOPs saved, one line a family of policies, without closing restarts."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for family, color, points in _families(report, baseline):
        points = sorted(points)
        x, y = [100 * point.saved for point in points], [100 * point.right for point in points]
        axes.plot(x, y, marker="s" if color == BASELINE else "o", color=color, label=family, linewidth=1.2)
        for a, b, point in zip(x, y, points, strict=True):
            axes.annotate(point.parameter, (a, b), (6, 3), textcoords="offset points", fontsize=8, color=color)
    axes.set_xlabel("FLOPs saved against the bidirectional encoder re-run on every word, %")
    axes.set_ylabel("streaming exact match, %")
    axes.set_title(
        f"{Path(report.data).parent.name}/{Path(report.data).name}: {report.sequences} sequences", fontsize=10
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)


class _Point(NamedTuple):
    saved: float
    right: float
    parameter: str


def _families(report: Report, baseline: str | None) -> list[tuple[str, str, list[_Point]]]:
    """Group results by kind of policy: (name, colour, points)."""
    groups: dict[tuple[str, str], list[_Point]] = {}
    for result in report.results:
        saved, right = result.metrics.flops_saved, result.metrics.streaming_em
        if result.closing or saved is None or right is None:
            continue
        kind, _, parameter = result.policy.partition(":")
        key = ("bidirectional", BASELINE) if result.tagger == baseline else (kind, COLORS.get(kind, "#56b4e9"))
        groups.setdefault(key, []).append(_Point(saved, right, parameter))
    return [(name, color, points) for (name, color), points in groups.items()]
