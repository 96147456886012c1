"""The closed context of a session: which closed segments a new one sees, and where they lie in the slot.

Pure arithmetic on closed segments' tokens, so that the context is one function of the closed history: what interims
came, and what was evicted or replayed, cannot change it. Knows nothing of pages, scores or open segments' states.

The window rules, with W the window, B = W / 2 and P the positions:
a segment that opens at slot token s sees from ws = max(0, s - B). When tokens beyond ws + W come, the window that is
full is a *checkpoint*: it is computed together, its first B tokens are final, and ws moves on by B. If fewer than B
positions are left then, the segment is *re-anchored*: its last B tokens move to position 0, all before leaves the slot.
When a segment closes with fewer than W positions left, the closed context is re-anchored: its last B tokens move to 0.
Nothing else decides: a context is re-anchored by what has closed, not by when the next segment opens, and a segment
that is re-anchored is from then on one that opened at 0.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encoder.config import HybridConfig


@dataclass(slots=True, eq=False)
class Closed:
    """A closed segment; equal only to itself, so that an edited one is another."""

    segment: Hashable
    """Its identity; None once nobody can edit or delete it any more, as another may have that identity then."""
    tokens: NDArray[np.int32]  # (n,)


@dataclass(frozen=True, slots=True)
class Piece:
    """A closed segment's part of the slot: its tokens from `first` on lie there from slot token `start` on."""

    owner: Closed
    first: int
    start: int

    @property
    def end(self) -> int:
        """Slot token behind the last."""
        return self.start + len(self.owner.tokens) - self.first


@dataclass(frozen=True, slots=True)
class Place:
    """Where the end of an open segment lies: its tokens from `first` on lie in the slot from `start` on."""

    first: int
    start: int
    window: int
    """Slot token from which the tail sees."""

    @property
    def low(self) -> int:
        """First token of the segment that a restart can compute; those before are final."""
        return self.first + max(0, self.window - self.start)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The window rules of one configuration."""

    positions: int
    window: int
    starts_word: NDArray[np.bool_] | None = None
    """(vocabulary,) pieces that begin a word; the re-anchored context is clipped there. None clips anywhere."""

    @classmethod
    def of(cls, config: HybridConfig, starts_word: NDArray[np.bool_] | None = None) -> "Geometry":
        """Take the sizes out of a configuration."""
        return cls(config.positions, config.window, starts_word)

    @property
    def half(self) -> int:
        """B: left context of a new segment, and how far the window moves at a checkpoint."""
        return self.window // 2

    def opening(self, start: int) -> int:
        """Window of a segment that opens at slot token `start`."""
        return max(0, start - self.half)

    def window_at(self, start: int, end: int) -> int:
        """Window of a segment that opened at `start` and has grown to slot token `end`, re-anchors apart."""
        opening = self.opening(start)
        return opening + self.half * max(0, -(-(end - self.window - opening) // self.half))

    def locate(self, start: int, count: int, first: int = 0) -> Place:
        """Follow a segment from its opening at slot token `start`, with its token `first`, to its first `count` tokens.

        Only checkpoints that tokens lie beyond have passed.
        """
        while True:
            opening = self.opening(start)
            # the window after the first checkpoint that leaves too few positions
            last = opening + self.half * ((self.positions - self.half - self.window - opening) // self.half + 2)
            window = self.window_at(start, start + count - first)
            if window < last:
                return Place(first, start, window)
            first, start = first + last - start, 0

    def join(self, context: Sequence[Piece], owner: Closed) -> list[Piece]:
        """Give the context after `owner` closed upon `context`, re-anchored if that is due."""
        start = context[-1].end if context else 0
        first = self.locate(start, len(owner.tokens)).first
        pieces = [Piece(owner, first, 0)] if first else [*context, Piece(owner, 0, start)]
        return self.settle(pieces)

    def settle(self, pieces: list[Piece]) -> list[Piece]:
        """Re-anchor a context that leaves fewer than W positions: its last B tokens, clipped to a word's start."""
        if not pieces or self.positions - pieces[-1].end >= self.window:
            return pieces
        room, kept = self.half, list[tuple[Closed, int]]()
        for piece in reversed(pieces):
            first = self._clip(piece, room)
            if first < len(piece.owner.tokens):
                kept.append((piece.owner, first))
            room -= len(piece.owner.tokens) - first
            if first > piece.first or not room:
                break
        pieces, start = [], 0
        for owner, first in reversed(kept):
            pieces.append(Piece(owner, first, start))
            start = pieces[-1].end
        return pieces

    def _clip(self, piece: Piece, room: int) -> int:
        """First token of a piece's last `room` tokens, or of the next word if that cuts a word; maybe its end."""
        tokens = piece.owner.tokens
        first = max(piece.first, len(tokens) - room)
        if first > piece.first and self.starts_word is not None:
            begins = self.starts_word[tokens[first:]]
            first = first + int(begins.argmax()) if begins.any() else len(tokens)
        return first


@dataclass(slots=True)
class Context:
    """Closed segments of one session, in order of closing; bounded by what the present context still shows.

    `pieces` is always what following `closed` from `base` on gives, so an edit or a deletion gives exactly the context
    of a session that never knew another text. A segment of which the context shows no token is forgotten.
    """

    geometry: Geometry
    version: int = 0
    """Rises whenever `pieces` changes."""
    pieces: list[Piece] = field(default_factory=list)
    """Never changed in place: plans keep it."""
    closed: list[Closed] = field(default_factory=list)
    base: list[Piece] = field(default_factory=list)
    reanchors: int = 0
    """Times that a closing made the context begin elsewhere."""

    @property
    def length(self) -> int:
        """Slot tokens of the context."""
        return self.pieces[-1].end if self.pieces else 0

    def find(self, segment: Hashable) -> int:
        """Index in `closed` of the segment of that identity, or -1."""
        for i in range(len(self.closed) - 1, -1, -1):
            if self.closed[i].segment == segment:
                return i
        return -1

    def join(self, owner: Closed) -> None:
        """Close a segment; without tokens it leaves no trace."""
        if len(owner.tokens):
            before = self.pieces
            self.closed.append(owner)
            self._set(self.geometry.join(before, owner))
            begun = before[:1] or [Piece(owner, 0, 0)]
            self.reanchors += self.pieces[:1] != begun  # a last word longer than B leaves no context at all

    def join_rest(self, owner: Closed) -> None:
        """Close a segment of which only the tokens since a re-anchor are known: all before it is forgotten."""
        self.base, self.closed = [], [owner]
        self._set(self.geometry.join([], owner))
        self.base, self.closed = self.pieces, []

    def forget(self, segment: Hashable) -> None:
        """A closed segment will not be edited or deleted any more; it stays where it is."""
        if (index := self.find(segment)) >= 0:
            self.closed[index].segment = None

    def before(self, index: int) -> list[Piece]:
        """Give the context that `closed[index]` was closed upon."""
        pieces = self.base
        for owner in self.closed[:index]:
            pieces = self.geometry.join(pieces, owner)
        return pieces

    def replace(self, index: int, owner: Closed | None) -> None:
        """Exchange or delete a closed segment; what was closed after it is followed anew."""
        self.closed[index : index + 1] = [owner] if owner is not None and len(owner.tokens) else []
        self._set(self.before(len(self.closed)))

    def _set(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.version += 1
        shown = pieces[0].owner if pieces else None
        while self.closed and shown is not self.closed[0] and all(p.owner is not shown for p in self.base):
            self.base = self.geometry.join(self.base, self.closed.pop(0))
