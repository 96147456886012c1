"""Restart points of many random requests at once, against the CPU's policies."""

import numpy as np
import pytest
import torch

from tests.encoder.gpu.test_kernels import device
from tests.encoder.gpu.where import DEVICE

# isort: split
from benchmarks.device.resident.interface import SlotRequest
from benchmarks.device.resident.restart_kernel import (
    END,
    EXTRA,
    FIELDS,
    KEEP,
    KEPT,
    SLOT,
    START,
    WHOLE,
    WORDS,
    choose_restarts,
)
from benchmarks.device.resident.slot_state import SlotState
from encoder.restart.policies import parse_policy
from tests.encoder.gpu.plain import PlainResident, Slot, Undecided

POLICIES = [
    "always",
    "never",
    "last:1",
    "last:4",
    "stability:0.5",
    "stability:0.9",
    "price:0",
    "price:0.02",
    "price:0.2",
]
WINDOW, HEADS, REQUESTS = 24, 2, 48


def random_slot(rng: np.random.Generator, policy: str) -> Slot:
    """Words of one to three tokens, read at various times; tokens that saw various numbers of tokens."""
    ends = np.cumsum(rng.integers(1, 4, rng.integers(0, 9))) - 1
    tokens = int(ends[-1]) + 1 if len(ends) else 0
    seen = [int(rng.integers(w + 1, len(ends) + 1)) for w in range(len(ends))]
    reach = np.sort(rng.integers(1, tokens + 1, tokens)) if tokens else np.zeros(0)
    reach = np.maximum(reach, np.arange(1, tokens + 1)) if rng.integers(2) else np.full(tokens, tokens)
    heads = [[(0, 0.5, *rng.normal(1.0, 1.5, 2).tolist()) for _ in ends] for _ in range(HEADS)]
    return Slot(parse_policy(policy), ends.tolist(), reach.astype(int).tolist(), seen, heads)


def random_request(rng: np.random.Generator, number: int, slot: Slot) -> SlotRequest:
    """Cut at a random token, maybe in a word; say some more, or nothing."""
    held = len(slot.reach)
    keep = int(rng.integers(0, held + 1)) if rng.integers(3) == 0 else held
    added = int(rng.integers(0 if keep else 1, 5))
    kept = sum(end < keep for end in slot.ends)
    if not added and kept < len(slot.ends):  # the rest of a word is a word
        begun = slot.ends[kept - 1] + 1 if kept else 0
        ends = [keep - 1] if begun < keep else []
    else:
        ends = [keep + added - 1] if added else []
    start = int(rng.integers(0, 3))
    return SlotRequest(
        number, keep, np.zeros(added, np.int32), kept, np.array(ends, np.int32), start, 0, bool(rng.integers(8) == 0)
    )


def put(state: SlotState, number: int, slot: Slot) -> None:
    state.set_policy(number, slot.policy)
    for name in ("ends", "reach", "seen"):
        numbers = device(getattr(slot, name))
        getattr(state, name)[number, : len(numbers)] = numbers
    for head, words in enumerate(slot.heads):
        columns = torch.tensor(words, dtype=torch.float64).reshape(-1, 4).T.float().to(DEVICE)
        for name, column in zip(("probability", "base", "drift"), columns[1:], strict=True):
            getattr(state, name)[number, head, : len(column)] = column
    state.labels[number] = 3


@pytest.mark.parametrize("seed", range(2))
def test_points_are_those_of_the_policies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = SlotState.empty(REQUESTS, HEADS, WINDOW, DEVICE)
    plain = PlainResident(None, [])  # type: ignore[arg-type]
    fields, extra = np.zeros((FIELDS, REQUESTS), np.int32), []
    wanted: list[int | None] = []
    requests = []
    for i in range(REQUESTS):
        slot = random_slot(rng, POLICIES[i % len(POLICIES)])
        one = random_request(rng, i, slot)
        put(state, i, slot)
        plain.slots[i] = slot
        numbers = {SLOT: i, START: one.start, KEEP: one.start + one.keep, END: one.start + one.count}
        for field, value in (numbers | {KEPT: one.kept_words, WORDS: one.words, WHOLE: one.whole}).items():
            fields[field, i] = value
        fields[EXTRA, i] = len(extra)
        extra += one.ends.tolist()
        requests.append(one)
        try:
            wanted.append(plain.cut(one))
        except Undecided:
            wanted.append(None)
    restart, first = torch.zeros(2, REQUESTS, dtype=torch.int32, device=DEVICE)
    choose_restarts(device([REQUESTS]), device(fields), device([*extra, 0]), state, (restart, first))
    assert sum(point is not None for point in wanted) > REQUESTS // 2
    for i, (one, point) in enumerate(zip(requests, wanted, strict=True)):
        if point is None:
            continue
        slot = plain.slots[i]
        assert int(restart[i]) - one.start == point, (i, one, slot)
        assert int(first[i]) == min(one.kept_words, sum(end < point for end in slot.ends))
        assert state.reach[i, : one.count].tolist() == slot.reach
        assert state.ends[i, : one.words].tolist() == slot.ends
        assert state.labels[i, :, : one.kept_words].eq(3).all()
        assert state.labels[i, :, one.kept_words :].eq(0).all()
