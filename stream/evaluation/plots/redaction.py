"""Plot of redaction: what leaks of text that goes out live, against how late it goes out.

`python -m stream.evaluation.plots.redaction redaction.json redaction.png` draws the file that `hearken evaluate
--redaction --out` writes, and prints the table of docs/redaction.md.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stream.evaluation.redaction.redaction_report import Figures, FormResult, RedactionReport, markdown_table

COLORS = {"settled": "#0072b2", "words": "#d55e00", "final": "#222222"}
PEER_COLORS = ("#777777", "#cc79a7")
OURS = "hearken"


class _LeakCurve(NamedTuple):
    label: str
    color: str
    points: list[tuple[float, float, str]]
    """Mean delay, leak, and what is written beside it."""


def plot_redaction(report: RedactionReport, path: Path) -> None:
    """Draw the leak against the mean delay for each set: `settled` at several thresholds, fixed delays, the final text.

    Only forms that go out live are drawn, of each set the one that has all of them.
    """
    chosen = [(x.data, forms[-1]) for x in report.sets if (forms := [form for form in x.forms if form.release])]
    figure = Figure(figsize=(6.4 * max(1, len(chosen)), 4.4), layout="constrained")
    panels = figure.subplots(1, max(1, len(chosen)), squeeze=False)[0]
    for axes, (data, form) in zip(panels, chosen, strict=False):
        _draw(axes, form)
        axes.set_title(f"{data}, {form.form}: {form.texts:,} texts", fontsize=10)
    figure.savefig(path, dpi=150)


def _draw(axes: Axes, form: FormResult) -> None:
    peers = [name for name in form.release if name != OURS]
    curves = _curves(form.release[OURS])
    for name, color in zip(peers, PEER_COLORS * len(peers), strict=False):
        points = [_point(x, key) for key, x in form.release[name].items()]
        curves.append(_LeakCurve(name, color, sorted(points)))
    for curve in curves:
        axes.plot(
            [x for x, _, _ in curve.points], [y for _, y, _ in curve.points],
            "o-", color=curve.color, markersize=4, linewidth=1.3, label=curve.label,
        )  # fmt: skip
        below = {"xytext": (-7, -4), "ha": "right", "va": "center", "rotation": 30, "rotation_mode": "anchor"}
        beside = below if curve.color == COLORS["settled"] else {"xytext": (4, 4)}
        for x, y, text in curve.points:
            axes.annotate(text, (x, y), textcoords="offset points", fontsize=7, color=curve.color, **beside)
    own = form.release[OURS]["settled"]
    axes.plot(
        [own["mean delay"]], [own["leak"]], "*", color=COLORS["settled"], markersize=14, label="settled, as it runs"
    )
    axes.set_xlabel("mean delay of a word when it goes out, words")
    axes.set_ylabel("PII characters that go out in clear, %")
    axes.set_xlim(0, 1.08 * max(x for curve in curves for x, _, _ in curve.points))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _curves(release: dict[str, Figures]) -> list[_LeakCurve]:
    settled = [_point(x, key.split()[-1]) for key, x in release.items() if key.startswith("settled at")]
    words = [_point(x, key.split(":")[1]) for key, x in release.items() if key.startswith("words:")]
    return [
        _LeakCurve("settled, by threshold of plain words", COLORS["settled"], sorted(settled)),
        _LeakCurve("words:K, by K", COLORS["words"], sorted(words)),
        _LeakCurve("final", COLORS["final"], [_point(release["final"], "final")]),
    ]


def _point(figures: Figures, text: str) -> tuple[float, float, str]:
    return figures["mean delay"], figures["leak"], text


if __name__ == "__main__":
    read = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=RedactionReport)
    plot_redaction(read, Path(sys.argv[2]))
    print(markdown_table(read))
