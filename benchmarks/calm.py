"""Calm: what becomes of published spans under emission levels, and how far stability and score of spans are right.

The sets are the `[[dev]]` tables of a training configuration, as speech, word by word, in the sessions that the texts
belong to (`stream.evaluation.calibration.span_readings`). The readings of the tagger are computed once; every emission
level is tried on them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, make_table
from encoder.heads.span_model import SpanModel
from encoder.tagger import load_single_tagger
from encoder.train.data.convention import TagSpan, trim_span
from encoder.train.run import keep_to_one_thread
from stream.evaluation.calibration.reliability import Reliability, measure_reliability
from stream.evaluation.calibration.span_confidence import (
    SpanPairs,
    choose_sources,
    collect_rows,
    fit_without_each,
    pair_sessions,
)
from stream.evaluation.calibration.span_readings import SegmentReadings, SetReadings, read_set
from stream.evaluation.calibration.stability_replay import StabilityPairs
from stream.evaluation.replay.shown_spans import ShownSegment
from stream.labelling.labeller import Labelling
from stream.messages.types import Span
from stream.revisions.emission import Emission, WordSpan, parse_emission
from stream.revisions.settled import TextSpan

DEFAULT = "medium"
CURVE = ("low", "high", *(f"{show}:0.8{wait}" for show in (0.4, 0.5, 0.55, 0.6, 0.7, 0.8) for wait in ("", ":2", ":3")))
"""Levels of the curve, beside those that have names."""
LATE = 3
"""Words after which a span is late."""


class CalmPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What readers of one set see at one level; shares in percent of the spans that were published, delays in words."""

    set: str
    level: str
    spans: int
    """Published ones, those of the close included."""
    withdrawn: float
    """Retracted by the model: vanished, merged or under another label."""
    vanished: float
    relabelled: float
    shortened: float
    """Times that the model took words from one."""
    grown: float
    delay_p50: float
    """From the update at which all words of a final span were there until it was published in this form."""
    delay_p95: float
    delay_mean: float
    late: float
    """Share of the final spans with a delay above 3 words, in percent..."""
    late_by_model: float
    """...and of those that the tagger itself had not found until then."""
    standing_p95: float
    """95th percentile of the delay until it was there to stay."""
    at_close: float
    """Share of the final spans that only the close published, in percent."""
    streaming_em: float
    """Share of the updates at which the published spans were those of the gold labels so far, in percent."""
    stability_error: float
    """Expected calibration error of the stability of spans when they were published, in percent."""


