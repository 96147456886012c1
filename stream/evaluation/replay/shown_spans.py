"""Spans of a segment that readers are shown under an emission level, without an engine: for evaluation and tests.

The same readings are shown under many levels at once; the engine does the same with its sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from stream.evaluation.metrics.chart_metrics import Labels, SegmentRevisions
from stream.labelling.labeller import NO_WORDS, Labelling
from stream.messages.types import Span
from stream.messages.word_times import Times
from stream.revisions.emission import Emission, WordSpan
from stream.revisions.settled import (
    SettledRule,
    TextSpan,
    freeze_settled,
    keep_settled,
    settle_text,
    tail_spans,
    text_spans,
)
from stream.revisions.span_diff import Difference, diff_spans
from stream.revisions.spans import find_spans, first_change


@dataclass(slots=True)
class ShownSegment:
    """One segment as its readers see it."""

    emission: Emission
    text: str = ""
    spans: tuple[Span, ...] = ()
    found: Labelling = NO_WORDS
    """Newest reading."""
    published: Labelling = NO_WORDS
    """The same with the shown spans in place of the found ones."""
    rule: SettledRule = field(default_factory=SettledRule)
    settled: int = 0
    """Settled offset (`stream.revisions.settled`)."""
    kept: int = 0
    """What the last update left of it, before it was advanced."""
    _next: int = 1

    @property
    def text_spans(self) -> list[TextSpan]:
        """The spans by their characters."""
        return text_spans(self.spans)

    def update(self, text: str, reading: Labelling, *, times: Times = (), final: bool = False) -> Difference:
        """Apply a new text and its reading; returns the spans that are shown now, and what changed."""
        _, rewritten = first_change(self.text, self.found, text, reading)
        self.kept = kept = keep_settled(self.text, self.spans, text, self.settled, rewritten)
        self.published = self.emission.choose_spans(self.text, self.spans, text, reading, final)
        if not final:
            self.published = freeze_settled(reading, self.published, self.spans, kept)
        found = find_spans(text, times, self.published)
        difference = diff_spans(self.text, self.spans, text, found, rewritten, self._next)
        self.text, self.spans, self.found = text, difference.spans, reading
        self._next += len(difference.added)
        self.settled = len(text) if final else self.settle([self.rule])[0]
        return difference

    def settle(self, rules: Sequence[SettledRule]) -> list[int]:
        """Return the settled offset of the last update under each rule; the segment is open."""
        found, now = tail_spans(self.found, self.kept), tail_spans(self.published, self.kept)
        return [settle_text(self.text, self.found, found, now, self.kept, rule) for rule in rules]


@dataclass(slots=True)
class Audience:
    """Readers of one segment under one level."""

    names: tuple[str, ...]
    """Label names by number, strict IOB2."""
    shown: ShownSegment
    rows: list[Labels] = field(default_factory=list)
    """Rows of its chart; the replay adds them."""
    seen: SegmentRevisions = field(default_factory=SegmentRevisions)

    def update(self, text: str, reading: Labelling, *, final: bool = False) -> Labelling:
        """Apply a new text and its reading; returns the shown spans, as `labels` too."""
        difference = self.shown.update(text, reading, final=final)
        self.seen = SegmentRevisions(*(a + b for a, b in zip(self.seen, count_seen(difference), strict=True)))
        published = self.shown.published
        return published.replace(labels=span_labels(published.spans, len(published.starts), self.names))


class EmissionLevels(NamedTuple):
    """Emission levels under which readings are shown."""

    names: tuple[str, ...]
    """Label names by number, strict IOB2."""
    emissions: Sequence[Emission]

    def open_audiences(self) -> list[Audience]:
        """Return the readers of a new segment under each level."""
        return [Audience(self.names, ShownSegment(emission)) for emission in self.emissions]


def count_seen(difference: Difference) -> SegmentRevisions:
    """Count the changes that readers are told with one update."""
    now = {span.id: span for span in difference.spans}
    ours = [(x.was, now[x.id]) for x in difference.changed if x.cause == "model"]
    grown = sum(span.start <= was.start and span.end >= was.end for was, span in ours)
    retracted = sum(x.cause == "model" for x in difference.retracted)
    return SegmentRevisions(len(difference.added), retracted + len(ours) - grown, grown)


def span_labels(spans: Sequence[WordSpan], words: int, names: tuple[str, ...]) -> Labels:
    """Return (words,) the labels of spans without overlaps, in strict IOB2."""
    labels = np.zeros(words, np.int32)
    for first, end, label in spans:
        labels[first] = names.index("B-" + label)
        if end > first + 1:
            labels[first + 1 : end] = names.index("I-" + label)
    return labels
