"""What readers are shown of what was found: how sure a span must be before it is published, and before it is changed.

A *level* is two thresholds on stability (`Labelling.stability`): `show`, for a span that readers have not seen, and
`change`, for one that they have. What is shown follows from the reading, the text and the spans shown before, and from
nothing else: no clock, no state of its own. So a session that is restored goes on as it would have.

*Shown spans.* An update first moves them. A span *stands* if its words are in the new text, letter for letter, and are
words there (they may have moved); otherwise its text was rewritten or removed, and it goes at once: a reader never
sees a span over words that are not there.

*Found spans* are set against those that stand. Each is in a group with all that overlap it, directly or through others:

- a found span that is just what is shown: stays;
- a found span that overlaps nothing shown: is shown if its least stable word is at least `show`, or if it goes on with
  a span of its label whose text was rewritten (not removed). Else it is held back: readers do not know of it, and it
  has no id yet;
- any other group is a change: moved bounds, another label, a retraction, spans that merge or part. It is made whole or
  not at all. It is made if each word whose label would change is at least `change` stable under its new label, "O"
  included; of the found spans those are then shown that go on with a shown one (same label) or are at least `show`
  stable. Until then the shown spans stay as they are, and what was found over them is held back. So spans never
  overlap.

*Closing* shows exactly the final labels, whatever the thresholds: all that was held back appears, all that is stale
goes. Edits of closed segments and deletes are never held. No timer publishes a span: one that never gets stable
enough appears when its segment closes.

A revision is published when what is shown changes: also when a held span has become stable enough, though the update
touched nothing near it.

A span that stays although the model has changed its mind is as stable as its words allow: a word that has another
label by now, which stands with probability p, has its shown label at the close with at most 1 - p.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encoder.tokenizer.incremental import common_prefix
from stream.messages.types import Span
from stream.revisions.text_alignment import Alignment

if TYPE_CHECKING:
    from stream.labelling.labeller import Labelling

Level = Literal["low", "medium", "high"]
WordSpan = tuple[int, int, str]
"""A span in words: first, end (exclusive), label."""


class EmissionError(ValueError):
    """A level that is none; the message says what would do."""


@dataclass(frozen=True, slots=True)
class Emission:
    """How sure a span must be before readers see it, and before one that they have seen is changed.

    Raises:
        EmissionError: a threshold is no probability.
    """

    show: float = 0.0
    """Least stability of a new span; 0: all are shown at once."""
    change: float = 0.0
    """Least stability of the new labels, for a change of what is shown; 0: every change is made at once."""

    def __post_init__(self) -> None:
        if not (0 <= self.show <= 1 and 0 <= self.change <= 1):
            raise EmissionError(f"{self.show}:{self.change}: both thresholds are probabilities, from 0 to 1")

    def choose_spans(
        self, before: str, shown: Sequence[Span], text: str, reading: "Labelling", final: bool
    ) -> "Labelling":
        """Give the reading with the spans that readers are to see, in place of those found.

        Args:
            before, shown: the segment as it stood, and the spans that readers have of it, in order.
            text, reading: the segment as it stands, and what was found.
            final: it closes, or is closed already.

        Returns:
            `spans` to be shown, and `stability` and `probability` of their labels; `labels` are those found.
        """
        if final or not (self.show or self.change):
            return reading
        return self._hold(before, shown, text, reading)

    def _hold(self, before: str, shown: Sequence[Span], text: str, reading: "Labelling") -> "Labelling":
        standing, rewritten = _carry(before, shown, text, reading)
        spans: list[WordSpan] = []
        stability, probability = reading.stability, reading.probability
        for old, new in _groups(standing, reading.spans):
            if old == new:
                spans += new
            elif not old or self._is_settled(old, new, reading.stability):
                spans += [x for x in new if self._is_stable(x, reading) or _goes_on(x, old) or _goes_on(x, rewritten)]
            else:
                spans += old
                words = _differing(old, new, within=old)
                stability, probability = stability.copy(), probability.copy()
                stability[words], probability[words] = 1 - stability[words], 1 - probability[words]
        return reading.replace(spans=spans, stability=stability, probability=probability)

    def _is_stable(self, span: WordSpan, reading: "Labelling") -> bool:
        return bool(reading.stability[span[0] : span[1]].min() >= self.show)

    def _is_settled(self, old: Sequence[WordSpan], new: Sequence[WordSpan], stability: NDArray[np.float32]) -> bool:
        return bool((stability[_differing(old, new, within=[*old, *new])] >= self.change).all())


LOW = Emission()
"""Every change is published when it happens."""
LEVELS: dict[Level, Emission] = {
    "low": LOW,
    "medium": Emission(show=0.7, change=0.8),
    "high": Emission(show=0.9, change=0.8),
}
"""Chosen on dev data, on the frontier of delay against flips (docs/operations.md)."""


def parse_emission(level: str) -> Emission:
    """Read `low`, `medium`, `high`, or two thresholds of one's own as SHOW:CHANGE ("0.8:0.9").

    Raises:
        EmissionError: it is neither.
    """
    if level in LEVELS:
        return LEVELS[level]
    try:
        show, change = (float(part) for part in level.split(":"))
    except ValueError:
        raise EmissionError(
            f"{level!r} is unknown: use {', '.join(LEVELS)}, or thresholds as SHOW:CHANGE, such as 0.8:0.9"
        ) from None
    return Emission(show, change)


def _carry(
    before: str, shown: Sequence[Span], text: str, reading: "Labelling"
) -> tuple[list[WordSpan], list[WordSpan]]:
    """Move shown spans to where their words are now: those that stand; of those rewritten, the words in their place."""
    if not shown:
        return [], []
    extents = [(x.start, x.end) for x in shown]
    stands = common_prefix(before, text)
    places = [
        place if place[2] and end <= stands else None
        for place, (_, end) in zip(_place(extents, reading), extents, strict=True)
    ]
    if None not in places:
        return [(first, end, x.label) for (first, end, _), x in zip(filter(None, places), shown, strict=True)], []
    alignment = Alignment(before, text)
    moved = [alignment.extent(*extent) for extent in extents]
    standing, rewritten = [], []
    for span, place, (start, stop), (first, end, fits) in zip(
        shown, places, moved, _place(moved, reading), strict=True
    ):
        if place is not None:
            standing.append((place[0], place[1], span.label))
        elif fits and text[int(start) : int(stop)] == span.text:
            standing.append((first, end, span.label))
        elif start < stop and first < end:
            rewritten.append((first, end, span.label))
    return standing, rewritten


def _place(extents: ArrayLike, reading: "Labelling") -> list[tuple[int, int, bool]]:
    """The words that each stretch of characters touches, first and end, and whether it is just these words."""
    starts, ends = np.asarray(extents, np.float64).T
    first = np.searchsorted(reading.ends, starts, side="right")
    end = np.searchsorted(reading.starts, ends, side="left")
    whole = first < end
    whole[whole] = (reading.starts[first[whole]] == starts[whole]) & (reading.ends[end[whole] - 1] == ends[whole])
    return list(zip(first.tolist(), end.tolist(), whole.tolist(), strict=True))


def _groups(old: Sequence[WordSpan], new: Sequence[WordSpan]) -> Iterator[tuple[list[WordSpan], list[WordSpan]]]:
    """Spans of two readings, each without overlaps: those that overlap together, old and new, in order of the text."""
    group: tuple[list[WordSpan], list[WordSpan]] = ([], [])
    last = 0
    for span, is_new in sorted([*((x, False) for x in old), *((x, True) for x in new)]):
        if span[0] >= last and (group[0] or group[1]):
            yield group
            group = ([], [])
        group[is_new].append(span)
        last = max(last, span[1])
    if group[0] or group[1]:
        yield group


def _differing(old: Sequence[WordSpan], new: Sequence[WordSpan], within: Sequence[WordSpan]) -> list[int]:
    """The words of the spans `within` that have another BIO label, or another type, in `new` than in `old`."""
    was, now = _tags(old), _tags(new)
    return sorted({i for first, end, _ in within for i in range(first, end) if was.get(i) != now.get(i)})


def _tags(spans: Sequence[WordSpan]) -> dict[int, tuple[str, bool]]:
    return {i: (label, i == first) for first, end, label in spans for i in range(first, end)}


def _goes_on(span: WordSpan, known: Sequence[WordSpan]) -> bool:
    """Tell whether any of the known spans overlaps it with the same label."""
    first, end, label = span
    return any(a < end and b > first and label == name for a, b, name in known)
