"""One segment's tokens in a slot: its window, which of its tokens were computed together, and what comes next.

Pure bookkeeping, in slot tokens unless said otherwise; the rules are those of `encoder.session.closed_context`.
"""

from dataclasses import dataclass, field

from encoder.session.closed_context import WindowRules


@dataclass(slots=True)
class SegmentWindow:
    """A segment that is being computed: its tokens from `first` on lie in the slot from `start` on."""

    geometry: WindowRules
    owner: object
    """The open segment, or the piece of the closed one that is replayed."""
    version: int | None
    """The context under it."""
    first: int
    start: int
    window: int
    end: int
    """Slot tokens that hold what the segment still says; the slot itself may be longer until its next pass."""
    blocks: list[tuple[int, int]] = field(default_factory=list)
    """(first token, end of what it has seen) of the tokens low..end: both rise from block to block."""

    @property
    def low(self) -> int:
        """First token that a restart can compute."""
        return max(self.start, self.window)

    @property
    def whole(self) -> bool:
        """Whether the tokens low..end were computed together, and saw just these."""
        return self.end == self.low or self.blocks == [(self.low, self.end)]

    def slot_token(self, token: int) -> int:
        """Where a token of the segment lies."""
        return token - self.first + self.start

    def segment_token(self, place: int) -> int:
        """Which token of the segment lies there."""
        return place - self.start + self.first

    def cut(self, count: int) -> bool:
        """Keep the first `count` tokens of the segment.

        Returns:
            False if the window that is right for so few tokens needs states that the slot has given up; the part is of
            no use then.
        """
        end = self.slot_token(count)
        if end >= self.end:
            return True
        if self.first and end <= self.geometry.half:  # so few tokens were never re-anchored
            return False
        window = self.geometry.window_at(self.start, end)
        if window != self.window:
            if window < self.start:  # closed tokens before it have lost their standing states
                return False
            self.window = end = window  # all tokens of the window are appended again
        self.end = end
        while self.blocks and self.blocks[-1][0] >= end:
            self.blocks.pop()
        return True

    def next_pass(self, count: int, wish: int) -> tuple[int, int] | None:
        """Choose the next pass on the way to `count` tokens of the segment, moving the window when it is full.

        Args:
            count: tokens of the segment.
            wish: token of the segment from which the last pass is to compute, if it may choose.

        Returns:
            Slot tokens (end of the pass, restart point), or None if nothing is left to do.
        """
        while (target := self.slot_token(count)) > (full := self.window + self.geometry.window):
            if not (self.end == full and self.whole):
                return full, self.low
            self._move()
        if self.end == target and self.whole:
            return None
        restart = max(self.low, min(self.slot_token(wish), self._first_invalid()))
        return (target, restart) if restart < target else None

    def compute(self, end: int, restart: int) -> None:
        """Note that a pass was run."""
        while self.blocks and self.blocks[-1][0] >= restart:
            self.blocks.pop()
        self.blocks.append((restart, end))
        self.end = end

    def _first_invalid(self) -> int:
        """First token that is new or has seen tokens that are no more."""
        invalid = self.end
        for first, seen in reversed(self.blocks):
            if seen <= self.end:
                break
            invalid = first
        return invalid

    def _move(self) -> None:
        """Pass the checkpoint at `end`: move the window, re-anchor if too few positions are left."""
        self.window += self.geometry.half
        if self.geometry.positions - self.end < self.geometry.half:
            self.first = self.segment_token(self.window)
            self.start = self.window = self.end = 0
            self.blocks = []
            return
        seen = self.blocks[-1][1]
        self.blocks = [(self.low, seen)]
