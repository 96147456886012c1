"""Emission: which of the spans found are published, by how stable they are.

A *level* has two thresholds on stability (`Labelling.stability`): `show`, for a span that readers have not seen, and
`change`, for a span that they have; and `wait`, the number of words for which something is held back. The published
spans are a function of the reading, the text and the spans published before: there is no clock and no other state. A
restored session therefore continues as it would have.

*Published spans.* An update first moves them. A span *stands* if its words are in the new text, letter for letter, and
are words there (they may have moved). Otherwise its text was rewritten or removed, and it is retracted at once: no
reader sees a span over words that are not there.

*Found spans* are compared with those that stand. Each belongs to a group with all spans that overlap it, directly or
through others:

- A found span that equals a published one stays.
- A found span that overlaps no published one is published if it is at least `show` stable (`Labelling.confidence`), if
  at least `wait` words follow it, or if it continues a span of its label whose text was rewritten (not removed).
  Otherwise it is held back: readers do not know of it, and it has no id yet.
- Any other group is a change: moved bounds, another label, a retraction, spans that merge or split. It is made as a
  whole or not at all. It is made if every word whose label would change has a stability of at least `change` under its
  new label, "O" included; or if something was found in the group, and at least `wait` words follow it (a mere
  retraction delays nothing that was found). Of the found spans those are then published that continue a published one
  (same label), are at least `show` stable, or have waited. Until then the published spans stay as they are, and what
  was found over them is held back. Published spans therefore never overlap.

*Closing* publishes exactly the final labels, whatever the thresholds: all that was held back appears, all that is stale
goes. Edits of closed segments and deletes are never held back. No timer publishes a span: one that does not become
stable enough appears when `wait` words follow it and what it overlaps, or when its segment closes.

A revision is published when the published spans change: also when a held span has become stable enough although the
update changed nothing near it.

A published span that stays although the model has changed its mind is as stable as its words allow: a word that has
another label by now, of stability p, has the published label at the close with a probability of at most 1 - p.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from encoder.tokenizer.incremental import common_prefix
from stream.messages.types import Span
from stream.revisions.text_alignment import Alignment

if TYPE_CHECKING:
    from stream.labelling.labeller import Labelling

Level = Literal["low", "medium", "high"]
WordSpan = tuple[int, int, str]
"""A span by its words: first, end (exclusive), label."""


class Thresholds(Protocol):
    """What a calibration keeps of the level that it was made at."""

    @property
    def show(self) -> float:
        """As `Emission.show`."""

    @property
    def change(self) -> float:
        """As `Emission.change`."""

    @property
    def wait(self) -> int | None:
        """As `Emission.wait`."""


class EmissionError(ValueError):
    """An invalid emission level; the message names the valid ones."""


@dataclass(frozen=True, slots=True)
class Emission:
    """Thresholds on stability for publishing a span, and for changing a published one.

    Raises:
        EmissionError: a threshold is not a probability, or the number of words is below 0.
    """

    show: float = 0.0
    """Minimum stability of a new span; 0 publishes all at once."""
    change: float = 0.0
    """Minimum stability of the new labels of a change of published spans; 0 makes every change at once."""
    wait: int | None = None
    """Number of words after a span from which it is published, or changed, whatever its stability; None: never."""

    def __post_init__(self) -> None:
        if not (0 <= self.show <= 1 and 0 <= self.change <= 1):
            raise EmissionError(f"{self.show}:{self.change}: both thresholds are probabilities, from 0 to 1")
        if self.wait is not None and self.wait < 0:
            raise EmissionError(f"{self.wait}: the words to wait for are a number of at least 0")

    def is_level(self, other: "Thresholds") -> bool:
        """Tell whether something was measured at this level."""
        return (other.show, other.change, other.wait) == (self.show, self.change, self.wait)

    def choose_spans(
        self, before: str, shown: Sequence[Span], text: str, reading: "Labelling", final: bool
    ) -> "Labelling":
        """Return the reading with the spans to publish instead of those found.

        Args:
            before, shown: the text before the update, and its published spans, in order.
            text, reading: the text after it, and its reading.
            final: whether the segment closes, or is closed already.

        Returns:
            `spans` to publish, with `stability` and `probability` of their labels; `labels` are those found.
        """
        if final or not (self.show or self.change):
            return reading
        return self._hold_back(before, shown, text, reading)

    def _hold_back(self, before: str, shown: Sequence[Span], text: str, reading: "Labelling") -> "Labelling":
        standing, rewritten = _move_published(before, shown, text, reading)
        firsts, ends = [x[0] for x in rewritten], [x[1] for x in rewritten]  # both rise
        spans: list[WordSpan] = []
        stability, probability = reading.stability, reading.probability
        for old, new in _group_overlapping(standing, reading.spans):
            if old == new:
                spans += new
            elif not old or self._may_change(old, new, reading.stability):
                spans += [
                    x
                    for x in new
                    if self._has_waited([x], len(reading.stability))
                    or self._is_stable(x, reading)
                    or _continues(x, old)
                    or _continues(x, rewritten[bisect_right(ends, x[0]) : bisect_left(firsts, x[1])])
                ]
            else:
                spans += old
                words = changed_words(old, new, within=old)
                stability, probability = stability.copy(), probability.copy()
                stability[words], probability[words] = 1 - stability[words], 1 - probability[words]
        return reading.replace(spans=spans, stability=stability, probability=probability)

    def _is_stable(self, span: WordSpan, reading: "Labelling") -> bool:
        return bool(reading.confidence([span])[0, 0] >= self.show)

    def _has_waited(self, spans: Sequence[WordSpan], words: int) -> bool:
        """Tell whether at least `wait` of a text's words follow all of the spans."""
        return self.wait is not None and words - max(end for _, end, _ in spans) >= self.wait

    def _may_change(self, old: Sequence[WordSpan], new: Sequence[WordSpan], stability: NDArray[np.float32]) -> bool:
        words = changed_words(old, new, within=[*old, *new])
        waited = bool(new) and self._has_waited([*old, *new], len(stability))
        return waited or bool((stability[words] >= self.change).all())


