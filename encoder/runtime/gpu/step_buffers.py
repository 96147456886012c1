"""The buffers of a step: one pinned copy to the device, one wait, and its results back.

Every part begins at a multiple of 16 bytes, because Triton compiles a kernel again for pointers that do not.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.runtime.interface import WORD_NUMBERS

_ALIGNED = 4
"""int32 numbers in 16 bytes."""

KEEP, END, WINDOW, RESTART, FIRST, WORDS, BEFORE = range(7)
"""Fields of a request: slot tokens that stand, end, first token that the tail sees, first token that it computes; place
of its first word in `StepInput.words`, and number of words; from `BEFORE` on, for each head, the label before them."""


class StepInput(NamedTuple):
    """Views of a step's flat int32 input, on the host or on the device."""

    number: Tensor
    """(1,) number of requests"""
    fields: Tensor
    """(BEFORE + heads, S) numbers of each request, field by field"""
    prefix_table: Tensor
    """(S, pages a slot) the requests' rows of the page table"""
    tail_table: Tensor
    """(S, pages a slot)"""
    tokens: Tensor
    """(T,) appended tokens of all requests"""
    words: Tensor
    """(R,) row of the tail that is the last token of each word to be read"""


class StepOutput(NamedTuple):
    """Views of a step's flat float32 results."""

    scores: Tensor
    """(R, columns)"""
    words: Tensor
    """(R, heads, `WORD_NUMBERS`) see `encoder.runtime.interface.Scores.words`"""


class StepCapacity(NamedTuple):
    """Capacities of a step: its kernels are launched for these, whatever the numbers of requests, tokens and rows."""

    requests: int
    """S"""
    heads: int
    """Heads that read words; 0 if none does."""
    pages: int
    """Pages a slot."""
    columns: int
    """Of the scores."""
    tokens: int
    """T, appended; 0 if the prefix has nothing to do."""
    rows: int
    """R, computed by the tail; 0 if it has nothing to do."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the input's parts, rounded up so that the next part is aligned."""
        tables, fields = self.requests * self.pages, (BEFORE + self.heads) * _round_up(self.requests)
        return tuple(_round_up(x) for x in (1, fields, tables, tables, self.tokens, self.rows))

    @property
    def results(self) -> int:
        """Length of the output."""
        return _round_up(self.rows * self.columns) + self.rows * self.heads * WORD_NUMBERS

    def input(self, flat: Tensor) -> StepInput:
        """Cut a flat buffer of at least `sum(lengths)` int32 into its parts."""
        number, fields, prefix, tail, tokens, words = torch.split(flat[: sum(self.lengths)], list(self.lengths))
        table = self.requests * self.pages
        return StepInput(
            number[:1],
            fields.view(BEFORE + self.heads, -1)[:, : self.requests],
            prefix[:table].view(self.requests, self.pages),
            tail[:table].view(self.requests, self.pages),
            tokens[: self.tokens],
            words[: self.rows],
        )

    def output(self, flat: Tensor) -> StepOutput:
        """Cut a flat buffer of at least `results` float32 into its parts."""
        size, begin = self.rows * self.columns, _round_up(self.rows * self.columns)
        return StepOutput(
            flat[:size].view(self.rows, self.columns),
            flat[begin : self.results].view(self.rows, self.heads, WORD_NUMBERS),
        )


class StepBuffers:
    """Memory of steps up to one size, on the host and on the device; its addresses stay, as graphs keep them."""

    def __init__(self, size: int, results: int, device: torch.device) -> None:
        """Allocate `size` int32 for inputs, and `results` float32 for outputs."""
        cuda = device.type == "cuda"
        self._host = torch.zeros(size, dtype=torch.int32, pin_memory=cuda)
        self._back = torch.zeros(results, pin_memory=cuda)
        self.input = torch.zeros(size, dtype=torch.int32, device=device)
        self.output = torch.zeros(results, device=device)
        self._sent = torch.cuda.Event() if cuda else None
        self._done = torch.cuda.Event() if cuda else None
        self._in_flight = False

    def holds(self, shape: StepCapacity) -> bool:
        """Tell whether there is room for a step."""
        return sum(shape.lengths) <= len(self.input) and shape.results <= len(self.output)

    def host(self, shape: StepCapacity) -> StepInput:
        """Give the next step's input to fill, after the last copy of it has ended."""
        if self._sent is not None and self._in_flight:  # the step before had no scores, for which the host waits
            self._sent.synchronize()
        return shape.input(self._host)

    def send(self, shape: StepCapacity) -> None:
        """Start copying the input to the device."""
        size = sum(shape.lengths)
        self.input[:size].copy_(self._host[:size], non_blocking=True)
        if self._sent is not None:
            self._sent.record()
        self._in_flight = True

    def fetch(self, shape: StepCapacity, rows: int, words: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Wait for the step, the only wait of a step; gives its scores (rows, columns) and words (words, heads, 5)."""
        theirs, ours = shape.output(self.output), shape.output(self._back)
        ours.scores[:rows].copy_(theirs.scores[:rows], non_blocking=True)
        if words:
            ours.words[:words].copy_(theirs.words[:words], non_blocking=True)
        if self._done is not None:
            self._done.record()
            self._done.synchronize()
        self._in_flight = False
        return ours.scores[:rows].numpy().copy(), ours.words[:words].numpy().copy()


def _round_up(number: int) -> int:
    return -(-number // _ALIGNED) * _ALIGNED
