"""Metrics of a corpus, summed chart by chart, so that charts need not stay in memory."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import fsum

import msgspec
import numpy as np

from stream.evaluation.metrics.chart_metrics import (
    Chart,
    Extents,
    Labels,
    Span,
    SpanCounts,
    changes_labels,
    character_f1,
    common_prefix_lengths,
    correction_time,
    edit_overhead,
    erased_labels,
    find_edits,
    relative_correctness,
    row_spans,
    standing_since,
)

DELAYS = (1, 2)
"""Values of d for EO_d and RC_d."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of one corpus; the names are those of the JSON that `hearken evaluate` writes.

    None: the metric is undefined (no gold labels, no record of the work, no revisions).
    """

    segments: int
    words: int
    offline_f1: float | None
    offline_em: float | None
    streaming_em: float | None
    streaming_f1: float | None
    eo: float
    eo_1: float
    eo_2: float
    flips_per_word: float
    input_flips_per_word: float
    ct: float
    rc: float
    rc_1: float
    rc_2: float
    words_recomputed: float | None
    """Words whose tail states updates computed, per word that arrived."""
    closing_words: float | None
    """Words that closing restarts computed in addition, per word that arrived."""
    restart_rate: float | None
    full_restart_rate: float | None
    closing_rate: float | None
    """Closing restarts that had anything to compute, per segment."""
    active_restarts: float | None
    r_pertinence: float | None
    r_appropriateness: float | None
    flops_saved: float | None
    """Against a re-run over what the window shows of the session, on every word."""
    erasure: float
    delay_p50: float | None
    delay_p95: float | None
    delay_mean: float | None = None
    """In words, as `delay_p50` and `delay_p95`."""
    seen_mean: float | None = None
    """Share of the segment's words that had arrived when a final span was first there to stay, 0..1; mean over spans.
    A span that only the close brings counts 1."""
    seen_p50: float | None = None
    seen_p95: float | None = None
    delay_seconds_p50: float | None = None
    delay_seconds_p95: float | None = None
    delay_seconds_mean: float | None = None
    flops_saved_open: float | None = None
    """Against a re-run over the open segment alone, on every word."""
    character_f1: float | None = None
    """Mean over segments; only if the reference marks characters."""
    taken_back_per_word: float = 0.0
    """Flips of words that had a label other than "O": readers saw it, and it went."""
    spans_shown: int | None = None
    """Spans that readers were shown under an emission level, including retracted ones."""
    span_flips: float | None = None
    """Times that the model retracted or shortened a shown span, per span shown."""
    span_growths: float | None = None
    """Times that the model added words to a shown span, per span shown."""
    shown_at_close: float | None = None
    """Share of the final spans that no reader saw in this form before the segment closed."""


@dataclass(slots=True)
class CorpusTally:
    """Sums over the charts of a corpus; `result` returns the metrics so far.

    Args:
        names: label names by number, strict IOB2.
    """

    names: tuple[str, ...]
    _sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _offline: SpanCounts = field(default_factory=SpanCounts)
    _streaming: SpanCounts = field(default_factory=SpanCounts)
    _delays: Counter[float] = field(default_factory=Counter)
    _seconds: Counter[float] = field(default_factory=Counter)
    _seen: Counter[float] = field(default_factory=Counter)

    def add(self, chart: Chart, gold: Labels | None = None, marks: Extents | None = None) -> None:
        """Add the chart of one segment; an empty chart is ignored.

        Args:
            chart: the history of its labels.
            gold: (words,) reference labels; None: there are none.
            marks: characters that should be under spans; None: the reference does not mark characters.
        """
        if not chart.rows or not len(chart.final):
            return
        self._add_changes(chart)
        self._add_work(chart)
        rows = chart.standing
        spans = row_spans(rows, self.names)
        self._add_delays(chart, spans)
        self._add_seen(chart, spans)
        if gold is not None:
            self._add_gold(rows, gold, spans)
        found = chart.found if chart.closed is None else chart.closed_found
        if marks is not None and found is not None:
            self._sums["marked"] += 1
            self._sums["characters"] += character_f1(found, marks)

    def add_flops(self, spent: float, dense: float, dense_open: float | None = None) -> None:
        """Add the FLOPs of the charts that were added, and those of a dense encoder re-run on every word.

        Args:
            spent: FLOPs of the tagger.
            dense: FLOPs of the dense encoder over the last tokens of the session, up to the window.
            dense_open: FLOPs of the dense encoder over the open segment alone; None: the same.
        """
        self._sums["flops"] += spent
        self._sums["dense_flops"] += dense
        self._sums["dense_open"] += dense if dense_open is None else dense_open

    def _add_changes(self, chart: Chart) -> None:
        sums, n, edits = self._sums, len(chart.final), find_edits(chart)
        ours = edits.of_model()
        sums["segments"] += 1
        sums["words"] += n
        sums["flips"] += len(ours.step)
        sums["taken_back"] += int(np.count_nonzero(ours.was))
        sums["input_flips"] += len(edits.step) - len(ours.step)
        for d in (0, *DELAYS):
            sums[f"eo_{d}"] += edit_overhead(ours, n, d)
            sums[f"rc_{d}"] += relative_correctness(chart, d)
        sums["ct"] += correction_time(ours, n)
        sums["erased"] += erased_labels(chart.rows if chart.closed is None else [*chart.rows, chart.closed])

    def _add_work(self, chart: Chart) -> None:
        sums = self._sums
        if chart.work is None:
            return
        if chart.arrived is None:
            sums["arrived"] += sum(len(row) - new for row, new in zip(chart.rows, chart.arrivals(), strict=True))
        else:
            sums["arrived"] += chart.arrived
        for t, work in enumerate(chart.work):
            restarted = work.kind in ("local", "full")
            sums["steps"] += 1
            sums["computed"] += work.words
            sums["restarts"] += restarted
            sums["full"] += work.kind == "full"
            sums["active"] += restarted and t > 0 and changes_labels(chart.rows[t - 1], chart.rows[t])
        if chart.closing is not None:
            sums["closable"] += 1
            sums["closings"] += chart.closing.words > 0
            sums["closing_words"] += chart.closing.words

    def _add_delays(self, chart: Chart, spans: Sequence[frozenset[Span]]) -> None:
        lengths = [len(row) for row in chart.rows]
        for (_, end, _), row in standing_since(spans):
            self._delays[float(max(0, lengths[row] - end))] += 1
            self._seen[round(min(1.0, lengths[row] / len(chart.final)), 4)] += 1
            came = chart.update_times[row] if chart.update_times else None
            over = chart.word_ends[end - 1] if chart.word_ends else None
            if came is not None and over is not None:
                self._seconds[round(max(0.0, came - over), 3)] += 1

    def _add_seen(self, chart: Chart, spans: Sequence[frozenset[Span]]) -> None:
        seen = chart.seen if chart.closed is None else chart.closed_seen
        if seen is None:
            return
        self._sums["seen"] += 1
        self._sums["spans_shown"] += seen.added
        self._sums["span_flips"] += seen.flipped
        self._sums["span_growths"] += seen.grown
        if chart.closed is not None:
            before, _ = row_spans([chart.rows[-1], chart.closed], self.names)
            self._sums["closed_spans"] += len(spans[-1])
            self._sums["at_close"] += len(spans[-1] - before)

    def _add_gold(self, rows: Sequence[Labels], gold: Labels, spans: Sequence[frozenset[Span]]) -> None:
        sums = self._sums
        right = common_prefix_lengths(gold, rows) >= [len(row) for row in rows]  # (rows,)
        sums["gold_segments"] += 1
        sums["gold_rows"] += len(rows)
        sums["right"] += len(rows[-1]) == len(gold) and bool(right[-1])
        sums["right_rows"] += int(right.sum())
        wanted = row_spans([gold[: i + 1] for i in range(len(gold))], self.names)
        self._offline.add(spans[-1], wanted[-1])
        for row, found in zip(rows, spans, strict=True):
            self._streaming.add(found, wanted[len(row) - 1] if len(row) else frozenset())
        for (before, after), stood_right in zip(pairwise(rows), right.tolist(), strict=False):
            revised = changes_labels(before, after)
            sums["revisions"] += revised
            sums["wrong_steps"] += not stood_right
            sums["pertinent"] += revised and not stood_right

    def result(self) -> Metrics:
        """Return the metrics of the charts that were added so far."""
        sums = self._sums

        def share(part: str, whole: str) -> float | None:
            return sums[part] / sums[whole] if sums[whole] else None

        def mean(part: str, over: str = "segments") -> float:
            return share(part, over) or 0.0

        gold = sums["gold_segments"] > 0
        saved, saved_open = share("flops", "dense_flops"), share("flops", "dense_open")
        return Metrics(
            segments=int(sums["segments"]),
            words=int(sums["words"]),
            offline_f1=self._offline.f1 if gold else None,
            offline_em=share("right", "gold_segments"),
            streaming_em=share("right_rows", "gold_rows"),
            streaming_f1=self._streaming.f1 if gold else None,
            eo=mean("eo_0"),
            eo_1=mean("eo_1"),
            eo_2=mean("eo_2"),
            flips_per_word=mean("flips", "words"),
            input_flips_per_word=mean("input_flips", "words"),
            ct=mean("ct"),
            rc=mean("rc_0"),
            rc_1=mean("rc_1"),
            rc_2=mean("rc_2"),
            words_recomputed=share("computed", "arrived"),
            closing_words=share("closing_words", "arrived") if sums["closable"] else None,
            restart_rate=share("restarts", "steps"),
            full_restart_rate=share("full", "steps"),
            closing_rate=share("closings", "closable"),
            active_restarts=share("active", "restarts"),
            r_pertinence=share("pertinent", "revisions"),
            r_appropriateness=share("pertinent", "wrong_steps"),
            flops_saved=None if saved is None else 1.0 - saved,
            erasure=mean("erased", "words"),
            delay_p50=_quantile(self._delays, 0.5),
            delay_p95=_quantile(self._delays, 0.95),
            delay_mean=_mean(self._delays),
            seen_mean=_mean(self._seen),
            seen_p50=_quantile(self._seen, 0.5),
            seen_p95=_quantile(self._seen, 0.95),
            delay_seconds_p50=_quantile(self._seconds, 0.5),
            delay_seconds_p95=_quantile(self._seconds, 0.95),
            delay_seconds_mean=_mean(self._seconds),
            flops_saved_open=None if saved_open is None else 1.0 - saved_open,
            character_f1=share("characters", "marked"),
            taken_back_per_word=mean("taken_back", "words"),
            spans_shown=int(sums["spans_shown"]) if sums["seen"] else None,
            span_flips=share("span_flips", "spans_shown"),
            span_growths=share("span_growths", "spans_shown"),
            shown_at_close=share("at_close", "closed_spans"),
        )


def _quantile(delays: Counter[float], part: float) -> float | None:
    """Return the smallest delay that at least this share of all delays does not exceed."""
    total, seen = sum(delays.values()), 0
    for delay in sorted(delays):
        seen += delays[delay]
        if seen >= part * total:
            return delay
    return None


def _mean(delays: Counter[float]) -> float | None:
    total = sum(delays.values())
    return fsum(delay * count for delay, count in delays.items()) / total if total else None
