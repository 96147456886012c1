"""Decoding, stability and flips of random scores, against the CPU's decoder and stability head."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.encoder.gpu.test_kernels import device
from tests.encoder.gpu.where import DEVICE

# isort: split
from benchmarks.device.resident import decode_kernels as reading
from benchmarks.device.resident.decode_kernels import HEADER, ROW, DecodeWork
from benchmarks.device.resident.head_weights import bring_heads
from benchmarks.device.resident.restart_kernel import END, FIELDS, SLOT, START, WINDOW, WORDS
from benchmarks.device.resident.slot_state import SlotState
from encoder.runtime.gpu.row_layout import lay_out
from encoder.tagger import make_heads
from tests.encoder.heads.reference import predict
from tests.tiny import tiny_checkpoint

TYPES = ["event", "organization", "person", "place", "product", "time"]
SETS = {
    "ner": ("O", *(f"{side}-{x}" for x in TYPES for side in "BI")),
    "odd": ("O", "I-x", "B-y", "B-x"),  # an I before its B, a B without an I
    "one": ("O",),
}
LENGTH, SLOTS = 24, 5


@pytest.mark.parametrize("units", [0, 5])
def test_words_are_read_as_the_cpu_reads_them(units: int) -> None:
    rng = np.random.default_rng(units)
    checkpoint = tiny_checkpoint(labels=("O",), taggers=SETS, stability=units)
    heads = [replace(x, stability=replace(x.stability, scale=1.3, shift=-0.2)) for x in make_heads(checkpoint)]
    state = SlotState.empty(SLOTS, len(heads), LENGTH, DEVICE)
    number, columns = 4, checkpoint.config.columns
    slots = rng.permutation(SLOTS)[:number]
    ends = [np.sort(rng.permutation(LENGTH - 1)[: rng.integers(1, 20)]) for _ in slots]
    start = rng.integers(0, 9, number)
    first = np.array([rng.integers(0, len(x) + 1) for x in ends])  # maybe behind the last
    point = np.array([x[w] - rng.integers(0, 1) if w < len(x) else LENGTH for x, w in zip(ends, first, strict=True)])
    fields = np.zeros((FIELDS, number), np.int32)
    fields[SLOT], fields[START], fields[END] = slots, start, start + LENGTH
    fields[WORDS], fields[WINDOW] = [len(x) for x in ends], 0
    standing = np.stack([rng.integers(0, len(x.labels), (number, LENGTH)) for x in heads], 1).astype(np.int32)
    for i, slot in enumerate(slots):
        state.ends[slot, : len(ends[i])] = device(ends[i])
        state.labels[slot] = device(standing[i])
    total = int((LENGTH - point).sum())
    scores = (2 * rng.standard_normal((total + 3, columns))).astype(np.float32)
    if not units:
        scores = scores.round()  # ties: the first of equal labels is taken
    packed = lay_out(device([number]), device(start + point), device(fields[END]), device(fields[WINDOW]), total + 3)
    work = DecodeWork(
        device([number]),
        device(fields),
        device(start + point),
        device(first),
        torch.from_numpy(scores).to(DEVICE),
        packed,
    )
    weights = bring_heads(heads, DEVICE)
    flips = device(np.full(HEADER + ROW * total * len(heads), 99))
    back = torch.zeros(total + 3, *weights.begins.shape, dtype=torch.int32, device=DEVICE)
    reading.read(work, state, weights, back, flips)
    told = {tuple(row[:3]): row[3:] for row in flips[HEADER:].view(-1, ROW)[: int(flips[0])].tolist()}
    assert flips[1:3].tolist() == [total, total]
    offsets = np.concatenate(([0], np.cumsum(LENGTH - point)))
    expected = 0
    for i, slot in enumerate(slots.tolist()):
        words = range(int(first[i]), len(ends[i]))
        rows = scores[offsets[i] + ends[i][first[i] :] - point[i]]
        for k, head in enumerate(heads):
            before = np.array([standing[i, k, first[i] - 1] if first[i] else -1], np.int32)
            own = rows[:, head.first : head.end]
            got = head.decoder.decode(own[:, : len(head.labels)], np.array([0, len(rows)], np.int64), before)
            right = np.arange(len(rows) - 1, -1, -1).astype(np.int32)
            settled = predict(head.stability, own, got.labels, got.probability, got.entropy, right)
            here = slice(int(first[i]), len(ends[i]))
            assert state.labels[slot, k, here].tolist() == got.labels.tolist()
            for name, want in (("probability", got.probability), ("base", settled.base), ("drift", settled.drift)):
                np.testing.assert_allclose(getattr(state, name)[slot, k, here].cpu(), want, atol=1e-4, rtol=1e-3)
            assert state.labels[slot, k, : first[i]].tolist() == standing[i, k, : first[i]].tolist()
            for word, label in zip(words, got.labels.tolist(), strict=True):
                moved = label != standing[i, k, word]
                assert ((slot, k, word) in told) == bool(moved or label)
                if moved or label:
                    expected += 1
                    assert (told[slot, k, word][0], told[slot, k, word][-1]) == (label, moved)
        assert (state.seen[slot, here] == len(ends[i])).all()
    assert len(told) == int(flips[0]) == expected > 20
