"""The encoder as sessions use it, on any device: slots of cached tokens, and packed passes over them."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.config import HybridConfig
from encoder.model.number_types import NumberType
from encoder.runtime.flops import count_flops
from encoder.runtime.paged_cache import PagedCache
from encoder.runtime.passes import Pass, PassPlan


@dataclass(frozen=True, slots=True)
class Scores:
    """Label scores of all computed tokens of one step, packed."""

    logits: NDArray[np.float32]
    """(N, columns) rows of tokens restart .. n-1 of each pass, in order of the passes; see `HybridConfig.columns`"""
    starts: NDArray[np.int64]
    """(passes + 1,) row offsets"""
    words: NDArray[np.float32]
    """(M, heads, `WORD_NUMBERS`) the words that were asked for (`Pass.words`), packed: label, probability, entropy, and
    base and drift of the stability (`encoder.heads.word_record`); (0, 0, 0) of an encoder that reads none"""


WORD_NUMBERS = 5
"""Numbers of one word by one head in `Scores.words`."""
NO_WORDS_READ: NDArray[np.float32] = np.zeros((0, 0, 0), np.float32)


class Encoder(ABC):
    """A checkpoint and the cache of all its slots. Not thread-safe: one compute thread owns it."""

    reads_words: bool = False
    """Whether a step also decodes words (`Pass.words`); if not, they are decoded from its scores."""

    def __init__(self, checkpoint: Checkpoint, number_format: NumberType, cache: PagedCache) -> None:
        self.config: HybridConfig = checkpoint.config
        self.identity = checkpoint.identity()
        """Of the checkpoint: labels of another one mean nothing here."""
        self.number_format = number_format
        """Number type of the linears: float32, bfloat16 or int8."""
        self.cache = cache
        self._planned: tuple[tuple[Pass, ...], int, PassPlan] | None = None

    @property
    def page_numbers(self) -> NumberType:
        """Number type of cached keys and values: float32 or bfloat16."""
        return self.cache.numbers

    @property
    def precision(self) -> str:
        """Number format of the linears, and of cached keys and values if that is another: "int8/bfloat16".

        Encoders of another precision may label a few words otherwise.
        """
        pages = self.page_numbers
        return self.number_format if pages == self.number_format else f"{self.number_format}/{pages}"

    def open_slot(self) -> int:
        """Open an empty slot.

        Raises:
            RuntimeError: all slots are open.
        """
        return self.cache.open_slot()

    def free_slot(self, slot: int) -> None:
        """Give back all pages of a slot and close it."""
        self.cache.free_slot(slot)

    @property
    def pages_in_use(self) -> int:
        """Pages that open slots hold, of the prefix and of the tail."""
        return self.cache.pages_in_use

    @property
    def pages_total(self) -> int:
        """The most pages that can be in use."""
        return self.cache.max_pages

    def pages_needed(self, one: Pass) -> int:
        """Count the pages that a pass takes beyond those it gives back; may be negative.

        Raises:
            ValueError: the pass breaks a rule of `Pass`.
        """
        return self.cache.plan([one]).new_pages

    def flops(self, passes: Sequence[Pass]) -> int:
        """Count the floating point operations of these passes: linears, attention products and head."""
        return count_flops(self.config, self._plan(passes))

    def step(self, passes: Sequence[Pass]) -> Scores:
        """Run one packed pass over many slots, at most one pass a slot.

        Raises:
            OutOfPages: before anything is changed; evict a slot and try again.
            ValueError: a pass breaks a rule of `Pass`; nothing is changed.
        """
        plan = self._plan(passes)
        self._planned = None
        self.cache.apply(plan)
        computed = plan.requests[:, 1] + plan.requests[:, 2] - plan.requests[:, 4]
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(computed)))
        return self._compute(passes, plan, starts)

    @abstractmethod
    def _compute(self, passes: Sequence[Pass], plan: PassPlan, starts: NDArray[np.int64]) -> Scores:
        """Run prefix and tail of passes whose pages were taken; `starts` are the offsets of their rows."""

    def _plan(self, passes: Sequence[Pass]) -> PassPlan:
        """Plan passes, or reuse the last plan if nothing has changed since: passes that were counted are run next."""
        if self._planned is not None:
            known, version, plan = self._planned
            same = len(known) == len(passes) and all(map(operator.is_, known, passes))
            if same and version == self.cache.version:
                return plan
        plan = self.cache.plan(passes)
        self._planned = tuple(passes), self.cache.version, plan
        return plan

    def _warm_up(self) -> None:
        """Run one token, so that no kernel is compiled while a message waits."""
        slot = self.open_slot()
        self.step([Pass(slot, 0, np.zeros(1, np.int32), 0, 0)])
        self.free_slot(slot)
