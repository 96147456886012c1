"""The paged cache of all slots: which pages hold the keys, values and boundary state of which token.

A slot is one sequence of tokens. Its prefix pages hold keys and values of the causal layers for all of its tokens. Its
tail pages hold the standing keys and values of the tail layers, and the boundary states, for the tokens of the window.
The cache knows nothing of segments or words, nor of why a slot is cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.model.number_types import ITEM_BYTES, NumberType
from encoder.runtime import page_table as paging
from encoder.runtime.packed_rows import IntArray, PackedRows
from encoder.runtime.passes import OutOfPages, Pass, PassPlan

_DEFAULT_BYTES = 2 << 30


_RULES = {
    paging.NOT_OPEN: "the slot is not open",
    paging.TWICE: "the slot has two passes in one step",
    paging.BAD_KEEP: "keep must be between 0 and the slot's length",
    paging.TOO_LONG: "the slot would exceed the model's positions; cut it to 0 and append the context again",
    paging.BAD_WINDOW: "window must be between n - W and n",
    paging.WINDOW_GONE: "window lies before states that were given up",
    paging.BAD_RESTART: "restart must be between window and keep, or n",
    paging.NOT_STANDING: "restart leaves out tokens that have no standing state; choose an earlier one",
}


@dataclass(frozen=True, slots=True)
class PageBlock:
    """Pages of several layers in one piece of memory, layer after layer."""

    keys: NDArray[np.generic]
    """flat float32, or uint16 for bfloat16 (which numpy lacks)"""
    values: NDArray[np.generic]
    """flat"""
    pages: int
    """Pages of one layer."""


class _Pool:
    """A stack of free pages."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.free: IntArray = np.arange(pages - 1, -1, -1, dtype=np.int32)
        self.left = np.array([pages], np.int64)  # an array, so that numba can change it

    @property
    def used(self) -> int:
        return self.pages - int(self.left[0])


