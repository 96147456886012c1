"""Decoding on the device: constrained Viterbi, stability, and the list of flips that is sent to the host.

Equal to `encoder.heads.viterbi.Decoder` and `encoder.heads.stability_head.HeadStability`. A sequence is the part of one
request that a step computed; it continues from the standing label of the word before it. The host gets the words whose
label changed, and the labelled words that were decoded again, because their stability is published. It gets nothing for
a word that was "O" and still is.
"""

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from benchmarks.device.resident.head_weights import DeviceHeads
from benchmarks.device.resident.restart_kernel import SLOT, START, WORDS
from benchmarks.device.resident.slot_state import SlotState
from encoder.runtime.gpu.row_layout import DeviceRows

_SLOT, _START, _WORDS = tl.constexpr(SLOT), tl.constexpr(START), tl.constexpr(WORDS)
_EDGE = tl.constexpr(1e-6)
_AT_ONCE = 16

HEADER = 8
"""Numbers before the rows of flips: flips, rows that the tail computed, and rows that it requested."""
ROW = 8
"""Numbers of a flip: slot, head, word, label, probability, base, drift (floats as their bits), 1 if the label moved."""


class DecodeWork(NamedTuple):
    """Arguments of a step's decoding, without the heads: which words, and where their scores are."""

    number: Tensor
    """(1,) int32 number of requests"""
    fields: Tensor
    """(FIELDS, S) int32 (`benchmarks.device.resident.restart_kernel`)"""
    restart: Tensor
    """(S,) int32 first slot token computed"""
    first_word: Tensor
    """(S,) int32 first word that is decoded"""
    scores: Tensor
    """(T, columns) float32"""
    packed: DeviceRows
    """Layout of the tail's rows."""


@triton.jit
def viterbi(
    count,
    fields,
    stride,
    restart,
    first_word,
    scores,
    columns,
    starts,
    totals,
    ends,
    labels,
    fresh,
    back,
    heads_first,
    heads_labels,
    begins,
    HEADS: tl.constexpr,
    WINDOW: tl.constexpr,
    KINDS: tl.constexpr,
):
    """Decode the words of one request and head that were computed: the best valid path (Viterbi 1967)."""
    i = tl.program_id(0)
    head = tl.program_id(1)
    if (i < tl.load(count)) & (tl.load(totals) > 0):
        slot = tl.load(fields + _SLOT * stride + i).to(tl.int64)
        words = tl.load(fields + _WORDS * stride + i)
        first = tl.load(first_word + i)
        offset = tl.load(starts + i) + tl.load(fields + _START * stride + i) - tl.load(restart + i)
        column = tl.load(heads_first + head)
        kinds = tl.load(heads_labels + head)
        k = tl.arange(0, KINDS)
        begin = tl.load(begins + head * KINDS + k)
        inside = begin >= 0
        low = tl.where(inside, tl.minimum(begin, k), k)
        high = tl.where(inside, tl.maximum(begin, k), k)
        cell = (slot * HEADS + head) * WINDOW
        before = tl.load(labels + cell + first - 1, first > 0, -1)
        allowed = (begin < 0) | ((before >= 0) & ((before == k) | (before == begin)))
        score = tl.where(allowed, 0.0, -float("inf")).to(tl.float64)
        for word in range(first, words):
            row = (offset + tl.load(ends + slot * WINDOW + word)).to(tl.int64)
            x = tl.load(scores + row * columns + column + k, k < kinds, -float("inf")).to(tl.float64)
            best = tl.argmax(score, 0)
            top = tl.max(score, 0)
            lower = tl.gather(score, low, 0)
            higher = tl.gather(score, high, 0)
            come = tl.where(inside, tl.where(higher > lower, high, low), best)
            reached = tl.where(inside, tl.maximum(lower, higher), top)
            score = tl.where(word == first, score, reached) + x
            tl.store(back + (row * HEADS + head) * KINDS + k, come)
        tl.debug_barrier()  # other threads of this program wrote the values that are read now
        best = tl.argmax(score, 0).to(tl.int32)
        for step in range(0, words - first):
            word = words - 1 - step
            row = (offset + tl.load(ends + slot * WINDOW + word)).to(tl.int64)
            tl.store(fresh + cell + word, best)
            best = tl.load(back + (row * HEADS + head) * KINDS + best)


