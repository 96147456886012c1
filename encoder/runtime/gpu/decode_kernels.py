"""Reading words on the device: constrained Viterbi, probability, entropy and stability.

Equal to `encoder.heads.reader.HeadReader`. A sequence is the words of one request that are read; it continues from the
label of the word before it. Their scores are rows of the tail's, named by `StepInput.words`.
"""

import triton
import triton.language as tl
from torch import Tensor, empty, int32

from encoder.runtime.gpu.head_weights import DeviceHeads
from encoder.runtime.gpu.step_buffers import BEFORE, FIRST, WORDS, StepInput, StepOutput
from encoder.runtime.interface import WORD_NUMBERS

_FIRST, _WORDS, _BEFORE = tl.constexpr(FIRST), tl.constexpr(WORDS), tl.constexpr(BEFORE)
_NUMBERS = tl.constexpr(WORD_NUMBERS)
_EDGE = tl.constexpr(1e-6)
_AT_ONCE = 16


@triton.jit
def viterbi_kernel(
    count,
    fields,
    stride,
    words,
    scores,
    columns,
    back,
    read,
    heads_first,
    heads_labels,
    begins,
    HEADS: tl.constexpr,
    KINDS: tl.constexpr,
):
    """Decode the words of one request and head: the best valid path (Viterbi 1967)."""
    i = tl.program_id(0)
    head = tl.program_id(1)
    if i < tl.load(count):
        begin_at = tl.load(fields + _FIRST * stride + i)
        number = tl.load(fields + _WORDS * stride + i)
        before = tl.load(fields + (_BEFORE + head) * stride + i)
        column = tl.load(heads_first + head)
        kinds = tl.load(heads_labels + head)
        k = tl.arange(0, KINDS)
        begin = tl.load(begins + head * KINDS + k)
        inside = begin >= 0
        low = tl.where(inside, tl.minimum(begin, k), k)
        high = tl.where(inside, tl.maximum(begin, k), k)
        allowed = (begin < 0) | ((before >= 0) & ((before == k) | (before == begin)))
        score = tl.where(allowed, 0.0, -float("inf")).to(tl.float64)
        for word in range(0, number):
            row = tl.load(words + begin_at + word).to(tl.int64)
            x = tl.load(scores + row * columns + column + k, k < kinds, -float("inf")).to(tl.float64)
            best = tl.argmax(score, 0)
            top = tl.max(score, 0)
            lower = tl.gather(score, low, 0)
            higher = tl.gather(score, high, 0)
            come = tl.where(inside, tl.where(higher > lower, high, low), best)
            reached = tl.where(inside, tl.maximum(lower, higher), top)
            score = tl.where(word == 0, score, reached) + x
            tl.store(back + ((begin_at + word).to(tl.int64) * HEADS + head) * KINDS + k, come)
        tl.debug_barrier()  # other threads of this program wrote the values that are read now
        best = tl.argmax(score, 0).to(tl.int32)
        for step in range(0, number):
            at = (begin_at + number - 1 - step).to(tl.int64) * HEADS + head
            tl.store(read + at * _NUMBERS, best.to(tl.float32))
            best = tl.load(back + at * KINDS + best)


@triton.jit
def stability_kernel(
    count,
    fields,
    stride,
    words,
    scores,
    columns,
    read,
    heads_first,
    heads_labels,
    label_rows,
    feature_rows,
    out_rows,
    constants,
    HEADS: tl.constexpr,
    KINDS: tl.constexpr,
    UNITS: tl.constexpr,
    HIDDEN: tl.constexpr,
    AT_ONCE: tl.constexpr,
):
    """Compute probability, entropy and stability of the words that `viterbi_kernel` labelled."""
    i = tl.program_id(0)
    head = tl.program_id(1)
    if i < tl.load(count):
        begin_at = tl.load(fields + _FIRST * stride + i)
        number = tl.load(fields + _WORDS * stride + i)
        column = tl.load(heads_first + head)
        kinds = tl.load(heads_labels + head)
        k = tl.arange(0, KINDS)
        kind = (k < kinds)[None, :]
        scale = tl.load(constants + head * 4 + 2)
        shift = tl.load(constants + head * 4 + 3)
        for start in range(0, number, AT_ONCE):
            w = start + tl.arange(0, AT_ONCE)
            live = w < number
            row = tl.load(words + begin_at + w, live, 0).to(tl.int64)
            at = ((begin_at + w).to(tl.int64) * HEADS + head) * _NUMBERS
            label = tl.load(read + at, live, 0.0).to(tl.int32)
            x = tl.load(scores + row[:, None] * columns + column + k[None, :], live[:, None] & kind, -1e30)
            best = tl.max(x, 1)
            chosen = tl.sum(tl.where(k[None, :] == label[:, None], x, 0.0), 1)
            power = tl.where(kind, tl.exp(x - best[:, None]), 0.0)
            mass = tl.sum(power, 1)
            p = tl.exp(chosen - best) / mass
            doubt = tl.log(mass) - tl.sum(tl.where(kind, (x - best[:, None]) * power, 0.0), 1) / mass
            doubt = tl.maximum(doubt, 0.0)
            if HIDDEN == 0:
                edged = tl.minimum(tl.maximum(p, _EDGE), 1.0 - _EDGE)
                b = tl.log(edged / (1.0 - edged))
                d = tl.zeros([AT_ONCE], tl.float32)
            else:
                others = tl.where(k[None, :] == tl.argmax(x, 1)[:, None], -1e30, x)
                margin = tl.minimum(best - tl.max(others, 1), 20.0) / 5.0
                own = tl.maximum(chosen - best, -20.0) / 5.0
                right = (number - 1 - w).to(tl.float32)
                u = tl.arange(0, UNITS)
                both = live[:, None] & (u < HIDDEN)[None, :]
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
            tl.store(read + at + 1, p, live)
            tl.store(read + at + 2, doubt, live)
            tl.store(read + at + 3, b * scale + shift, live)
            tl.store(read + at + 4, d * scale, live)


def read_words(step: StepInput, out: StepOutput, heads: DeviceHeads) -> None:
    """Read all words that a step asks for into `out.words`, from `out.scores`."""
    fields, stride = step.fields, step.fields.stride(0)
    count, kinds = heads.begins.shape
    back: Tensor = empty(len(step.words), count, kinds, dtype=int32, device=fields.device)
    grid = (fields.shape[1], count)
    scores = out.scores
    viterbi_kernel[grid](
        step.number, fields, stride, step.words, scores, scores.stride(0), back, out.words,
        heads.first, heads.labels, heads.begins, HEADS=count, KINDS=kinds, num_warps=1,
    )  # fmt: skip
    stability_kernel[grid](
        step.number, fields, stride, step.words, scores, scores.stride(0), out.words,
        heads.first, heads.labels, heads.label_rows, heads.feature_rows, heads.out_rows, heads.constants,
        HEADS=count, KINDS=kinds, UNITS=heads.units, HIDDEN=heads.hidden, AT_ONCE=_AT_ONCE, num_warps=2,
    )  # fmt: skip
