"""The closed context of a session: which closed segments a new segment sees, and where they lie in the slot.

The context is a pure function of the tokens of the closed segments, in the order of closing. So neither the interim
updates that came, nor evictions, nor replays can change it. This module knows nothing of pages or scores, nor of the
states of open segments.

The window rules, with W the window, B = W / 2 and P the positions:
a segment that opens at slot token s sees from ws = max(0, s - B). When tokens beyond ws + W come, the window that is
full is a *checkpoint*: it is computed together, its first B tokens are final, and ws moves on by B. If fewer than B
positions are left then, the segment is *re-anchored*: its last B tokens move to position 0, and everything before them
leaves the slot. When a segment closes with fewer than W positions left, the closed context is re-anchored: its last B
tokens move to 0. Nothing else decides. In particular a context is re-anchored by what has closed, not by when the next
segment opens, and a segment that was re-anchored is treated from then on as one that opened at 0.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class ClosedSegment:
    """A closed segment. It is equal only to itself, so an edited segment is another one."""

    id: Hashable
    """None once it can no longer be edited or deleted: a later segment may then have its id."""
    tokens: NDArray[np.int32]  # (n,)


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """The place of a closed segment in the slot: its tokens from `first` on lie there from slot token `start` on."""

    segment: ClosedSegment
    first: int
    start: int

    @property
    def end(self) -> int:
        """Slot token after the last."""
        return self.start + len(self.segment.tokens) - self.first


@dataclass(frozen=True, slots=True)
class SlotPosition:
    """The place of an open segment in the slot: its tokens from `first` on lie there from slot token `start` on."""

    first: int
    start: int
    window: int
    """First slot token that the tail sees."""

    @property
    def first_restartable(self) -> int:
        """First token of the segment that a restart can compute; those before it are final."""
        return self.first + max(0, self.window - self.start)


@dataclass(frozen=True, slots=True)
class WindowRules:
    """The window rules of one configuration."""

    positions: int
    window: int
    starts_word: NDArray[np.bool_] | None = None
    """(vocabulary,) tokens that begin a word; a re-anchored context is clipped at one of them. None: at any token."""
    start_mark: int = 0
    """Added to the id of the first token of a segment when it is computed (`HybridConfig.start_mark`)."""

    @property
    def half(self) -> int:
        """B: left context of a new segment, and the distance that the window moves at a checkpoint."""
        return self.window // 2

    def opening_window(self, start: int) -> int:
        """First slot token that a segment sees which opens at slot token `start`."""
        return max(0, start - self.half)

    def window_at(self, start: int, end: int) -> int:
        """First slot token that a segment sees which opened at `start` and ends at `end`; ignores re-anchors."""
        opening = self.opening_window(start)
        return opening + self.half * max(0, -(-(end - self.window - opening) // self.half))

    def locate(self, start: int, count: int) -> SlotPosition:
        """Find the place of the first `count` tokens of a segment that opened at slot token `start`.

        Only checkpoints that tokens lie beyond have passed.
        """
        first = 0
        while True:
            opening = self.opening_window(start)
            # the window after the first checkpoint that leaves too few positions
            last = opening + self.half * ((self.positions - self.half - self.window - opening) // self.half + 2)
            window = self.window_at(start, start + count - first)
            if window < last:
                return SlotPosition(first, start, window)
            first, start = first + last - start, 0

    def append_segment(self, context: Sequence[SlotSpan], segment: ClosedSegment) -> list[SlotSpan]:
        """Give the context after `segment` closed at the end of `context`, re-anchored if that is due."""
        start = context[-1].end if context else 0
        first = self.locate(start, len(segment.tokens)).first
        spans = [SlotSpan(segment, first, 0)] if first else [*context, SlotSpan(segment, 0, start)]
        return self.reanchor_if_full(spans)

    def reanchor_if_full(self, spans: list[SlotSpan]) -> list[SlotSpan]:
        """Re-anchor a context that leaves fewer than W positions: its last B tokens, clipped to a word's start."""
        if not spans or self.positions - spans[-1].end >= self.window:
            return spans
        room, kept = self.half, list[tuple[ClosedSegment, int]]()
        for span in reversed(spans):
            first = self._clip(span, room)
            if first < len(span.segment.tokens):
                kept.append((span.segment, first))
            room -= len(span.segment.tokens) - first
            if first > span.first or not room:
                break
        spans, start = [], 0
        for segment, first in reversed(kept):
            spans.append(SlotSpan(segment, first, start))
            start = spans[-1].end
        return spans

    def _clip(self, span: SlotSpan, room: int) -> int:
        """Give the first of a span's last `room` tokens, moved to the next word's start if it cuts a word."""
        tokens = span.segment.tokens
        first = max(span.first, len(tokens) - room)
        if first > span.first and self.starts_word is not None:
            begins = self.starts_word[tokens[first:]]
            first = first + int(begins.argmax()) if begins.any() else len(tokens)
        return first


@dataclass(slots=True)
class ClosedContext:
    """Closed segments of one session, in the order of closing; bounded by what the present context still shows.

    `spans` always equals the result of appending `closed` to `base`. So after an edit or a deletion the context is
    exactly that of a session which never had the old text. A segment is forgotten once the context shows none of its
    tokens.
    """

    rules: WindowRules
    version: int = 0
    """Rises whenever `spans` changes."""
    spans: list[SlotSpan] = field(default_factory=list)
    """Never changed in place, because plans keep it."""
    closed: list[ClosedSegment] = field(default_factory=list)
    base: list[SlotSpan] = field(default_factory=list)
    reanchors: int = 0
    """Number of closings after which the context began elsewhere."""

    @property
    def length(self) -> int:
        """Slot tokens of the context."""
        return self.spans[-1].end if self.spans else 0

    def find(self, segment: Hashable) -> int:
        """Give the index in `closed` of the last segment with that id, or -1."""
        for i in range(len(self.closed) - 1, -1, -1):
            if self.closed[i].id == segment:
                return i
        return -1

    def forget_segment(self, segment: Hashable) -> None:
        """Free the id of a closed segment, which can no longer be edited or deleted; its tokens stay where they are."""
        if (index := self.find(segment)) >= 0:
            self.closed[index].id = None

    def append_segment(self, segment: ClosedSegment) -> None:
        """Append a segment that closed; one without tokens leaves no trace."""
        if len(segment.tokens):
            before = self.spans
            self.closed.append(segment)
            self._set(self.rules.append_segment(before, segment))
            expected = before[:1] or [SlotSpan(segment, 0, 0)]
            self.reanchors += self.spans[:1] != expected  # a last word longer than B leaves no context at all

    def context_before(self, index: int) -> list[SlotSpan]:
        """Give the context at the end of which `closed[index]` closed."""
        spans = self.base
        for segment in self.closed[:index]:
            spans = self.rules.append_segment(spans, segment)
        return spans

    def replace_segment(self, index: int, segment: ClosedSegment | None) -> None:
        """Replace or delete a closed segment, and append those that closed after it again."""
        self.closed[index : index + 1] = [segment] if segment is not None and len(segment.tokens) else []
        self._set(self.context_before(len(self.closed)))

    def _set(self, spans: list[SlotSpan]) -> None:
        self.spans = spans
        self.version += 1
        shown = spans[0].segment if spans else None
        while self.closed and shown is not self.closed[0] and all(span.segment is not shown for span in self.base):
            self.base = self.rules.append_segment(self.base, self.closed.pop(0))
