"""`python -m benchmarks attributes`: AUC and calibration of each attribute on public development sets."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from matplotlib.figure import Figure

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, make_table
from benchmarks.harness.tag_command import run_tag, tag_alone
from consumers.common.errors import OperationFailed
from encoder.train.ranking import rank_auc
from stream.evaluation.calibration.reliability import Reliability
from stream.evaluation.texts.score_metrics import text_reliability

LIKELY = 0.5
BEHIND_OTHERS = ("wiki_toxicity", "surge_toxicity")
"""Sets whose comments are also scored behind another one: those that training did not see."""
MIN_BIN = 5
"""Texts below which a bin is not drawn."""
MIN_POSITIVE = 5
"""Positive texts below which a set tells nothing of an attribute."""


class _Gold(NamedTuple):
    """Where a set says what an attribute should be."""

    score: str
    set_name: str
    read: Callable[[Mapping[str, Any]], float]


def _label(name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda row: float(row["label"] == name)


def _field(field: str, name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda row: float(row[field].get(name, 0))


GOLD = (
    _Gold("toxicity", "wiki_toxicity", _label("toxic")),
    _Gold("toxicity", "surge_toxicity", _label("toxic")),
    _Gold("toxicity", "jigsaw_binary", _label("toxic")),
    _Gold("toxicity", "jigsaw_sample", _field("labels", "toxic")),
    _Gold("toxicity", "toxic_spans_typed", _field("votes", "toxic")),
    _Gold("insult", "jigsaw_sample", _field("labels", "insult")),
    _Gold("insult", "toxic_spans_typed", _field("votes", "insult")),
    _Gold("profanity", "jigsaw_sample", _field("labels", "profanity")),
    _Gold("profanity", "toxic_spans_typed", _field("votes", "profanity")),
    _Gold("identity_attack", "jigsaw_sample", _field("labels", "identity_attack")),
    _Gold("identity_attack", "toxic_spans_typed", _field("votes", "identity_attack")),
    _Gold("identity_attack", "dynahate", _label("hate")),
    _Gold("sexually_explicit", "social_bias_frames", _field("scores", "sexual")),
    _Gold("threat", "toxic_spans_typed", _field("votes", "threat")),
    _Gold("severe_toxicity", "jigsaw_sample", _field("labels", "severe_toxic")),
)
"""The votes of a set are shares of annotators; a text is positive from one half on."""


class AttributeQuality(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute on one set."""

    attribute: str
    set_name: str
    texts: int
    positive: int
    auc: float | None
    auc_after_comment: float | None
    """With a comment of another author before each, as `context` would have it."""
    reliability: Reliability | None


class AttributesReport(msgspec.Struct, frozen=True, kw_only=True):
    """All attributes."""

    tagger: str
    rows: list[AttributeQuality]
    absent: list[str]
    """Sets that are not in the data folder."""


