"""Spans of rules, and how they join with those of a model."""

from collections.abc import Iterable
from typing import NamedTuple


class RuleSpan(NamedTuple):
    """A stretch of text with a label."""

    start: int
    end: int
    """Offsets in the text, end exclusive."""
    label: str
    score: float
    """How sure the label is, 0 to 1."""
    open: bool = False
    """Whether more text may extend it or make something else of it."""


def merge_spans(*sources: Iterable[RuleSpan]) -> list[RuleSpan]:
    """Join the spans of a model and of rules, or of several rules.

    Overlapping spans become one that covers all of them: no character that one source covers is released because
    another source does not cover it, or because a check digit fails. The label and score are those of the span with the
    highest score; of two with the same score, those of the longer one. Spans that only touch stay two.

    Args:
        sources: spans of each source, in any order.

    Returns:
        Spans in the order of the text, without overlaps. Merging them again changes nothing.
    """
    spans = sorted((x.start, i, x) for i, source in enumerate(sources) for x in source if x.end > x.start)
    merged: list[RuleSpan] = []
    best: tuple[float, int] = (0.0, 0)
    for start, _, span in spans:
        rank = (span.score, span.end - start)
        if not merged or start >= merged[-1].end:
            merged.append(span)
            best = rank
            continue
        last = merged[-1]
        winner = span if rank > best else last
        best = max(best, rank)
        merged[-1] = RuleSpan(last.start, max(last.end, span.end), winner.label, winner.score, last.open or span.open)
    return merged
