"""Plots of an evaluation: a line for each family of policies, with a band from the lowest to the highest seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stream.evaluation.metrics.report import EvaluationReport, PolicySummary, SeedSpread

COLORS = {
    "always": "#444444",
    "never": "#999999",
    "last": "#0072b2",
    "entropy": "#d55e00",
    "stability": "#009e73",
    "whether": "#56b4e9",
    "oracle": "#b8860b",
}
OTHERS = ("#882255", "#999933", "#332288", "#661100")
BASELINE = "bidirectional"
BASELINE_COLOR = "#cc79a7"


class _Point(NamedTuple):
    x: SeedSpread
    y: SeedSpread
    parameter: str


def plot_report(report: EvaluationReport, path: Path) -> None:
    """Draw streaming EM against FLOPs saved, without closing restarts."""
    shown = [summary for summary in report.summary if not summary.closing]
    figure, (axes,) = open_figure(report, 1)
    _draw(axes, _families(shown, "flops_saved", "streaming_em"), 100, 100)
    saved = "FLOPs saved against the bidirectional encoder re-run on every word, %"
    axes.set(xlabel=saved, ylabel="streaming exact match, %")
    figure.savefig(path, dpi=150)


def plot_frontier(report: EvaluationReport, path: Path) -> None:
    """Draw flips per word against the mean delay of spans, with closing restarts if they were measured.

    If there are gold labels, a second panel draws them against streaming EM, since few flips alone prove little.
    """
    has_closing = any(summary.closing for summary in report.summary)
    shown = [summary for summary in report.summary if summary.closing == has_closing or summary.baseline]
    has_gold = any("streaming_em" in summary.metrics for summary in shown)
    far = _far_above(shown)
    shown = [summary for summary in shown if summary not in far]
    figure, panels = open_figure(report, 1 + has_gold)
    _draw(panels[0], _families(shown, "delay_mean", "flips_per_word"), 1, 1)
    panels[0].set_xlabel("mean words from a span's last word until it stands")
    panels[0].set_ylabel("flips per word" + (", closing restarts included" if has_closing else ""))
    panels[0].set_xlim(left=0)
    if has_gold:
        _draw(panels[1], _families(shown, "streaming_em", "flips_per_word"), 100, 1, legend=False)
        panels[1].set_xlabel("streaming exact match, %")
    panels[0].set_ylim(bottom=0)
    for summary in far:
        flips, delay = (summary.metrics[name].mean for name in ("flips_per_word", "delay_mean"))
        note = f"{BASELINE}: {flips:.3f} flips per word, delay {delay:.2f}: far above"
        panels[0].text(0.02, 0.02, note, transform=panels[0].transAxes, fontsize=8, color=BASELINE_COLOR)
    figure.savefig(path, dpi=150)


def _far_above(summaries: Sequence[PolicySummary]) -> list[PolicySummary]:
    """Return the baselines so far above the other policies that these would lie at the bottom of the plot."""
    others = [summary.metrics["flips_per_word"].high for summary in summaries if not summary.baseline]
    limit = 2 * max(others, default=0.0)
    return [
        x for x in summaries if x.baseline and x.metrics["flips_per_word"].mean > limit and "delay_mean" in x.metrics
    ]


def open_figure(report: EvaluationReport, panels: int) -> tuple[Figure, list[Axes]]:
    """Make a figure with its title and panels side by side, which share the y axis."""
    figure = Figure(figsize=(7.5 if panels == 1 else 11, 4.8), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0].tolist()
    seeds = max((summary.seeds for summary in report.summary), default=1)
    of_seeds = f", {seeds} seeds: mean, lowest and highest" if seeds > 1 else ""
    name = f"{Path(report.data).parent.name}/{Path(report.data).name}"
    what = "sequences" if report.updates is None else "segments"
    figure.suptitle(f"{name}: {report.sequences} {what}{of_seeds}", fontsize=10)
    for one in axes:
        one.grid(alpha=0.3)
    return figure, axes


def annotate_point(axes: Axes, text: str, x: float, y: float, color: str) -> None:
    """Write text beside a point."""
    axes.annotate(text, (x, y), (6, 3), textcoords="offset points", fontsize=8, color=color)


def _draw(
    axes: Axes, families: dict[str, list[_Point]], scale_x: float, scale_y: float, *, legend: bool = True
) -> None:
    others = iter(OTHERS * len(families))
    for name, unordered in families.items():
        points = sorted(unordered, key=_sort_key)
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
            annotate_point(axes, point.parameter, a, b, color)
    axes.margins(0.08)
    if families and legend:
        axes.legend(fontsize=8)


def _families(summaries: Sequence[PolicySummary], x: str, y: str) -> dict[str, list[_Point]]:
    """Group the summaries that have both metrics by kind of policy and emission level."""
    groups: dict[str, list[_Point]] = {}
    for summary in summaries:
        if x not in summary.metrics or y not in summary.metrics:
            continue
        kind, _, parameter = summary.policy.partition(":")
        name = BASELINE if summary.baseline else f"{kind}, {summary.emission}" if summary.emission else kind
        groups.setdefault(name, []).append(_Point(summary.metrics[x], summary.metrics[y], parameter))
    return groups


def _sort_key(point: _Point) -> tuple[float, str]:
    """Sort the points of a line by the number of their policy."""
    try:
        return float(point.parameter), ""
    except ValueError:
        return 0.0, point.parameter
