"""Slots of a paged cache: eviction of one, and the tokens that it holds."""

import numpy as np

from encoder.runtime.page_table import LENGTH
from encoder.runtime.paged_cache import PagedCache


def evict_slot(cache: PagedCache, slot: int) -> None:
    """Give back all pages of an open slot; its length becomes 0."""
    cache._apply_requests(np.array([[slot, 0, 0, 0, 0]], np.int64))


def slot_length(cache: PagedCache, slot: int) -> int:
    """Number of tokens cached in a slot."""
    return int(cache.state[slot, LENGTH])