@triton.jit
def stability_kernel(
    count,
    fields,
    stride,
    restart,
    first_word,
    scores,
    columns,
    starts,
    totals,
    ends,
    seen,
    labels,
    probability,
    base,
    drift,
    fresh,
    heads_first,
    heads_labels,
    label_rows,
    feature_rows,
    out_rows,
    constants,
    flips,
    HEADS: tl.constexpr,
    WINDOW: tl.constexpr,
    KINDS: tl.constexpr,
    UNITS: tl.constexpr,
    HIDDEN: tl.constexpr,
    WORDS: tl.constexpr,
):
    """Compute probability and stability of one request's and head's words, store them, and list the flips."""
    i = tl.program_id(0)
    head = tl.program_id(1)
    if (i == 0) & (head == 0):
        tl.store(flips + 1, tl.load(totals))
        tl.store(flips + 2, tl.load(totals + 2))
    if (i < tl.load(count)) & (tl.load(totals) > 0):
        slot = tl.load(fields + _SLOT * stride + i).to(tl.int64)
        words = tl.load(fields + _WORDS * stride + i)
        offset = tl.load(starts + i) + tl.load(fields + _START * stride + i) - tl.load(restart + i)
        column = tl.load(heads_first + head)
        kinds = tl.load(heads_labels + head)
        k = tl.arange(0, KINDS)
        kind = (k < kinds)[None, :]
        for start in range(tl.load(first_word + i), words, WORDS):
            w = start + tl.arange(0, WORDS)
            live = w < words
            row = (offset + tl.load(ends + slot * WINDOW + w, live, 0)).to(tl.int64)
            at = (slot * HEADS + head) * WINDOW + w
            label = tl.load(fresh + at, live, 0)
            x = tl.load(scores + row[:, None] * columns + column + k[None, :], live[:, None] & kind, -1e30)
            best = tl.max(x, 1)
            chosen = tl.sum(tl.where(k[None, :] == label[:, None], x, 0.0), 1)
            power = tl.where(kind, tl.exp(x - best[:, None]), 0.0)
            mass = tl.sum(power, 1)
            p = tl.exp(chosen - best) / mass
            if HIDDEN == 0:
                edged = tl.minimum(tl.maximum(p, _EDGE), 1.0 - _EDGE)
                b = tl.log(edged / (1.0 - edged))
                d = tl.zeros([WORDS], tl.float32)
            else:
                doubt = tl.log(mass) - tl.sum(tl.where(kind, (x - best[:, None]) * power, 0.0), 1) / mass
                doubt = tl.maximum(doubt, 0.0)
                others = tl.where(k[None, :] == tl.argmax(x, 1)[:, None], -1e30, x)
                margin = tl.minimum(best - tl.max(others, 1), 20.0) / 5.0
                own = tl.maximum(chosen - best, -20.0) / 5.0
                right = (words - 1 - w).to(tl.float32)
                u = tl.arange(0, UNITS)
                unit = (u < HIDDEN)[None, :]
                both = live[:, None] & unit
                z = tl.load(scores + row[:, None] * columns + column + kinds + u[None, :], both, 0.0)
                z += tl.load(label_rows + (head * KINDS + label[:, None]) * HIDDEN + u[None, :], both, 0.0)
                weights = feature_rows + head * 6 * HIDDEN + u
                z += doubt[:, None] * tl.load(weights, u < HIDDEN, 0.0)[None, :]
                z += margin[:, None] * tl.load(weights + HIDDEN, u < HIDDEN, 0.0)[None, :]
                z += p[:, None] * tl.load(weights + 2 * HIDDEN, u < HIDDEN, 0.0)[None, :]
                z += own[:, None] * tl.load(weights + 3 * HIDDEN, u < HIDDEN, 0.0)[None, :]
                z += (
                    tl.log(1.0 + tl.maximum(right, 0.0))[:, None]
                    * tl.load(weights + 4 * HIDDEN, u < HIDDEN, 0.0)[None, :]
                )
                z += tl.where(right == 0, 1.0, 0.0)[:, None] * tl.load(weights + 5 * HIDDEN, u < HIDDEN, 0.0)[None, :]
                z = 0.5 * z * (1.0 + tl.erf(z * 0.7071067811865476))
                b = tl.sum(z * tl.load(out_rows + head * 2 * HIDDEN + u, u < HIDDEN, 0.0)[None, :], 1)
                d = tl.sum(z * tl.load(out_rows + (head * 2 + 1) * HIDDEN + u, u < HIDDEN, 0.0)[None, :], 1)
                b += tl.load(constants + head * 4)
                d += tl.load(constants + head * 4 + 1)
            scale = tl.load(constants + head * 4 + 2)
            b = b * scale + tl.load(constants + head * 4 + 3)
            d = d * scale
            moved = label != tl.load(labels + at, live, 0)
            told = live & (moved | (label != 0))
            tl.store(labels + at, label, live)
            tl.store(probability + at, p, live)
            tl.store(base + at, b, live)
            tl.store(drift + at, d, live)
            tl.store(seen + slot * WINDOW + w, tl.zeros([WORDS], tl.int32) + words, live)
            number = told.to(tl.int32)
            place = tl.atomic_add(flips, tl.sum(number, 0)) + tl.cumsum(number, 0) - number
            to = flips + 8 + place.to(tl.int64) * 8
            tl.store(to, tl.zeros([WORDS], tl.int32) + slot.to(tl.int32), told)
            tl.store(to + 1, tl.zeros([WORDS], tl.int32) + head, told)
            tl.store(to + 2, w, told)
            tl.store(to + 3, label, told)
            tl.store(to + 4, p.to(tl.int32, bitcast=True), told)
            tl.store(to + 5, b.to(tl.int32, bitcast=True), told)
            tl.store(to + 6, d.to(tl.int32, bitcast=True), told)
            tl.store(to + 7, moved.to(tl.int32), told)


