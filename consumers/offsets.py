"""Which offsets of a partition are done, so that a commit never passes one that is not."""

from collections import deque


class Progress:
    """One partition while it is ours. Offsets begin in order and finish in any order.

    Args:
        position: the first offset that has not begun, if known.
    """

    def __init__(self, position: int | None = None) -> None:
        self._open: deque[int] = deque()
        self._finished: set[int] = set()
        self._next = position

    def begin(self, offset: int) -> None:
        """Take the next offset; gaps are fine (compaction and transaction markers leave them)."""
        assert self._next is None or offset >= self._next, "offsets of a partition rise"
        self._open.append(offset)
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Everything that the offset caused is acknowledged."""
        self._finished.add(offset)
        while self._open and self._open[0] in self._finished:
            self._finished.discard(self._open.popleft())

    @property
    def position(self) -> int | None:
        """What may be committed: the first offset that is not done. None before any has begun."""
        return self._open[0] if self._open else self._next

    @property
    def unfinished(self) -> int:
        """Offsets that hold a commit back."""
        return len(self._open) - len(self._finished)