class CalmSet(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration errors of one set, in percent."""

    name: str
    texts: int
    words: int
    first: float
    """Of stability when a span is first found, published or not."""
    every: float
    """Of stability at every update."""
    score: float
    left_out_first: float
    left_out_every: float
    left_out_score: float
    """The same with a confidence that was fitted on all other sets."""
    finals: int


class CalmReport(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one tagger."""

    tagger: str
    identity: str
    """Digest of the checkpoint."""
    policy: str
    default: str
    sets: list[CalmSet]
    points: list[CalmPoint]
    """By set at the default level, then of all sets at every level."""
    reliability: dict[str, Reliability]
    """Of all sets, each with the confidence that was fitted on the others."""


@dataclass(slots=True)
class Tally:
    """Counts of the segments of some sets at one level."""

    counts: Counter[str] = field(default_factory=Counter)
    delays: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    standing: list[int] = field(default_factory=list)
    told: list[StabilityPairs] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add other segments."""
        self.counts.update(other.counts)
        for name in ("delays", "found", "standing", "told"):
            getattr(self, name).extend(getattr(other, name))

    def point(self, name: str, level: str) -> CalmPoint:
        """Give the figures."""
        counts, shown, finals = self.counts, max(1, self.counts["spans"]), max(1, len(self.delays))
        share = {x: 100 * counts[x] / shown for x in ("vanished", "relabelled", "shortened", "grown")}
        delays, found = np.array(self.delays), np.array(self.found)
        return CalmPoint(
            set=name,
            level=level,
            spans=counts["spans"],
            withdrawn=100 * counts["withdrawn"] / shown,
            delay_p50=quantile(self.delays, 0.5),
            delay_p95=quantile(self.delays, 0.95),
            delay_mean=float(delays.mean()) if len(delays) else 0.0,
            late=100 * float((delays > LATE).sum()) / finals,
            late_by_model=100 * float((found > LATE).sum()) / finals,
            standing_p95=quantile(self.standing, 0.95),
            at_close=100 * counts["at_close"] / finals,
            streaming_em=100 * counts["right"] / max(1, counts["updates"]),
            stability_error=100 * measure_reliability(self.told).ece if self.told else 0.0,
            **share,
        )


def quantile(values: Sequence[int], part: float) -> float:
    """Return the smallest value that at least this share of all does not exceed; 0 of none."""
    return float(np.quantile(values, part, method="inverted_cdf")) if values else 0.0


def run_calm(
    tagger: str,
    config: Path,
    limit: int,
    only: Sequence[str],
    levels: Sequence[str],
    progress: ReportProgress,
    *,
    mode: str = "session",
) -> CalmReport:
    """Measure one tagger.

    Args:
        tagger: as for `hearken tag`; one head.
        config: training configuration; paths in it are relative to the current folder.
        limit: most texts of a set.
        only: names of sets (folders); empty: all.
        levels: emission levels of the curve; the default is always measured.
        progress: told of each set and level.
        mode: "session", or "alone": each text is a session of its own.

    Raises:
        CheckpointError: the tagger cannot be read.
        ConfigError: the configuration or a set cannot be read, or no set is left.
        EmissionError: a level cannot be parsed.
    """
    keep_to_one_thread()
    emissions = {level: parse_emission(level) for level in dict.fromkeys((DEFAULT, *levels))}
    loaded = load_single_tagger(tagger)
    names = loaded.config.labels
    sources = choose_sources(config, loaded.heads[0].name, only)
    steps = len(sources) + len(emissions) + 1
    sets = []
    for number, source in enumerate(sources):
        progress(f"readings of {source.name()}", number / steps)
        sets.append(read_set(loaded, source, limit, mode=mode))
    progress("confidence, fitted without each set", len(sources) / steps)
    rows = [collect_rows(found, names, number) for number, found in enumerate(sets)]
    models = fit_without_each(rows, names) if len(sets) > 1 else [None]
    errors = [_measure_errors(found, model) for found, model in zip(sets, models, strict=True)]
    points, pooled = [], []
    for number, (level, emission) in enumerate(emissions.items()):
        progress(f"level {level}", (len(sources) + 1 + number) / steps)
        total = Tally()
        for found in sets:
            tally = tally_set(found, emission)
            if level == DEFAULT:
                points.append(tally.point(found.name, level))
            total.add(tally)
        pooled.append(total.point("all", level))
    left_out = [pair_sessions(found, model) for found, model in zip(sets, models, strict=True)]
    parts = {"spans first": "first", "spans": "every", "scores": "score"}
    return CalmReport(
        tagger=tagger,
        identity=loaded.encoder.identity.hex(),
        policy=loaded.default_policy or "",
        default=DEFAULT,
        sets=errors,
        points=points + pooled,
        reliability={
            title: measure_reliability([getattr(x, part) for sessions in left_out for x in sessions])
            for title, part in parts.items()
        },
    )


def _measure_errors(found: SetReadings, model: SpanModel | None) -> CalmSet:
    own, left_out = pair_sessions(found, None), pair_sessions(found, model)

    def error(sessions: Sequence[SpanPairs], part: str) -> float:
        return 100 * measure_reliability([getattr(x, part) for x in sessions]).ece

    return CalmSet(
        name=found.name,
        texts=len(found.segments),
        words=sum(len(x.gold.words) for x in found.segments),
        first=error(own, "first"),
        every=error(own, "every"),
        score=error(own, "score"),
        left_out_first=error(left_out, "first"),
        left_out_every=error(left_out, "every"),
        left_out_score=error(left_out, "score"),
        finals=sum(len(x.score.stood) for x in own),
    )


def tally_set(found: SetReadings, emission: Emission) -> Tally:
    """Show the segments of a set to readers at one level, and count what they see."""
    total = Tally()
    for segment in found.segments:
        total.add(tally_segment(segment, emission))
    return total


def tally_segment(segment: SegmentReadings, emission: Emission) -> Tally:
    """Show one segment to readers at one level, and count what they see."""
    shown, tally = ShownSegment(emission), Tally()
    counts, seen, found = tally.counts, list[set[TextSpan]](), list[set[TextSpan]]()
    told: list[tuple[TextSpan, float]] = []
    for text, reading, final in segment.texts():
        difference = shown.update(text, reading, final=final)
        now = {x.id: x for x in difference.spans}
        counts["spans"] += len(difference.added)
        counts["withdrawn"] += len(difference.retracted)
        for gone in difference.retracted:
            over = [x.label for x in difference.spans if x.start < gone.end and gone.start < x.end]
            counts["relabelled"] += bool(over) and gone.label not in over
            counts["vanished"] += not over
        kept = [(x.was, now[x.id]) for x in difference.changed]
        grown = sum(new.start <= was.start and new.end >= was.end for was, new in kept)
        counts["grown"] += grown
        counts["shortened"] += len(kept) - grown
        if not final:
            news = {*difference.added, *(x.id for x in difference.changed)}
            told += [(text_span(x), x.stability) for x in difference.spans if x.id in news]
            counts["updates"] += 1
            counts["right"] += is_right(segment, text, reading, shown.published.spans)
        seen.append({text_span(x) for x in difference.spans})
        found.append({(int(reading.starts[a]), int(reading.ends[b - 1]), name) for a, b, name in reading.spans})
    _add_delays(segment, seen, found, tally)
    tally.told = [
        StabilityPairs(np.array([x for _, x in told], np.float32), np.array([x in seen[-1] for x, _ in told], np.bool_))
    ]
    return tally


def _add_delays(
    segment: SegmentReadings, seen: Sequence[set[TextSpan]], found: Sequence[set[TextSpan]], tally: Tally
) -> None:
    """Add the delays of the final spans; the close brings no word, so what it brings came with the last one."""
    last = len(seen) - 2
    for span in seen[-1]:
        there = int(np.searchsorted(segment.gold.ends, span[1]))
        since = next((i for i in range(last, -1, -1) if span not in seen[i]), -1) + 1
        rows = [next(i for i, spans in enumerate(rows) if span in spans) for rows in (seen, found)]
        for delays, row in zip((tally.delays, tally.found, tally.standing), (*rows, since), strict=True):
            delays.append(max(0, min(row, last) - there))
        tally.counts["at_close"] += since > last


def text_span(span: Span) -> TextSpan:
    """Return the characters and the label of a span."""
    return span.start, span.end, span.label


def is_right(segment: SegmentReadings, text: str, reading: Labelling, spans: Sequence[WordSpan]) -> bool:
    """Tell whether published spans are those of the gold labels, cut to the words so far."""
    gold, words = segment.gold, int(np.searchsorted(segment.gold.ends, len(text))) + 1
    wanted = {TagSpan(x.start, min(x.end, words), x.label) for x in gold.spans if x.start < words}
    judged = [(x, gold.judge(reading, x)) for x in spans]
    found = {trim_span(gold.words[:words], gold.words_of(reading, x)) for x, known in judged if known is not None}
    return found - {None} == wanted


def calm_tables(report: CalmReport) -> list[Table]:
    """Lay out the default level by set, the curve of levels, and the calibration errors by set."""
    points = {
        "spans": lambda x: f"{x.spans:,}",
        "withdrawn": lambda x: f"{x.withdrawn:.1f}",
        "vanished": lambda x: f"{x.vanished:.1f}",
        "relabelled": lambda x: f"{x.relabelled:.1f}",
        "shortened": lambda x: f"{x.shortened:.1f}",
        "grown": lambda x: f"{x.grown:.1f}",
        "delay p50 / p95 / mean": lambda x: f"{x.delay_p50:.0f} / {x.delay_p95:.0f} / {x.delay_mean:.2f}",
        f"later than {LATE} (tagger)": lambda x: f"{x.late:.1f} ({x.late_by_model:.1f})",
        "stands p95": lambda x: f"{x.standing_p95:.0f}",
        "at close": lambda x: f"{x.at_close:.1f}",
        "sEM": lambda x: f"{x.streaming_em:.1f}",
        "stability error": lambda x: f"{x.stability_error:.1f}",
    }  # fmt: skip
    by_set = [x for x in report.points if x.set != "all" or x.level == report.default]
    errors = {
        "texts": lambda x: f"{x.texts:,}",
        "when found": lambda x: f"{x.first:.1f}",
        "every update": lambda x: f"{x.every:.1f}",
        "final spans": lambda x: f"{x.finals:,}",
        "score": lambda x: f"{x.score:.1f}",
        "when found, others": lambda x: f"{x.left_out_first:.1f}",
        "every update, others": lambda x: f"{x.left_out_every:.1f}",
        "score, others": lambda x: f"{x.left_out_score:.1f}",
    }
    head = f"{report.tagger} ({report.identity})"
    levels = [x for x in report.points if x.set == "all"]
    return [
        make_table(f"{head}, level {report.default}", by_set, {"set": lambda x: x.set} | points),
        make_table(f"{head}, all sets", levels, {"level": lambda x: x.level} | points),
        make_table(f"{head}, calibration error of spans, %", report.sets, {"set": lambda x: x.name} | errors),
    ]


def plot_calm(report: CalmReport, folder: Path) -> list[Path]:
    """Draw the curve of the levels, and the reliability of stability and score of spans; returns the files."""
    from stream.evaluation.plots.emission import plot_points
    from stream.evaluation.plots.reliability import plot_diagrams

    curve, diagrams = folder / "calm.png", folder / "calm-reliability.png"
    points = [(x.delay_p95, x.delay_mean, x.withdrawn, x.level) for x in report.points if x.set == "all"]
    plot_points(points, f"{report.tagger} ({report.identity}), {len(report.sets)} sets", report.default, curve)
    plot_diagrams(
        report.reliability,
        f"{report.tagger} ({report.identity}): {len(report.sets)} sets, each with the confidence fitted on the others",
        diagrams,
    )
    return [curve, diagrams]
