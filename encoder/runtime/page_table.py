"""Page tables and row metadata of a step: checks and integer bookkeeping, in numba on the CPU for every encoder.

A request is one row of five int64: slot, keep, count, window, restart (`encoder.runtime.passes.Pass`). The state of a
slot is one row of four: length, held, first, end. `length` tokens are cached, boundary states are held from token
`held` on, and the tokens first .. end-1 have standing states.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoder.kernel_cache import kernel
from encoder.runtime.packed_rows import IntArray

Int64Array = NDArray[np.int64]

LENGTH: Final = 0
HELD: Final = 1
FIRST: Final = 2
END: Final = 3

OK: Final = 0
NOT_OPEN: Final = 1
TWICE: Final = 2
BAD_KEEP: Final = 3
TOO_LONG: Final = 4
BAD_WINDOW: Final = 5
WINDOW_GONE: Final = 6
BAD_RESTART: Final = 7
NOT_STANDING: Final = 8


@kernel
def check_request(request: Int64Array, state: Int64Array, positions: int, window_size: int) -> int:
    """Check one request against its slot's state (4,); gives `OK` or the code of the first rule that it breaks."""
    keep, count, window, restart = request[1], request[2], request[3], request[4]
    n = keep + count
    if keep < 0 or keep > state[LENGTH]:
        return BAD_KEEP
    if n > positions:
        return TOO_LONG
    if window < 0 or window > n or n - window > window_size:
        return BAD_WINDOW
    if window < min(state[HELD], keep):
        return WINDOW_GONE
    if restart != n and (restart < window or restart > keep):
        return BAD_RESTART
    if window < restart < n and (window < min(state[FIRST], keep) or restart > state[END]):
        return NOT_STANDING
    return OK


@kernel
def check_requests(
    requests: Int64Array, state: Int64Array, opened: NDArray[np.bool_], positions: int, window_size: int
) -> tuple[int, int]:
    """Check all requests (N, 5); gives the code and the index of the first bad one, or `OK` and N."""
    requested = np.zeros(len(opened), np.bool_)
    for i in range(len(requests)):
        slot = requests[i, 0]
        if slot < 0 or slot >= len(opened) or not opened[slot]:
            return NOT_OPEN, i
        if requested[slot]:
            return TWICE, i
        requested[slot] = True
        code = check_request(requests[i], state[slot], positions, window_size)
        if code != OK:
            return code, i
    return OK, len(requests)


@kernel
def next_state(request: Int64Array, state: Int64Array, page_size: int) -> tuple[int, int, int, int]:
    """Give the state (length, held, first, end) of a slot after a request."""
    keep, window, restart = request[1], request[3], request[4]
    n = keep + request[2]
    held = max(min(state[HELD], keep), window // page_size * page_size)
    end = min(state[END], keep)
    first = min(max(state[FIRST], held), end)
    if restart < n:
        if not first <= window <= end:
            first = window
        end = n
    return n, held, first, end


@kernel
def page_range(length: int, held: int, page_size: int) -> tuple[int, int]:
    """Give the entries (start, stop) of a table row that hold pages for tokens held .. length-1."""
    if length <= held:
        return 0, 0
    return held // page_size, (length + page_size - 1) // page_size


@kernel
def count_new_pages(requests: Int64Array, state: Int64Array, page_size: int, has_prefix: bool) -> int:
    """Count the pages that these requests take beyond those they give back; may be negative."""
    new = 0
    for i in range(len(requests)):
        old = state[requests[i, 0]]
        n, held, _, _ = next_state(requests[i], old, page_size)
        a, b = page_range(n, held, page_size)
        c, d = page_range(old[LENGTH], old[HELD], page_size)
        new += (b - a) - (d - c)
        if has_prefix:
            new += page_range(n, 0, page_size)[1] - page_range(old[LENGTH], 0, page_size)[1]
    return new


@kernel
def release_pages(table: IntArray, start: int, stop: int, free: IntArray, left: Int64Array) -> None:
    """Put the pages of table row entries start .. stop-1 back on the stack of free pages."""
    for j in range(start, stop):
        if table[j] >= 0:
            free[left[0]] = table[j]
            left[0] += 1
            table[j] = -1


@kernel
def take_pages(table: IntArray, start: int, stop: int, free: IntArray, left: Int64Array) -> None:
    """Take a free page for each of the table row entries start .. stop-1 that has none."""
    for j in range(start, stop):
        if table[j] < 0:
            left[0] -= 1
            table[j] = free[left[0]]


@kernel
def move_pages(
    requests: Int64Array,
    state: Int64Array,
    tail: bool,
    page_size: int,
    table: IntArray,
    free: IntArray,
    left: Int64Array,
) -> None:
    """Apply the requests to one page table: all pages are given back first, then the needed pages are taken.

    Args:
        requests: (N, 5)
        state: (slots, 4) before the requests.
        tail: whether the table is the tail's (tokens from `held` on) or the prefix's (all tokens).
        page_size: tokens a page.
        table: (slots, pages a slot), -1 where there is no page.
        free: stack of free pages.
        left: (1,) height of the stack.
    """
    for giving in (True, False):
        for i in range(len(requests)):
            slot = requests[i, 0]
            n, held, _, _ = next_state(requests[i], state[slot], page_size)
            a, b = page_range(n, held if tail else 0, page_size)
            if giving:
                release_pages(table[slot], 0, a, free, left)
                release_pages(table[slot], b, table.shape[1], free, left)
            else:
                take_pages(table[slot], a, b, free, left)


@kernel
def move_state(requests: Int64Array, state: Int64Array, page_size: int) -> None:
    """Apply the requests to the slots' states (slots, 4)."""
    for i in range(len(requests)):
        slot = requests[i, 0]
        n, held, first, end = next_state(requests[i], state[slot], page_size)
        state[slot, LENGTH] = n
        state[slot, HELD] = held
        state[slot, FIRST] = first
        state[slot, END] = end


@kernel
def fill_rows(requests: Int64Array, tail: bool, slots: IntArray, starts: IntArray, rows: IntArray) -> int:
    """Fill the metadata of the prefix's rows (appended tokens) or of the tail's (tokens from the restart point on).

    Args:
        requests: (N, 5).
        tail: whether to fill the tail's rows.
        slots: (N,) filled for the sequences that have rows.
        starts: (N + 1,) filled for the same sequences.
        rows: (3, T) filled with position, first key and last key.

    Returns:
        The number of sequences that have rows.
    """
    count = 0
    t = 0
    starts[0] = 0
    for i in range(len(requests)):
        n = requests[i, 1] + requests[i, 2]
        begin = requests[i, 4] if tail else requests[i, 1]
        if begin == n:
            continue
        for position in range(begin, n):
            rows[0, t] = position
            rows[1, t] = requests[i, 3] if tail else 0
            rows[2, t] = n - 1 if tail else position
            t += 1
        slots[count] = requests[i, 0]
        count += 1
        starts[count] = t
    return count
