"""Words that the device reads from random scores, against the CPU's decoder and stability head."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.encoder.gpu.where import DEVICE

# isort: split
from encoder.heads.viterbi import NO_LABEL
from encoder.runtime.gpu import step_buffers as field
from encoder.runtime.gpu.decode_kernels import read_words
from encoder.runtime.gpu.head_weights import bring_heads
from encoder.runtime.gpu.step_buffers import StepCapacity
from encoder.tagger import make_heads
from tests.encoder.heads.reference import predict
from tests.tiny import tiny_checkpoint

TYPES = ["event", "organization", "person", "place", "product", "time"]
SETS = {
    "ner": ("O", *(f"{side}-{x}" for x in TYPES for side in "BI")),
    "odd": ("O", "I-x", "B-y", "B-x"),  # an I before its B, a B without an I
    "one": ("O",),
}


@pytest.mark.parametrize("units", [0, 5])
def test_words_are_read_as_the_cpu_reads_them(units: int) -> None:
    rng = np.random.default_rng(units)
    checkpoint = tiny_checkpoint(labels=("O",), taggers=SETS, stability=units)
    heads = [replace(x, stability=replace(x.stability, scale=1.3, shift=-0.2)) for x in make_heads(checkpoint)]
    requests, rows, columns = 4, 90, checkpoint.config.columns
    shape = StepCapacity(6, len(heads), 3, columns, 0, rows + 3)
    flat, results = torch.zeros(sum(shape.lengths), dtype=torch.int32), torch.zeros(shape.results)
    step, out = shape.input(flat), shape.output(results)
    counts = np.array([rng.integers(1, 20), 0, rng.integers(17, 20), 1])
    last = np.concatenate([np.sort(rng.permutation(rows)[:n]) for n in counts])
    before = np.array([rng.integers(NO_LABEL, len(x.labels), requests) for x in heads])
    scores = (2 * rng.standard_normal((rows, columns))).astype(np.float32)
    if not units:
        scores = scores.round()  # ties: the first of equal labels is taken
    step.number[0] = requests
    fields = step.fields.numpy()
    fields[field.WORDS, :requests], fields[field.FIRST, :requests] = counts, np.cumsum(counts) - counts
    fields[field.BEFORE :, :requests] = before
    step.words[: len(last)] = torch.from_numpy(last.astype(np.int32))
    out.scores[:rows] = torch.from_numpy(scores)
    there = results.to(DEVICE)
    read_words(shape.input(flat.to(DEVICE)), shape.output(there), bring_heads(heads, DEVICE))
    got = shape.output(there.cpu()).words.numpy()
    starts = np.concatenate(([0], np.cumsum(counts)))
    for k, head in enumerate(heads):
        own = scores[last, head.first : head.end]
        want = head.decoder.decode(own[:, : len(head.labels)], starts, before[k].astype(np.int32))
        right = np.concatenate([np.arange(n - 1, -1, -1) for n in counts]).astype(np.int32)
        settled = predict(head.stability, own, want.labels, want.probability, want.entropy, right)
        assert got[: len(last), k, 0].tolist() == want.labels.tolist()
        for place, values in enumerate((want.probability, want.entropy, *settled), 1):
            np.testing.assert_allclose(got[: len(last), k, place], values, atol=1e-4, rtol=1e-3)
    assert not got[len(last) :].any()  # nothing else is written
