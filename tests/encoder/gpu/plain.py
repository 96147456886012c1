"""The oracle of the resident step: the CPU's encoder, policies, decoder and stability head, a request at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.device.resident.interface import DeviceFlips, SlotRequest
from encoder.heads.head import Head
from encoder.heads.stability import StabilityLogit, stability_of
from encoder.restart.policies import Price, RestartPolicy, StabilityThreshold
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import Pass
from tests.encoder.heads.reference import predict
from tests.encoder.restart.reference import (
    StandingWords,
    combine_heads_reference,
    expected_changes_reference,
    restart_point_reference,
)

NEAR = 1e-4


class Undecided(Exception):
    """A restart point that the last digits decide: no two implementations need agree on it."""


@dataclass
class Slot:
    """What stands in one slot, a list element a word; `reach` a token."""

    policy: RestartPolicy
    ends: list[int] = field(default_factory=list)
    reach: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    heads: list[list[tuple[int, float, float, float]]] = field(default_factory=list)
    """Of each head: label, probability, base, drift."""


class PlainResident:
    """`Resident`, the slow way."""

    def __init__(self, encoder: HybridEncoder, heads: Sequence[Head]) -> None:
        self.encoder, self.heads = encoder, heads
        self.slots: dict[int, Slot] = {}

    def begin(self, slot: int, policy: RestartPolicy) -> None:
        self.slots[slot] = Slot(policy, heads=[[] for _ in self.heads])

    def step(self, requests: Sequence[SlotRequest]) -> DeviceFlips:
        points = [self.cut(one) for one in requests]
        passes = [
            Pass(x.slot, x.start + x.keep, x.tokens, x.window, x.start + p)
            for x, p in zip(requests, points, strict=True)
        ]
        scores = self.encoder.step(passes)
        rows = []
        for i, (one, point) in enumerate(zip(requests, points, strict=True)):
            rows += self.read(one, point, scores.logits[scores.starts[i] : scores.starts[i + 1]])
        columns = list(zip(*sorted(rows), strict=True)) or [()] * 8
        arrays = [np.array(x, np.int32) for x in columns[:4]] + [np.array(x, np.float32) for x in columns[4:7]]
        return DeviceFlips(*arrays, np.array(columns[7], np.bool_), int(scores.starts[-1]))

    def cut(self, one: SlotRequest) -> int:
        """Cut what was rewritten and choose the first token to compute."""
        slot = self.slots[one.slot]
        for head in slot.heads:
            del head[one.kept_words :]
        del slot.ends[one.kept_words :], slot.seen[one.kept_words :], slot.reach[one.keep :]
        slot.reach += [one.count] * len(one.tokens)
        slot.ends += one.ends.tolist()
        point = 0 if one.whole else self.point(slot, one)
        if one.count == one.keep and not len(one.ends) and all(x == one.keep for x in slot.reach):
            return one.count
        slot.reach[point:] = [one.count] * (one.count - point)
        return point

    def point(self, slot: Slot, one: SlotRequest) -> int:
        seen = np.array(slot.seen, np.int32)
        standings = []
        for head in slot.heads:
            _, probability, base, drift = np.array(head, np.float32).reshape(-1, 4).T
            stability = stability_of(StabilityLogit(base, drift), np.maximum(one.words - seen, 0))
            standings.append(StandingWords(1 - probability, stability, seen, len(one.ends)))
        standing = combine_heads_reference(standings)
        refuse_close_calls(slot.policy, standing)
        word = restart_point_reference(slot.policy, standing)
        wish = slot.ends[word - 1] + 1 if word else 0
        invalid = [t for t, reach in enumerate(slot.reach[: one.keep]) if reach > one.keep]
        return min([wish, one.keep, *invalid])

    def read(self, one: SlotRequest, point: int, scores: np.ndarray) -> list[tuple[float, ...]]:
        slot = self.slots[one.slot]
        first = min(one.kept_words, sum(end < point for end in slot.ends)) if len(scores) else one.words
        if first == one.words:
            return []
        last = np.array(slot.ends[first:])
        right = np.arange(one.words - first - 1, -1, -1).astype(np.int32)
        slot.seen[first:] = [one.words] * len(last)
        rows = []
        for number, head in enumerate(self.heads):
            columns = scores[last - point, head.first : head.end]
            before = slot.heads[number][first - 1][0] if first else -1
            starts = np.array([0, len(last)], np.int64)
            got = head.decoder.decode(columns[:, : len(head.labels)], starts, np.array([before], np.int32))
            settled = predict(head.stability, columns, got.labels, got.probability, got.entropy, right)
            old = [x[0] for x in slot.heads[number]]
            new = [*zip(got.labels.tolist(), got.probability.tolist(), *(x.tolist() for x in settled), strict=True)]
            slot.heads[number][first:] = new
            for w, (label, *numbers) in enumerate(new, first):
                moved = label != (old[w] if w < len(old) else 0)
                if moved or label:
                    rows.append((one.slot, number, w, label, *numbers, moved))
        return rows


def refuse_close_calls(policy: RestartPolicy, standing: StandingWords) -> None:
    if isinstance(policy, StabilityThreshold) and (np.abs(standing.stability - policy.threshold) < NEAR).any():
        raise Undecided
    if isinstance(policy, Price) and policy.price and standing.words:
        gains = np.append(np.cumsum((expected_changes_reference(standing) - policy.price)[::-1]), 0.0)
        if (np.diff(np.sort(gains))[-1:] < NEAR).any():
            raise Undecided
