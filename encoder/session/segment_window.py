"""The tokens of one segment in a slot: their window, which of them were computed together, and the next pass.

Pure bookkeeping, in slot tokens unless said otherwise; the rules are those of `encoder.session.closed_context`.
"""

from dataclasses import dataclass, field

from encoder.session.closed_context import SlotSpan, WindowRules
from encoder.session.plan import OpenSegment


@dataclass(slots=True)
class SegmentWindow:
    """A segment that is being computed: its tokens from `first` on lie in the slot from `start` on."""

    rules: WindowRules
    segment: OpenSegment | SlotSpan
    """The open segment, or the closed one that is replayed."""
    context_version: int | None
    """Version of the closed context under it."""
    first: int
    start: int
    window: int
    """First slot token that the tail sees."""
    end: int
    """Slot tokens that are still valid; the slot itself may be longer until its next pass."""
    blocks: list[tuple[int, int]] = field(default_factory=list)
    """(first token, end of what it has seen) of the tokens first_restartable..end; both rise from block to block."""

    @property
    def first_restartable(self) -> int:
        """First token that a restart can compute."""
        return max(self.start, self.window)

    @property
    def computed_together(self) -> bool:
        """Whether the tokens first_restartable..end were computed in one pass and have seen exactly these."""
        first, blocks = max(self.start, self.window), self.blocks
        return self.end == first or (len(blocks) == 1 and blocks[0] == (first, self.end))

    def slot_token(self, token: int) -> int:
        """Convert a token of the segment to its slot token."""
        return token - self.first + self.start

    def segment_token(self, slot_token: int) -> int:
        """Convert a slot token to the token of the segment."""
        return slot_token - self.start + self.first

    def cut(self, count: int) -> bool:
        """Keep the first `count` tokens of the segment.

        Returns:
            False if the window of that many tokens needs states that the slot has given up; this object is then of no
            use.
        """
        end = self.slot_token(count)
        if end >= self.end:
            return True
        if self.first and end <= self.rules.half:  # a segment of that many tokens was never re-anchored
            return False
        window = self.rules.window_at(self.start, end)
        if window != self.window:
            if window < self.start:  # closed tokens before it have lost their standing states
                return False
            self.window = end = window  # all tokens of the window are appended again
        self.end = end
        while self.blocks and self.blocks[-1][0] >= end:
            self.blocks.pop()
        return True

    def next_pass(self, count: int, requested_restart: int) -> tuple[int, int] | None:
        """Choose the next pass towards `count` tokens of the segment; moves the window when it is full.

        The last pass computes from the segment's token `requested_restart` on, if possible. Returns slot tokens (end of
        the pass, restart point), or None if nothing is left to do.
        """
        while (target := count - self.first + self.start) > (full := self.window + self.rules.window):
            if not (self.end == full and self.computed_together):
                return full, self.first_restartable
            self._move_window()
        if self.end == target and self.computed_together:
            return None
        restart = max(self.start, self.window, min(requested_restart - self.first + self.start, self._first_invalid()))
        return (target, restart) if restart < target else None

    def record_pass(self, end: int, restart: int) -> None:
        """Record that a pass was run."""
        while self.blocks and self.blocks[-1][0] >= restart:
            self.blocks.pop()
        self.blocks.append((restart, end))
        self.end = end

    def _first_invalid(self) -> int:
        """First token that is new or has seen tokens that were cut."""
        invalid = self.end
        for first, seen in reversed(self.blocks):
            if seen <= self.end:
                break
            invalid = first
        return invalid

    def _move_window(self) -> None:
        """Pass the checkpoint at `end`: move the window, and re-anchor if too few positions are left."""
        self.window += self.rules.half
        if self.rules.positions - self.end < self.rules.half:
            self.first = self.segment_token(self.window)
            self.start = self.window = self.end = 0
            self.blocks = []
            return
        seen = self.blocks[-1][1]
        self.blocks = [(self.first_restartable, seen)]