def read(work: DecodeWork, state: SlotState, heads: DeviceHeads, back: Tensor, flips: Tensor) -> None:
    """Decode all words that a step computed, and store their labels.

    Args:
        work: the words to decode, and where their scores are.
        state: changed.
        heads: of the checkpoint.
        back: (T, heads, labels) int32 scratch.
        flips: (HEADER + ROW * most,) int32 header and rows, in any order. A row for each row and head of the tail must
            fit.
    """
    fields, packed = work.fields, work.packed
    flips[:HEADER].zero_()
    grid = (fields.shape[1], len(heads.first))
    _, count, window = state.labels.shape
    kinds = heads.begins.shape[1]
    viterbi[grid](
        work.number, fields, fields.stride(0), work.restart, work.first_word, work.scores, work.scores.stride(0),
        packed.starts, packed.totals, state.ends, state.labels, state.fresh, back,
        heads.first, heads.labels, heads.begins, HEADS=count, WINDOW=window, KINDS=kinds, num_warps=1,
    )  # fmt: skip
    stability_kernel[grid](
        work.number, fields, fields.stride(0), work.restart, work.first_word, work.scores, work.scores.stride(0),
        packed.starts, packed.totals, state.ends, state.seen, state.labels, state.probability, state.base,
        state.drift, state.fresh, heads.first, heads.labels, heads.label_rows, heads.feature_rows, heads.out_rows,
        heads.constants, flips, HEADS=count, WINDOW=window, KINDS=kinds, UNITS=heads.units, HIDDEN=heads.hidden,
        WORDS=_AT_ONCE, num_warps=2,
    )  # fmt: skip
