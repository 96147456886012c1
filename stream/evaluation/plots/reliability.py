"""Reliability diagrams of a calibration: predicted stability and score, and the share that stood or was right."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stream.evaluation.calibration.calibrate import CalibrationReport
from stream.evaluation.calibration.reliability import BINS, Reliability

BEFORE, AFTER = "#d55e00", "#0072b2"
TAU = "#009e73"
TITLES = {
    "words before": "words, as the head says",
    "words after": "words, scaled",
    "spans": "spans, every update",
    "spans first": "spans, when first found",
    "scores": "scores of final spans",
}


def plot_reliability(report: CalibrationReport, path: Path) -> None:
    """Draw words before and after scaling, spans and scores, each above the histogram of its predictions."""
    figure = Figure(figsize=(3.25 * len(report.reliability), 5.6), layout="constrained")
    panels: Any = figure.subplots(2, len(report.reliability), height_ratios=(3, 1), sharex=True)
    best, chosen = report.best, report.chosen
    assert best is not None
    assert chosen is not None
    for i, (name, found) in enumerate(report.reliability.items()):
        before = name != "words after"
        _draw(panels[0, i], found, BEFORE if before else AFTER)
        panels[0, i].set_title(f"{TITLES[name]}: ECE {100 * found.ece:.2f} %", fontsize=10)
        _draw_histogram(panels[1, i], found, BEFORE if before else AFTER)
        for axes in panels[:, i]:
            if chosen.policy == "stability" and name.startswith("words"):  # a price is not a stability
                axes.axvline(best.tau if before else chosen.tau, color=TAU, linewidth=1, linestyle="--")
            axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("share that stood (scores: was right)")
    panels[1, 0].set_ylabel("share of predictions")
    figure.suptitle(
        f"{report.tagger} on {report.data}: stability after every word, band over {report.unit}s (95 %)"
        + (", tau dashed" if chosen.policy == "stability" else "")
        + f"; scaled on the other half of the {report.unit}s",
        fontsize=10,
    )
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, found: Reliability, color: str) -> None:
    # empty bins are not drawn
    predicted, stood, low, high = (
        np.array([x for x in column if x is not None])
        for column in (found.predicted, found.stood, found.low, found.high)
    )
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    axes.fill_between(predicted, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(predicted, stood, marker="o", markersize=4, color=color, linewidth=1.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)


def _draw_histogram(axes: Axes, found: Reliability, color: str) -> None:
    axes.bar((np.arange(BINS) + 0.5) / BINS, found.share, width=0.9 / BINS, color=color)
    axes.set_yscale("log")  # most words are stable
    axes.set_xlabel("stability")


def plot_diagrams(found: Mapping[str, Reliability], title: str, path: Path) -> None:
    """Draw reliability diagrams, by their names in `TITLES`, each above the histogram of its predictions."""
    figure = Figure(figsize=(3.6 * len(found), 5.6), layout="constrained")
    panels: Any = figure.subplots(2, len(found), height_ratios=(3, 1), sharex=True)
    for i, (name, diagram) in enumerate(found.items()):
        _draw(panels[0, i], diagram, AFTER)
        panels[0, i].set_title(f"{TITLES[name]}: ECE {100 * diagram.ece:.2f} %", fontsize=10)
        _draw_histogram(panels[1, i], diagram, AFTER)
        panels[1, i].set_xlabel("score" if name == "scores" else "stability")
        for axes in panels[:, i]:
            axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("share that stood (scores: was right)")
    panels[1, 0].set_ylabel("share of predictions")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=150)
