"""The identity of spans: which of the new spans are the old ones, and what that makes of the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.messages.types import Cause, Changed, Retracted, Span, Was
from stream.revisions.text_alignment import Alignment


class TaggedSpan(NamedTuple):
    """A span as the tagger gives it, before it has an identity."""

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
    """The spans that stand now, and what changed since those that stood."""

    spans: tuple[Span, ...]
    added: list[int] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    retracted: list[Retracted] = field(default_factory=list)
    score: float | None = None
    """Of the whole segment; it is told with other changes, and is none itself."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.retracted)


def diff_spans(
    old_text: str, old: Sequence[Span], text: str, found: Sequence[TaggedSpan], rewritten: int | None, next_id: int
) -> Difference:
    """Give each found span the identity of an old one that it overlaps with the same label, or a new identity.

    An old span overlaps where its text went, not where it stood: words that only moved keep their spans. Of several
    that overlap, those that share most go together.

    Args:
        old_text, old: the segment as it stood; spans in order of `start`, not overlapping.
        text, found: the segment as it stands; the same of spans.
        rewritten: the first character at which the update changed what stood; None when it changed nothing or only
            added to the end. What ends after it changed because of the input, the rest because of the model.
        next_id: the first id to give.
    """
    same = _count_same(old, found, len(old_text) if rewritten is None else rewritten)
    kept = dict(enumerate(old[:same]))
    if same < len(old) and same < len(found):
        kept |= _match(old, found, same, Alignment(old_text, text))
    result = Difference(())
    spans = []
    for i, new in enumerate(found):
        before = kept.get(i)
        if before is None:
            result.added.append(next_id)
            next_id += 1
        span = _identify(new, text, before, result.added)
        if before is not None and (before.start, before.end, before.text) != (span.start, span.end, span.text):
            was = Was(start=before.start, end=before.end, label=before.label)
            result.changed.append(Changed(id=span.id, was=was, cause=_cause(max(before.end, span.end), rewritten)))
        spans.append(span)
    stands = {x.id for x in kept.values()}
    result.retracted.extend(retract(x, _cause(x.end, rewritten)) for x in old if x.id not in stands)
    result.spans = tuple(spans)
    return result


def _identify(new: TaggedSpan, text: str, before: Span | None, added: Sequence[int]) -> Span:
    """The found span under its identity: the old span's, else the one just added."""
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
    """The record of a span that no longer stands."""
    return Retracted(id=span.id, start=span.start, end=span.end, label=span.label, text=span.text, cause=cause)


def _cause(end: int, rewritten: int | None) -> Cause:
    return "model" if rewritten is None or end <= rewritten else "input"


def _count_same(old: Sequence[Span], found: Sequence[TaggedSpan], stands: int) -> int:
    """Leading spans that are just what they were, on text that stands: nearly all, on nearly every update."""
    for i, (a, b) in enumerate(zip(old, found, strict=False)):
        if a.end > stands or (a.start, a.end, a.label) != b[:3]:
            return i
    return min(len(old), len(found))


def _match(old: Sequence[Span], found: Sequence[TaggedSpan], first: int, alignment: Alignment) -> dict[int, Span]:
    """The old span of each found span that has one, by the found span's index, of those from `first` on."""
    pairs = sorted(_overlaps(old, found, first, alignment), key=lambda pair: -pair[0])  # stable: in the text's order
    kept: dict[int, Span] = {}
    taken: set[int] = set()
    for _, i, before in pairs:
        if i not in kept and before.id not in taken:
            kept[i] = before
            taken.add(before.id)
    return kept


def _overlaps(
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
