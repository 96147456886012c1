"""What all parts have in common: what is measured, on what, and how progress is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import torch

from encoder.restart import resolve_policy
from encoder.tagger import Tagger, load_alone
from stream.bench_machine import Machine, available_bytes, this_machine

SEGMENT = 60
"""Words of a segment, wherever it is not what grows."""

Tell = Callable[[str, float], None]
"""Told what is done next, and which share of all is done."""
T = TypeVar("T", covariant=True)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and on what."""

    machine: Machine
    tagger: str
    policy: str
    number_format: str
    """Of the linears, and of cached keys and values."""


class Measured(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A part's result."""

    setting: Setting
    rows: list[T]


@dataclass(frozen=True)
class Subject:
    """A tagger and the policy that it is measured with."""

    tagger: Tagger
    policy: str

    def setting(self) -> Setting:
        """Describe it."""
        format = str(self.tagger.encoder.dtype).removeprefix("torch.")
        return Setting(
            machine=this_machine(), tagger=self.tagger.name, policy=self.policy, number_format=format
        )

    def measured(self, rows: Iterable[T]) -> Measured[T]:
        """Say of figures what they are of."""
        return Measured(setting=self.setting(), rows=list(rows))


def load_subject(name: str, policy: str, *, max_sessions: int = 64, memory: int | None = None) -> Subject:
    """Load a tagger on one thread.

    Args:
        name: of one tagger.
        policy: as operators write it.
        max_sessions: that hold states at the same time.
        memory: bytes that these may take; None: as the encoder decides by itself.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_alone(name)
    if memory is not None or max_sessions > 1024:
        config = tagger.config
        standing = 2 * tagger.encoder.dtype.itemsize * config.tail_layers + 4
        most = (memory or available_bytes() // 2) // (config.page_size * config.hidden * standing)
        a_slot = config.positions // config.page_size
        tagger = load_alone(name, max_sessions=max_sessions, max_pages=max(2 * a_slot, min(most, 2 * a_slot * max_sessions)))
    return Subject(tagger, resolve_policy(policy, tagger.own))