def run_attributes(tagger: str, data: Path, limit: int, progress: ReportProgress) -> AttributesReport:
    """Measure.

    Args:
        tagger: with text scores.
        data: folder of public sets, each with a `dev.jsonl`.
        limit: most texts of each set, evenly from all of it.
        progress: told of each set.

    Raises:
        OperationFailed: labelling failed, or the tagger has no text scores.
    """
    names = list(dict.fromkeys(gold.set_name for gold in GOLD))
    present = [name for name in names if (data / name / "dev.jsonl").is_file()]
    rows: list[AttributeQuality] = []
    for number, name in enumerate(present):
        progress(name, number / len(present))
        lines = (data / name / "dev.jsonl").read_text("utf-8").splitlines()
        read = [json.loads(x) for x in lines]
        read = [read[i * len(read) // limit] for i in range(limit)] if len(read) > limit else read
        texts = [row["text"] for row in read]
        alone = [x.get("scores") or {} for x in tag_alone(tagger, texts)]
        after = _scores_after_comment(tagger, texts) if name in BEHIND_OTHERS else None
        if not any(alone):
            raise OperationFailed(f"--tagger {tagger} has no text scores")
        for gold in GOLD:
            if gold.set_name == name:
                wanted = np.array([gold.read(row) >= LIKELY for row in read])
                rows.append(_measure(gold, wanted, alone, after))
    return AttributesReport(tagger=tagger, rows=rows, absent=[x for x in names if x not in present])


def attributes_tables(report: AttributesReport) -> list[Table]:
    """Lay out a report."""
    table = make_table(
        "Attributes on development sets (percent)",
        sorted(report.rows, key=lambda x: x.attribute),
        {
            "attribute": lambda x: x.attribute.upper(),
            "set": lambda x: x.set_name,
            "texts": lambda x: str(x.texts),
            "positive": lambda x: str(x.positive),
            "AUC": lambda x: _percent(x.auc),
            "AUC after a comment": lambda x: _percent(x.auc_after_comment),
            "calibration error": lambda x: _percent(x.reliability.ece if x.reliability else None),
        },
        left=2,
    )
    return [table]


def plot_attributes(report: AttributesReport, path: Path) -> None:
    """Draw the reliability of each attribute on its sets: predicted probability, and the share that was positive."""
    attributes = list(dict.fromkeys(x.attribute for x in report.rows if x.reliability and x.positive >= MIN_POSITIVE))
    figure = Figure(figsize=(3.1 * len(attributes), 3.9), layout="constrained")
    panels: Any = figure.subplots(1, len(attributes), squeeze=False, sharey=True)
    for axes, attribute in zip(panels[0], attributes, strict=True):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for row in report.rows:
            if row.attribute == attribute and row.reliability and row.positive >= MIN_POSITIVE:
                bins = zip(row.reliability.predicted, row.reliability.stood, row.reliability.share, strict=True)
                filled = [
                    (x, y, share)
                    for x, y, share in bins
                    if x is not None and y is not None and share * row.texts >= MIN_BIN - 0.5
                ]
                x, y, share = zip(*filled, strict=True)
                (line,) = axes.plot(x, y, linewidth=1.2, label=row.set_name)
                axes.scatter(x, y, s=[6 + 120 * s for s in share], color=line.get_color())
        axes.set_title(attribute.upper(), fontsize=10)
        axes.set_xlabel("score")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    panels[0, 0].set_ylabel("share that annotators found positive")
    figure.savefig(path, dpi=110)


def _scores_after_comment(tagger: str, texts: Sequence[str]) -> list[dict[str, float]]:
    """Score each text behind another one of the set, which has another author."""
    messages: list[dict[str, object]] = []
    for i, text in enumerate(texts):
        before = texts[(i + len(texts) // 2) % len(texts)]
        closed = {"type": "update", "session": f"s{i}", "final": True}
        messages.append({**closed, "segment": "before", "text": before, "speaker": "a"})
        messages.append({**closed, "segment": "comment", "text": text, "speaker": "b"})
    found = {x["session"]: x for x in run_tag(tagger, messages) if x["segment"] == "comment"}
    return [found[f"s{i}"].get("scores") or {} for i in range(len(texts))]


def _measure(
    gold: _Gold,
    wanted: "np.ndarray[Any, np.dtype[np.bool_]]",
    alone: Sequence[Mapping[str, float]],
    after: Sequence[Mapping[str, float]] | None,
) -> AttributeQuality:
    scores = np.array([x.get(gold.score, 0.0) for x in alone])
    return AttributeQuality(
        attribute=gold.score,
        set_name=gold.set_name,
        texts=len(wanted),
        positive=int(wanted.sum()),
        auc=rank_auc(scores, wanted),
        auc_after_comment=rank_auc([x.get(gold.score, 0.0) for x in after], wanted) if after else None,
        reliability=text_reliability(scores, wanted),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
