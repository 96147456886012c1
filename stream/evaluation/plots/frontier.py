"""Pictures of what was measured: one line a family of policies, with a band from the lowest to the highest seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
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
    figure, (axes,) = _begin(report, 1)
    _draw(axes, _families(shown, "flops_saved", "streaming_em"), 100, 100)
    axes.set_xlabel("FLOPs saved against the bidirectional encoder re-run on every word, %")
    axes.set_ylabel("streaming exact match, %")
    figure.savefig(path, dpi=150)


def plot_frontier(report: EvaluationReport, path: Path) -> None:
    """Draw flips a word against the mean delay of spans, with closing restarts where they were measured.

    Beside it, if there are gold labels, the same flips against streaming EM: flips alone say little.
    """
    has_closing = any(summary.closing for summary in report.summary)
    shown = [summary for summary in report.summary if summary.closing == has_closing or summary.baseline]
    has_gold = any("streaming_em" in summary.metrics for summary in shown)
    far = _far_off(shown)
    shown = [summary for summary in shown if summary not in far]
    figure, panels = _begin(report, 1 + has_gold)
    _draw(panels[0], _families(shown, "delay_mean", "flips_per_word"), 1, 1)
    panels[0].set_xlabel("words from a span's last word until it stands, mean")
    panels[0].set_ylabel("flips a word" + (", closing restarts included" if has_closing else ""))
    panels[0].set_xlim(left=0)
    if has_gold:
        _draw(panels[1], _families(shown, "streaming_em", "flips_per_word"), 100, 1, legend=False)
        panels[1].set_xlabel("streaming exact match, %")
    panels[0].set_ylim(bottom=0)
    for summary in far:
        flips, delay = (summary.metrics[name].mean for name in ("flips_per_word", "delay_mean"))
        note = f"{BASELINE}: {flips:.3f} flips a word, delay {delay:.2f}: far above"
        panels[0].text(0.02, 0.02, note, transform=panels[0].transAxes, fontsize=8, color=BASELINE_COLOR)
    figure.savefig(path, dpi=150)


def _far_off(summaries: Sequence[PolicySummary]) -> list[PolicySummary]:
    """The baseline, if all others would lie at the bottom of a picture that shows it."""
    others = [summary.metrics["flips_per_word"].high for summary in summaries if not summary.baseline]
    limit = 2 * max(others, default=0.0)
    return [
        x for x in summaries if x.baseline and x.metrics["flips_per_word"].mean > limit and "delay_mean" in x.metrics
    ]


def _begin(report: EvaluationReport, panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(7.5 if panels == 1 else 11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0].tolist()
    seeds = max((summary.seeds for summary in report.summary), default=1)
    of_seeds = f", {seeds} seeds: mean, lowest and highest" if seeds > 1 else ""
    name = f"{Path(report.data).parent.name}/{Path(report.data).name}"
    figure.suptitle(f"{name}: {report.sequences} sequences{of_seeds}", fontsize=10)
    for one in axes:
        one.grid(alpha=0.3)
    return figure, axes


def _draw(
    axes: Axes, families: dict[str, list[_Point]], scale_x: float, scale_y: float, *, legend: bool = True
) -> None:
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
            axes.annotate(point.parameter, (a, b), (6, 3), textcoords="offset points", fontsize=8, color=color)
    axes.margins(0.08)
    if families and legend:
        axes.legend(fontsize=8)


def _families(summaries: Sequence[PolicySummary], x: str, y: str) -> dict[str, list[_Point]]:
    """Group what has both metrics by kind of policy and by emission."""
    groups: dict[str, list[_Point]] = {}
    for summary in summaries:
        if x not in summary.metrics or y not in summary.metrics:
            continue
        kind, _, parameter = summary.policy.partition(":")
        name = BASELINE if summary.baseline else f"{kind}, {summary.emission}" if summary.emission else kind
        groups.setdefault(name, []).append(_Point(summary.metrics[x], summary.metrics[y], parameter))
    return groups


def _order(point: _Point) -> tuple[float, str]:
    """Along a line the policy's number rises."""
    try:
        return float(point.parameter), ""
    except ValueError:
        return 0.0, point.parameter
