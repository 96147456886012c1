"""State of each slot's open segment on the device: words, labels, their stability, and how far each token saw.

A slot has one segment, whose first token and word are number 0. It fits the window, so W of each suffice; a longer
segment goes the ordinary path (`benchmarks.device.resident.step`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from encoder.restart.policies import Always, Last, Never, Price, RestartPolicy, StabilityThreshold

ALWAYS, NEVER, LAST, STABILITY, PRICE = range(5)


class SlotState(NamedTuple):
    """Standing state of all slots; S slots, K heads, W tokens or words."""

    ends: Tensor
    """(S, W) int32 last token of each word"""
    reach: Tensor
    """(S, W) int32 tokens that the newest tail state of each token has seen: a cut to fewer makes it invalid"""
    seen: Tensor
    """(S, W) int32 words of the segment when each word was read"""
    labels: Tensor
    """(S, K, W) int32; 0 ("O") for words not decoded yet"""
    probability: Tensor
    """(S, K, W) float32 of the label"""
    base: Tensor
    """(S, K, W) float32, see `encoder.heads.stability.StabilityLogit`"""
    drift: Tensor
    """(S, K, W) float32"""
    fresh: Tensor
    """(S, K, W) int32 labels of this step, before they are compared with the standing ones"""
    policy: Tensor
    """(S,) int32 kind of restart policy"""
    number: Tensor
    """(S,) float32 threshold, price or number of words"""

    @classmethod
    def empty(cls, slots: int, heads: int, window: int, device: torch.device) -> "SlotState":
        """Allocate the state of empty slots."""

        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        def floats(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        words, heads_words = (slots, window), (slots, heads, window)
        return cls(
            ints(*words), ints(*words), ints(*words), ints(*heads_words), floats(*heads_words), floats(*heads_words),
            floats(*heads_words), ints(*heads_words), ints(slots), floats(slots),
        )  # fmt: skip

    def set_policy(self, slot: int, policy: RestartPolicy) -> None:
        """Set a slot's restart policy.

        Raises:
            ValueError: the device does not support this kind of policy.
        """
        kind, number = policy_numbers(policy)
        self.policy[slot], self.number[slot] = kind, number


def policy_numbers(policy: RestartPolicy) -> tuple[int, float]:
    """Give a policy's kind and number.

    Raises:
        ValueError: the device does not support this kind of policy.
    """
    match policy:
        case Always():
            return ALWAYS, 0.0
        case Never():
            return NEVER, 0.0
        case Last(count):
            return LAST, float(count)
        case StabilityThreshold(threshold):
            return STABILITY, threshold
        case Price(price):
            return PRICE, price
    raise ValueError(f"on a device policies are always, never, last:K, stability:T or price:P (got {policy})")
