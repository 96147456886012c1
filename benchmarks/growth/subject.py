"""The measured tagger and the form of a part's result, which all parts share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import torch

from benchmarks.harness.machine import Setting, available_bytes, setting_of
from encoder.model.number_types import ITEM_BYTES
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger

SEGMENT = 60
"""Words of a segment, where they are not what grows."""

T = TypeVar("T", covariant=True)


class PartResult(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Result of a part."""

    setting: Setting
    rows: list[T]


@dataclass(frozen=True)
class Subject:
    """A tagger and its restart policy."""

    tagger: Tagger
    policy: str

    def measured(self, rows: Iterable[T]) -> PartResult[T]:
        """Wrap rows with the setting they were measured in."""
        return PartResult(setting=setting_of(self.tagger, self.policy), rows=list(rows))


def load_subject(name: str, policy: str, *, max_sessions: int = 64) -> Subject:
    """Load a tagger on one thread, with cache pages for its sessions up to half of the available memory.

    Args:
        name: of one tagger.
        policy: as operators write it.
        max_sessions: sessions that hold states at the same time, if there is room.

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
    """Return the most pages of `sessions` sessions."""
    config = tagger.config
    return sessions * (config.positions + config.window) // config.page_size + sessions


def _fitting(tagger: Tagger) -> int:
    """Return how many pages of the larger kind half of the available memory holds."""
    config = tagger.config
    token = config.hidden * (2 * ITEM_BYTES[tagger.encoder.page_numbers] * config.tail_layers + 4)
    return available_bytes() // 2 // (config.page_size * token)
