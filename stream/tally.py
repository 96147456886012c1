"""Metrics summed over a corpus, chart by chart, so that no more than one chart need be in memory."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from encoder.decode import labels_to_spans
from stream.metrics import (
    Chart,
    Labels,
    Span,
    SpanScore,
    begins,
    common_beginning,
    correction_time,
    edit_overhead,
    find_edits,
    relative_correctness,
    revises,
    span_delays,
)

DELAYS = (1, 2)
"""The d of EO_d and RC_d that a corpus is given."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """All metrics of one corpus; the names are those of the JSON that `hearken evaluate` writes.

    None: there was nothing to take it from (no gold, no record of the work, no revisions).
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
    """Words whose tail states were computed by updates, a word that arrived."""
    closing_words: float | None
    """Words that closing restarts computed on top, a word that arrived."""
    restart_rate: float | None
    full_restart_rate: float | None
    closing_rate: float | None
    """Closing restarts that had anything to compute, a segment."""
    active_restarts: float | None
    r_pertinence: float | None
    r_appropriateness: float | None
    flops_saved: float | None
    erasure: float
    delay_p50: float | None
    delay_p95: float | None


@dataclass(slots=True)
class Tally:
    """Sums over the charts of a corpus; `result` gives its metrics at any time.

    Args:
        names: label names by number, strict IOB2.
    """

    names: tuple[str, ...]
    _sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _offline: SpanScore = field(default_factory=SpanScore)
    _streaming: SpanScore = field(default_factory=SpanScore)
    _delays: Counter[int] = field(default_factory=Counter)

    def add(self, chart: Chart, gold: Labels | None = None) -> None:
        """Add one segment's chart, with its reference labels where there are any; an empty one counts nothing."""
        if not chart.rows or not len(chart.final):
            return
        self._add_changes(chart)
        self._add_work(chart)
        rows = chart.standing
        spans = [labels_to_spans(row, self.names) for row in rows]
        self._delays.update(span_delays(spans, [len(row) for row in rows]))
        if gold is not None:
            self._add_gold(rows, gold, spans)
            self._add_revisions(chart, gold)

    def add_flops(self, spent: float, dense: float) -> None:
        """Add the FLOPs of what was added, and those of the dense encoder re-run on every word of it."""
        self._sums["flops"] += spent
        self._sums["dense_flops"] += dense

    def _add_changes(self, chart: Chart) -> None:
        sums, n, edits = self._sums, len(chart.final), find_edits(chart)
        ours = edits.of_model()
        sums["segments"] += 1
        sums["words"] += n
        sums["flips"] += len(ours.step)
        sums["input_flips"] += len(edits.step) - len(ours.step)
        for d in (0, *DELAYS):
            sums[f"eo_{d}"] += edit_overhead(ours, n, d)
            sums[f"rc_{d}"] += relative_correctness(chart, d)
        sums["ct"] += correction_time(ours, n)
        history = [*chart.rows] if chart.closed is None else [*chart.rows, chart.closed]
        sums["erased"] += sum(len(a) - common_beginning(a, b) for a, b in pairwise(history))

    def _add_work(self, chart: Chart) -> None:
        sums = self._sums
        if chart.work is None:
            return
        arrived = [len(row) - new for row, new in zip(chart.rows, chart.arrivals(), strict=True)]
        sums["arrived"] += sum(arrived if chart.arrived is None else chart.arrived)
        for t, work in enumerate(chart.work):
            restarted = work.kind in ("local", "full")
            sums["steps"] += 1
            sums["computed"] += work.words
            sums["restarts"] += restarted
            sums["full"] += work.kind == "full"
            sums["active"] += restarted and t > 0 and revises(chart.rows[t - 1], chart.rows[t])
        if chart.closing is not None:
            sums["closable"] += 1
            sums["closings"] += chart.closing.words > 0
            sums["closing_words"] += chart.closing.words

    def _add_gold(self, rows: Sequence[Labels], gold: Labels, spans: Sequence[list[Span]]) -> None:
        sums = self._sums
        sums["gold_segments"] += 1
        sums["gold_rows"] += len(rows)
        sums["right"] += len(rows[-1]) == len(gold) and begins(gold, rows[-1])
        sums["right_rows"] += sum(begins(gold, row) for row in rows)
        self._offline.add(spans[-1], labels_to_spans(gold, self.names))
        for row, found in zip(rows, spans, strict=True):
            self._streaming.add(found, labels_to_spans(gold[: len(row)], self.names))

    def _add_revisions(self, chart: Chart, gold: Labels) -> None:
        """Count steps that revise what stood, and whether what stood was wrong."""
        for before, after in pairwise(chart.standing):
            revised, wrong = revises(before, after), not begins(gold, before)
            self._sums["revisions"] += revised
            self._sums["wrong_steps"] += wrong
            self._sums["pertinent"] += revised and wrong

    def _delay(self, share: float) -> float | None:
        """Return the smallest delay that at least `share` of the spans do not exceed."""
        total, seen = sum(self._delays.values()), 0
        for delay in sorted(self._delays):
            seen += self._delays[delay]
            if seen >= share * total:
                return float(delay)
        return None

    def result(self) -> Metrics:
        """Give the metrics of what was added so far."""
        sums = self._sums

        def share(part: str, whole: str) -> float | None:
            return sums[part] / sums[whole] if sums[whole] else None

        def mean(part: str, over: str = "segments") -> float:
            return share(part, over) or 0.0

        gold = sums["gold_segments"] > 0
        saved = share("flops", "dense_flops")
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
            delay_p50=self._delay(0.5),
            delay_p95=self._delay(0.95),
        )