class PagedCache:
    """Slots, page tables and pages; at most `max_pages` pages are in use, prefix and tail together.

    All memory is reserved at once, but the system provides it only when a page is first written.
    """

    def __init__(self, config: HybridConfig, numbers: NumberType, max_sessions: int, max_pages: int | None) -> None:
        """Reserve pages of float32 or bfloat16; by default as many as all slots can fill, but at most about 2 GiB.

        Raises:
            ValueError: max_sessions below 1, or fewer pages than one slot can fill.
        """
        a_slot = config.positions // config.page_size
        tail_a_slot = min(a_slot, config.window // config.page_size + 1)
        prefix_a_slot = a_slot if config.causal_layers else 0
        fill = prefix_a_slot + tail_a_slot
        if max_pages is None:
            page_bytes = config.page_size * config.hidden * (2 * ITEM_BYTES[numbers] * config.tail_layers + 4)
            max_pages = max(min(max_sessions * fill, _DEFAULT_BYTES // page_bytes), fill)
        if max_sessions < 1:
            raise ValueError(f"max_sessions must be at least 1 (got {max_sessions})")
        if max_pages < fill:  # otherwise evicting all other slots might not help
            raise ValueError(f"max_pages must be at least {fill}, what one full slot takes (got {max_pages})")
        self.config = config
        self.max_pages = max_pages
        self.version = 0
        """Rises with every change, so that it is known whether a plan is still valid."""
        self.state = np.zeros((max_sessions, 4), np.int64)
        self.opened = np.zeros(max_sessions, np.bool_)
        self._free_slots = list(range(max_sessions - 1, -1, -1))
        self.prefix_table: IntArray = np.full((max_sessions, a_slot), -1, np.int32)
        self.tail_table: IntArray = np.full((max_sessions, a_slot), -1, np.int32)
        self._prefix_pool = _Pool(min(max_pages, max_sessions * prefix_a_slot))
        self._tail_pool = _Pool(min(max_pages, max_sessions * tail_a_slot))
        self.numbers: NumberType = numbers
        """Of keys and values."""
        self._reserve_pages(self._prefix_pool.pages, self._tail_pool.pages)

    def _reserve_pages(self, prefix_pages: int, tail_pages: int) -> None:
        """Make the pages, on the CPU; `encoder.runtime.gpu.encoder` makes them on a device."""
        config = self.config
        self.prefix_block = self._reserve_block(config.causal_layers, prefix_pages)
        self.tail_block = self._reserve_block(config.tail_layers, tail_pages)
        boundary: NDArray[np.float32] = _zeros(tail_pages * config.page_size * config.hidden, np.float32)
        self.boundary = boundary.reshape(tail_pages, config.page_size, config.hidden)
        """(tail pages, page_size, H) float32"""

    def _reserve_block(self, layers: int, pages: int) -> PageBlock:
        kind = np.uint16 if self.numbers == "bfloat16" else np.float32
        size = layers * pages * self.config.page_size * self.config.hidden
        return PageBlock(_zeros(size, kind), _zeros(size, kind), pages)

    @property
    def pages_in_use(self) -> int:
        """Pages in use, prefix and tail together."""
        return self._prefix_pool.used + self._tail_pool.used

    def open_slot(self) -> int:
        """Open an empty slot.

        Raises:
            RuntimeError: all slots are open.
        """
        if not self._free_slots:
            raise RuntimeError(f"all {len(self.opened)} slots are open; free one or raise max_sessions")
        self.version += 1
        slot = self._free_slots.pop()
        self.opened[slot] = True
        return slot

    def free_slot(self, slot: int) -> None:
        """Give back all pages of a slot and close it.

        Raises:
            ValueError: the slot is not open.
        """
        if not (0 <= slot < len(self.opened) and self.opened[slot]):
            raise ValueError(f"slot {slot} is not open")
        self._apply_requests(np.array([[slot, 0, 0, 0, 0]], np.int64))
        self.opened[slot] = False
        self._free_slots.append(slot)

    def plan(self, passes: Sequence[Pass]) -> PassPlan:
        """Check passes and put them in the form of a plan; changes nothing.

        Raises:
            ValueError: a pass breaks a rule of `Pass`.
        """
        requests = np.array([(p.slot, p.keep, len(p.tokens), p.window, p.restart) for p in passes], np.int64)
        requests = requests.reshape(-1, 5)
        tokens: IntArray = np.concatenate([p.tokens for p in passes]) if passes else np.zeros(0, np.int32)
        return self.plan_requests(requests, tokens)

    def plan_requests(self, requests: NDArray[np.int64], tokens: IntArray) -> PassPlan:
        """Check passes that are in the form of `PassPlan` already; see `plan`."""
        if tokens.dtype != np.int32:
            raise ValueError(f"tokens must be int32 (got {tokens.dtype})")
        config = self.config
        code, bad = paging.check_requests(requests, self.state, self.opened, config.positions, config.window)
        if code != paging.OK:
            slot, keep, count, window, restart = requests[bad].tolist()
            raise ValueError(
                f"{_RULES[code]}: slot {slot}, keep {keep}, {count} tokens, window {window}, restart {restart}"
            )
        if tokens.size and not (tokens.min() >= 0 and tokens.max() < config.word_rows):
            raise ValueError(f"token ids must be between 0 and {config.word_rows - 1}")
        has_prefix = config.causal_layers > 0
        return PassPlan(requests, tokens, paging.count_new_pages(requests, self.state, config.page_size, has_prefix))

    def apply(self, plan: PassPlan) -> None:
        """Cut slots, give pages back and take pages as planned; the cache must not have changed since.

        Raises:
            OutOfPages: there are too few free pages; nothing has been changed.
        """
        if self.pages_in_use + plan.new_pages > self.max_pages:
            raise OutOfPages(f"{plan.new_pages} more pages needed, {self.pages_in_use} of {self.max_pages} in use")
        self._apply_requests(plan.requests)

    def _apply_requests(self, requests: NDArray[np.int64]) -> None:
        self.version += 1
        size = self.config.page_size
        if self.config.causal_layers:
            pool = self._prefix_pool
            paging.move_pages(requests, self.state, False, size, self.prefix_table, pool.free, pool.left)
        pool = self._tail_pool
        paging.move_pages(requests, self.state, True, size, self.tail_table, pool.free, pool.left)
        paging.move_state(requests, self.state, size)


def prefix_rows(plan: PassPlan) -> PackedRows:
    """Give the rows of the appended tokens: each sees all tokens up to itself."""
    return _rows(plan.requests, False, len(plan.tokens))


def tail_rows(plan: PassPlan) -> PackedRows:
    """Give the rows of the tokens from each restart point on: each sees the whole window."""
    total = int((plan.requests[:, 1] + plan.requests[:, 2] - plan.requests[:, 4]).sum())
    return _rows(plan.requests, True, total)


def _rows(requests: NDArray[np.int64], tail: bool, total: int) -> PackedRows:
    slots, starts = np.empty(len(requests), np.int32), np.empty(len(requests) + 1, np.int32)
    rows = np.empty((3, total), np.int32)
    count = paging.fill_rows(requests, tail, slots, starts, rows)
    return PackedRows(slots[:count], starts[: count + 1], rows[0], rows[1], rows[2])


def _zeros(size: int, kind: type[np.generic]) -> NDArray[Any]:
    """Reserve zeroed memory, flat and aligned to cache lines, that the system provides only when it is first written.

    It is zeroed because a masked value is multiplied by zero and must be finite.
    """
    raw = np.zeros(size * np.dtype(kind).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(kind).itemsize].view(kind)
