"""Span diff: matches new spans with published ones, so that a span keeps its id while it overlaps itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.messages.types import Cause, Changed, Retracted, Span, Was
from stream.revisions.text_alignment import Alignment


class TaggedSpan(NamedTuple):
    """A span as found by a tagger, without an id."""

    start: int
    end: int
    label: str
    stability: float
    start_time: float | None = None
    end_time: float | None = None
    speaker: str | None = None
    channel: str | None = None
    score: float | None = None


@dataclass(slots=True)
class Difference:
    """The current spans of a segment, and the changes since the previous ones."""

    spans: tuple[Span, ...]
    added: list[int] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    retracted: list[Retracted] = field(default_factory=list)
    score: float | None = None
    """Score of the whole segment; it is published with changes, and is not a change itself."""
    scores: dict[str, float] = field(default_factory=dict)
    """Text scores by name, as they are published."""
    crossed: tuple[str, ...] = ()
    """Names of those that are on the other side of their threshold than readers last saw."""
    scores_are_news: bool = False
    """Whether they are published although no span changed (`stream.revisions.score_thresholds`)."""
    settled_is_news: bool = False
    """Whether the settled text is (`stream.revisions.settled`)."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.retracted or self.scores_are_news or self.settled_is_news)


def diff_spans(
    old_text: str, old: Sequence[Span], text: str, found: Sequence[TaggedSpan], rewritten: int | None, next_id: int
) -> Difference:
    """Give each found span the id of an old one of the same label that it overlaps, or a new id.

    Old spans are compared at the position to which their text has moved, so words that only moved keep their spans. Of
    several overlapping pairs, those that share most characters are matched first.

    Args:
        old_text, old: the text before the update, and its spans in order of `start`, not overlapping.
        text, found: the text after the update, and its spans, likewise.
        rewritten: the first character that the update rewrote; None if it only appended text. Spans that end after it
            changed because of the input, others because of the model.
        next_id: the first new id.
    """
    same = _count_unchanged(old, found, len(old_text) if rewritten is None else rewritten)
    kept = dict(enumerate(old[:same]))
    if same < len(old) and same < len(found):
        kept |= _match_spans(old, found, same, Alignment(old_text, text))
    result = Difference(())
    spans = []
    for i, new in enumerate(found):
        before = kept.get(i)
        if before is None:
            result.added.append(next_id)
            next_id += 1
        span = _with_id(new, text, before, result.added)
        if before is not None and (before.start, before.end, before.text) != (span.start, span.end, span.text):
            was = Was(start=before.start, end=before.end, label=before.label)
            result.changed.append(Changed(id=span.id, was=was, cause=_cause(max(before.end, span.end), rewritten)))
        spans.append(span)
    kept_ids = {x.id for x in kept.values()}
    result.retracted.extend(retract(x, _cause(x.end, rewritten)) for x in old if x.id not in kept_ids)
    result.spans = tuple(spans)
    return result


def _with_id(new: TaggedSpan, text: str, before: Span | None, added: Sequence[int]) -> Span:
    """Return the found span with its id: that of the old span, else the one just added."""
    start, end, label, stability, start_time, end_time, speaker, channel, score = new
    return Span(
        id=added[-1] if before is None else before.id,
        start=start,
        end=end,
        label=label,
        text=text[start:end],
        stability=stability,
        start_time=start_time,
        end_time=end_time,
        speaker=speaker,
        channel=channel,
        score=score,
    )


def retract(span: Span, cause: Cause) -> Retracted:
    """Return the record of a span that is removed."""
    return Retracted(id=span.id, start=span.start, end=span.end, label=span.label, text=span.text, cause=cause)


def _cause(end: int, rewritten: int | None) -> Cause:
    return "model" if rewritten is None or end <= rewritten else "input"


def _count_unchanged(old: Sequence[Span], found: Sequence[TaggedSpan], unchanged_end: int) -> int:
    """Count the leading spans that did not change, on text that did not change: nearly all, in nearly every update."""
    for i, (a, b) in enumerate(zip(old, found, strict=False)):
        if a.end > unchanged_end or (a.start, a.end, a.label) != b[:3]:
            return i
    return min(len(old), len(found))


def _match_spans(old: Sequence[Span], found: Sequence[TaggedSpan], first: int, alignment: Alignment) -> dict[int, Span]:
    """Return the matching old span by the index of its found span, for those from `first` on that have one."""
    pairs = sorted(
        _overlapping_pairs(old, found, first, alignment), key=lambda pair: -pair[0]
    )  # stable, so pairs that share the same are in order of the text
    kept: dict[int, Span] = {}
    taken: set[int] = set()
    for _, i, before in pairs:
        if i not in kept and before.id not in taken:
            kept[i] = before
            taken.add(before.id)
    return kept


def _overlapping_pairs(
    old: Sequence[Span], found: Sequence[TaggedSpan], first: int, alignment: Alignment
) -> Iterator[tuple[float, int, Span]]:
    for span in old[first:]:
        start, end = alignment.extent(span.start, span.end)
        while first < len(found) and found[first].end <= start:
            first += 1
        for i in range(first, len(found)):
            if found[i].start >= end:
                break
            shared = min(end, found[i].end) - max(start, found[i].start)
            if found[i].label == span.label and shared > 0:
                yield shared, i, span
