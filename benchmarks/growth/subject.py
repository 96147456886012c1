"""What all parts have in common: what is measured, on what, and how progress is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import torch

from benchmarks.harness.machine import Setting, available_bytes, setting_of
from encoder.restart.policies import resolve_policy
from encoder.tagger import Tagger, load_single_tagger

SEGMENT = 60
"""Words of a segment, wherever it is not what grows."""

Tell = Callable[[str, float], None]
"""Told what is done next, and which share of all is done."""
T = TypeVar("T", covariant=True)


class Measured(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A part's result."""

    setting: Setting
    rows: list[T]


@dataclass(frozen=True)
class Subject:
    """A tagger and the policy that it is measured with."""

    tagger: Tagger
    policy: str

    def measured(self, rows: Iterable[T]) -> Measured[T]:
        """Say of figures what they are of."""
        return Measured(setting=setting_of(self.tagger, self.policy), rows=list(rows))


def load_subject(name: str, policy: str, *, max_sessions: int = 64) -> Subject:
    """Load a tagger on one thread, with room for as many sessions as half of the free memory holds.

    Args:
        name: of one tagger.
        policy: as operators write it.
        max_sessions: that hold states at the same time, if there is room.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=max_sessions)
    wanted, room = _pages(tagger, max_sessions), tagger.encoder.pages_total
    if room < wanted and (most := min(wanted, _fitting(tagger))) > room:
        tagger = load_single_tagger(name, max_sessions=max_sessions, max_pages=most)
    return Subject(tagger, resolve_policy(policy, tagger.default_policy))


def _pages(tagger: Tagger, sessions: int) -> int:
    """Pages that so many sessions can fill."""
    config = tagger.config
    return sessions * (config.positions + config.window) // config.page_size + sessions


def _fitting(tagger: Tagger) -> int:
    """Pages of the larger kind that half of the free memory holds."""
    config = tagger.config
    token = config.hidden * (2 * tagger.encoder.dtype.itemsize * config.tail_layers + 4)
    return available_bytes() // 2 // (config.page_size * token)
