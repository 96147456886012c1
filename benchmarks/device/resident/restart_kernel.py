"""Restart points on the device: cuts rewritten words, and chooses the first token to compute of each request.

The rules are those of `encoder.restart.policies`, `encoder.restart.expected_gain` and `encoder.session.segment_window`.
With several heads a word has the lowest stability that any of them gives it.
"""

import triton
import triton.language as tl
from torch import Tensor

from benchmarks.device.resident.slot_state import ALWAYS, LAST, NEVER, PRICE, STABILITY, SlotState
from encoder.restart.expected_gain import RESOLVED
from encoder.runtime.gpu.launch import power

KEEP, END, WINDOW, SLOT, START, KEPT, WORDS, EXTRA, WHOLE, FIELDS = range(10)
"""Fields of a request (`BufferViews.fields`): slot tokens that stand, end and window; slot; slot token at which the
segment starts; number of standing words and of words; index of its new words' last tokens in `BufferViews.extra`; 1 to
compute all of it."""

_ALWAYS, _NEVER, _LAST = tl.constexpr(ALWAYS), tl.constexpr(NEVER), tl.constexpr(LAST)
_STABILITY, _PRICE = tl.constexpr(STABILITY), tl.constexpr(PRICE)
_KEEP, _END, _SLOT, _START = tl.constexpr(KEEP), tl.constexpr(END), tl.constexpr(SLOT), tl.constexpr(START)
_KEPT, _WORDS, _EXTRA, _WHOLE = tl.constexpr(KEPT), tl.constexpr(WORDS), tl.constexpr(EXTRA), tl.constexpr(WHOLE)
_RESOLVED = tl.constexpr(RESOLVED)


@triton.jit
def _lowest_stability(slot, w, kept, words, seen, base, drift, HEADS: tl.constexpr, WINDOW: tl.constexpr):
    """Give the lowest stability of each standing word over all heads."""
    unseen = tl.maximum(words - seen, 0).to(tl.float32)
    worst = tl.full(w.shape, 2.0, tl.float32)
    for head in tl.static_range(HEADS):
        at = (slot * HEADS + head) * WINDOW + w
        logit = tl.load(base + at, w < kept, 0.0) + tl.load(drift + at, w < kept, 0.0) * tl.log(1.0 + unseen)
        worst = tl.minimum(worst, 1.0 / (1.0 + tl.exp(-logit)))
    return worst


@triton.jit
def _best_point(w, kept, words, seen, worst, price, BLOCK: tl.constexpr):
    """Find the restart point whose expected changes exceed the price by most (`encoder.restart.expected_gain`)."""
    right = words - 1 - w
    was = tl.minimum(tl.maximum(seen - 1 - w, 0), right)
    log = tl.log((right.to(tl.float64) + 0.5) / (was.to(tl.float64) + 0.5))
    changes = _RESOLVED * (1.0 - worst.to(tl.float64)) * log
    worth = tl.where(w < kept, changes - price.to(tl.float64), 0.0)
    gain = tl.where(w < kept, tl.cumsum(worth, 0, reverse=True), -1.0)
    best = tl.argmax(gain, 0)
    return tl.where(price == 0, 0, tl.where(tl.max(gain, 0) > 0, best, kept))


@triton.jit
def choose_restarts_kernel(
    count,
    fields,
    stride,
    extra,
    ends,
    reach,
    seen_words,
    labels,
    base,
    drift,
    policy,
    numbers,
    restart,
    first_word,
    HEADS: tl.constexpr,
    WINDOW: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Choose one request's restart point, and update the words and tokens of its slot."""
    i = tl.program_id(0)
    if i < tl.load(count):
        start = tl.load(fields + _START * stride + i)
        keep = tl.load(fields + _KEEP * stride + i) - start
        n = tl.load(fields + _END * stride + i) - start
        kept = tl.load(fields + _KEPT * stride + i)
        words = tl.load(fields + _WORDS * stride + i)
        slot = tl.load(fields + _SLOT * stride + i).to(tl.int64)
        w = tl.arange(0, BLOCK)
        cell = slot * WINDOW + w

        last = tl.load(ends + cell, w < kept, 1 << 30)
        seen = tl.load(seen_words + cell, w < kept, 0)
        worst = _lowest_stability(slot, w, kept, words, seen, base, drift, HEADS, WINDOW)
        kind = tl.load(policy + slot)
        number = tl.load(numbers + slot)
        point = tl.where(kind == _ALWAYS, 0, kept)
        point = tl.where(kind == _LAST, tl.maximum(0, kept - number.to(tl.int32) + 1), point)
        unsettled = tl.min(tl.where((w < kept) & (worst < number), w, kept), 0)
        point = tl.where(kind == _STABILITY, unsettled, point)
        point = tl.where(kind == _PRICE, _best_point(w, kept, words, seen, worst, number, BLOCK), point)
        wish = tl.sum(tl.where(w == point - 1, last + 1, 0), 0)

        saw = tl.load(reach + cell, w < keep, 0)
        invalid = tl.min(tl.where((w < keep) & (saw > keep), w, keep), 0)
        together = tl.sum(tl.where((w < keep) & (saw != keep), 1, 0), 0) == 0
        point = tl.where(tl.load(fields + _WHOLE * stride + i) != 0, 0, tl.minimum(wish, invalid))
        point = tl.where((n == keep) & (words == kept) & together, n, point)  # nothing would come out otherwise
        tl.store(restart + i, start + point)
        tl.store(first_word + i, tl.sum(tl.where((w < kept) & (last < point), 1, 0), 0))

        tl.store(reach + cell, tl.full([BLOCK], 0, tl.int32) + n, (w >= point) & (w < n))
        new = (w >= kept) & (w < words)
        tl.store(ends + cell, tl.load(extra + tl.load(fields + _EXTRA * stride + i) + w - kept, new, 0), new)
        for head in tl.static_range(HEADS):
            at = (slot * HEADS + head) * WINDOW + w
            tl.store(labels + at, tl.full([BLOCK], 0, tl.int32), (w >= kept) & (w < WINDOW))


def choose_restarts(count: Tensor, fields: Tensor, extra: Tensor, state: SlotState, out: tuple[Tensor, Tensor]) -> None:
    """Choose all requests' restart points.

    Args:
        count: (1,) int32 number of requests.
        fields: (FIELDS, S) int32; rows may be further apart than S.
        extra: (E,) int32 last tokens of new words.
        state: changed: cut, and its tokens' reach and words' ends as they will be when the step has run.
        out: (S,) int32 restart points in slot tokens, and (S,) int32 first word that is decoded.
    """
    _, heads, window = state.labels.shape
    choose_restarts_kernel[(fields.shape[1],)](
        count, fields, fields.stride(0), extra, state.ends, state.reach, state.seen, state.labels, state.base,
        state.drift, state.policy, state.number, *out,
        HEADS=heads, WINDOW=window, BLOCK=power(window), num_warps=2,
    )  # fmt: skip