LOW = Emission()
"""Publishes every change at once."""
LEVELS: dict[Level, Emission] = {
    "low": LOW,
    "medium": Emission(show=0.65, change=0.8, wait=4),
    "high": Emission(show=0.7, change=0.8),
}
"""Chosen on dev data, on the curve of delay against withdrawn spans (docs/results.md). The thresholds of new spans are
probabilities of the whole span, which the ends of most spans keep below .9 until a few words later."""


def parse_emission(level: str) -> Emission:
    """Parse `low`, `medium`, `high`, or two thresholds as SHOW:CHANGE ("0.8:0.9"), with a number of words to wait for
    as SHOW:CHANGE:WORDS ("0.8:0.9:3").

    Raises:
        EmissionError: the level is neither.
    """
    if level in LEVELS:
        return LEVELS[level]
    parts = level.split(":")
    try:
        if len(parts) not in (2, 3):
            raise ValueError(level)
        return Emission(float(parts[0]), float(parts[1]), *map(int, parts[2:]))
    except EmissionError:
        raise
    except ValueError:
        raise EmissionError(
            f"{level!r} is unknown: use {', '.join(LEVELS)}, or thresholds as SHOW:CHANGE, such as 0.8:0.9, with the "
            "words after a span from which it is held back no longer as SHOW:CHANGE:WORDS, such as 0.8:0.9:3"
        ) from None


def _move_published(
    before: str, shown: Sequence[Span], text: str, reading: "Labelling"
) -> tuple[list[WordSpan], list[WordSpan]]:
    """Move published spans into the new text; returns those that stand, and the replacements of the rewritten ones."""
    if not shown:
        return [], []
    extents = [(x.start, x.end) for x in shown]
    common = common_prefix(before, text)
    unmoved = [
        words if words[2] and end <= common else None
        for words, (_, end) in zip(_words_under(extents, reading), extents, strict=True)
    ]
    if None not in unmoved:
        return [(first, end, x.label) for (first, end, _), x in zip(filter(None, unmoved), shown, strict=True)], []
    alignment = Alignment(before, text)
    moved = [alignment.extent(*extent) for extent in extents]
    standing, rewritten = [], []
    for span, words, (start, stop), (first, end, fits) in zip(
        shown, unmoved, moved, _words_under(moved, reading), strict=True
    ):
        if words is not None:
            standing.append((words[0], words[1], span.label))
        elif fits and text[int(start) : int(stop)] == span.text:
            standing.append((first, end, span.label))
        elif start < stop and first < end:
            rewritten.append((first, end, span.label))
    return standing, rewritten


def _words_under(extents: ArrayLike, reading: "Labelling") -> list[tuple[int, int, bool]]:
    """Return the words that each stretch of characters touches (first, end), and whether it is exactly these words."""
    starts, ends = np.asarray(extents, np.float64).T
    first = np.searchsorted(reading.ends, starts, side="right")
    end = np.searchsorted(reading.starts, ends, side="left")
    whole = first < end
    whole[whole] = (reading.starts[first[whole]] == starts[whole]) & (reading.ends[end[whole] - 1] == ends[whole])
    return list(zip(first.tolist(), end.tolist(), whole.tolist(), strict=True))


def _group_overlapping(
    old: Sequence[WordSpan], new: Sequence[WordSpan]
) -> Iterator[tuple[list[WordSpan], list[WordSpan]]]:
    """Yield groups of overlapping old and new spans, in order of the text; neither argument overlaps itself."""
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


def changed_words(old: Sequence[WordSpan], new: Sequence[WordSpan], within: Sequence[WordSpan]) -> list[int]:
    """Return the words of the spans `within` whose BIO label or type differs between `old` and `new`."""
    was, now = _word_tags(old), _word_tags(new)
    return sorted({i for first, end, _ in within for i in range(first, end) if was.get(i) != now.get(i)})


def _word_tags(spans: Sequence[WordSpan]) -> dict[int, tuple[str, bool]]:
    return {i: (label, i == first) for first, end, label in spans for i in range(first, end)}


def _continues(span: WordSpan, known: Sequence[WordSpan]) -> bool:
    """Tell whether any of the known spans overlaps it with the same label."""
    first, end, label = span
    return any(a < end and b > first and label == name for a, b, name in known)
