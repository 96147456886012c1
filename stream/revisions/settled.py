"""Settled text: the beginning of an open segment that readers may act upon now (docs/redaction.md).

`settled` is an offset in the text of a segment, for each tagger. With the tagger's risk, no label that is not shown yet
will cover text before it, and no shown span that ends before it will be withdrawn, shortened or retyped by the model.
It is a function of the reading, the text, the spans shown, and the offset before the update:

- *Kept*. What was settled stays settled while its text stands (`keep_settled`). Where the source rewrote text before
  the offset, it goes back to the first word that was rewritten.
- *Frozen*. Changes of spans over kept text are held back until the segment closes (`freeze_settled`): so what was
  promised is broken at the close only, where final labels are those of the text fed whole.
- *Advanced*. It moves on over words whose labels are all at least as stable as the tagger's threshold, which is one for
  plain words (that no label may cover later) and one for words with a label (that may not lose it), up to the first
  found span that is not shown, and the first shown span that is found no more (`settle_text`). It stops before a span
  that ends with the last of these words, since the word behind it may turn out to belong to it.
- It is 0, or white space is before it: so the last word, which its source may still be writing, is settled when white
  space follows. It never lies inside a span.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from encoder.tokenizer.incremental import common_prefix
from stream.labelling.labeller import Labelling
from stream.messages.types import Span
from stream.revisions.emission import WordSpan, changed_words

DEFAULT_THRESHOLD = 0.99
"""Threshold of a tagger that is not calibrated; nothing is promised then."""
_start = attrgetter("start")
TextSpan = tuple[int, int, str]
"""A span by its characters: start, end (exclusive), label."""


@dataclass(frozen=True, slots=True)
class SettledRule:
    """How the settled text of one tagger is found."""

    threshold: float = DEFAULT_THRESHOLD
    """Least stability of a word without a label that may be settled; from 1 on, no text is settled before its segment
    closes."""
    first_unsettled: Callable[[str], int] | None = None
    """Of rules beside the model: the first character of a text that may still become a part of what they find; the
    length of the text if there is none."""
    labelled: float | None = None
    """Least stability of a word with a label, likewise; None: the same."""


@dataclass(frozen=True, slots=True)
class SettledRules:
    """The rules of all taggers."""

    by_tagger: Mapping[str, SettledRule] = field(default_factory=dict)
    """Others have the default one."""
    publish: bool = False
    """Whether a revision is published when the settled text has grown by a word, or has become shorter, and no span
    changed."""

    def rule_of(self, tagger: str) -> SettledRule:
        """Return the rule of a tagger."""
        return self.by_tagger.get(tagger, _DEFAULT)

    def is_news(self, text: str, told: int, settled: int) -> bool:
        """Tell whether an offset is published for itself; `told` is the one that readers have."""
        return self.publish and (settled < told or bool(text[told:settled].strip()))


_DEFAULT = SettledRule()
DEFAULT_RULES = SettledRules()
"""No tagger is calibrated, and settled text is told with other changes only."""


def keep_settled(before: str, shown: Sequence[Span], text: str, settled: int, rewritten: int | None) -> int:
    """Return the settled offset that an update leaves, before it is advanced.

    Args:
        before, shown, settled: the text before the update, its shown spans in order, and its settled offset.
        text: the text after the update.
        rewritten: the first rewritten character (`stream.revisions.spans.first_change`); None if the text only grew.
    """
    if not settled or rewritten is None or rewritten >= settled:
        return settled
    common = common_prefix(before, text)
    return settled if common >= settled else _whole_words(text, common, 0, [(x.start, x.end, x.label) for x in shown])


def freeze_settled(found: Labelling, published: Labelling, shown: Sequence[Span], settled: int) -> Labelling:
    """Return the reading to publish with the spans of settled text as readers have them.

    Args:
        found: the reading, with the spans that were found.
        published: the same with those to publish (`Emission.choose_spans`).
        shown: the spans that readers have, in order; none of them crosses `settled`.
        settled: what `keep_settled` gave.
    """
    if not settled:
        return published
    starts, ends = published.starts, published.ends
    kept = shown[: bisect_left(shown, settled, key=_start)]
    first_characters, last_characters = published.extents()
    count = bisect_left(first_characters, settled)
    if text_spans(kept) == _characters(published, 0, count) and (not count or last_characters[count - 1] <= settled):
        return published
    first = int(starts.searchsorted(settled))
    frozen: list[WordSpan] = []
    for x in kept:  # a span whose words the tokenizer reads as others now has gone with them
        a, b = int(starts.searchsorted(x.start)), int(ends.searchsorted(x.end)) + 1
        if a < b <= len(ends) and (starts[a], ends[b - 1]) == (x.start, x.end):
            frozen.append((a, b, x.label))
    stability, probability = published.stability.copy(), published.probability.copy()
    words = changed_words(frozen, [x for x in found.spans if x[0] < first], within=frozen)
    stability[words], probability[words] = 1 - found.stability[words], 1 - found.probability[words]
    spans = [*frozen, *published.spans[count:]]
    return published.replace(spans=spans, stability=stability, probability=probability)


def settle_text(
    text: str,
    reading: Labelling,
    found: Sequence[TextSpan],
    shown: Sequence[TextSpan],
    kept: int,
    rule: SettledRule,
) -> int:
    """Return the settled offset of an open segment.

    Args:
        text, reading: the text, and its reading.
        found, shown: the spans that were found, and those that readers have now, in order; those that end at or before
            `kept` may be left out.
        kept: what `keep_settled` gave.
        rule: the tagger's.
    """
    if rule.threshold >= 1:
        return kept
    starts, ends = reading.starts, reading.ends
    first, stable = reading.stable_run(kept, rule.threshold, rule.labelled)
    if stable <= first:
        return kept
    limits = [] if found is shown else [start for start, end, _ in {*found} ^ {*shown} if end > kept]
    if rule.first_unsettled is not None:
        limits.append(rule.first_unsettled(text))
    if limits:
        stable = min(stable, int(ends.searchsorted(min(limits), side="right")))
    if stable <= first:
        return kept
    last = int(ends[stable - 1])
    settled = int(starts[stable]) if stable < len(starts) else len(text)
    unfinished = [start for start, end, _ in shown if end >= last and kept <= start < settled]
    settled = min([settled, *unfinished])
    while (settled := _whole_words(text, settled, kept, shown)) > starts[first]:
        word = int(starts.searchsorted(settled)) - 1
        if ends[word] <= settled:
            return settled
        settled = int(starts[word])  # the tokenizer reads one word across white space, as letters set apart
    return kept


def tail_spans(reading: Labelling, settled: int) -> list[TextSpan]:
    """Return the spans of a reading that end behind the settled text, by their characters."""
    return _characters(reading, bisect_right(reading.extents()[1], settled))


def text_spans(spans: Sequence[Span], settled: int = 0) -> list[TextSpan]:
    """Return spans by their characters, those that begin at `settled` (which none crosses) or behind it."""
    return [(x.start, x.end, x.label) for x in spans[bisect_left(spans, settled, key=_start) :]]


def _characters(reading: Labelling, begin: int, end: int | None = None) -> list[TextSpan]:
    """Return some of the spans of a reading, by their numbers."""
    starts, ends = reading.extents()
    spans = zip(starts[begin:end], ends[begin:end], reading.spans[begin:end], strict=True)
    return [(start, stop, label) for start, stop, (_, _, label) in spans]


def _whole_words(text: str, end: int, kept: int, spans: Sequence[TextSpan]) -> int:
    """Return the last offset up to `end`, and at least `kept`, that is behind white space and inside no span."""
    while end > kept:
        inside = [start for start, stop, _ in spans if start < end < stop]
        if inside:
            end = inside[0]
        elif text[end - 1].isspace():
            return end
        else:
            end -= len(text[kept:end].rsplit(maxsplit=1)[-1])
    return kept
