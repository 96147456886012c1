"""The hybrid encoder over many slots at once: causal prefix, bidirectional tail from any restart point, label scores.

One call of `HybridEncoder.step` is one packed pass: all appended tokens of all slots through the prefix, all tokens
from the restart points on through the tail (docs/architecture.md, "Forward"). Knows slots and tokens; when to cut,
restart or evict is the caller's business.
"""

import operator
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.checkpoint import Checkpoint, head_columns
from encoder.model.config import HybridConfig
from encoder.runtime.cpu.avx512.layers import FusedBody, fits
from encoder.runtime.cpu.avx512.microkernel import can_multiply
from encoder.runtime.cpu.avx512.weight_file import packed_weights
from encoder.runtime.cpu.select import choose_kernels
from encoder.runtime.cpu.unfused_layers import UnfusedBody
from encoder.runtime.flops import count_flops
from encoder.runtime.interface import Scores
from encoder.runtime.kernels import IntArray, PackedRows
from encoder.runtime.number_format import NumberFormatError, choose_number_format, page_type
from encoder.runtime.paged_cache import PagedCache, prefix_rows, tail_rows
from encoder.runtime.passes import Pass, PassPlan


class Body(Protocol):
    """The layers over one cache; an implementation is chosen once, at start."""

    def step(self, tokens: IntArray, appended: PackedRows, computed: PackedRows) -> NDArray[np.float32]:
        """Append and restart.

        Args:
            tokens: (T,) appended tokens, which the causal layers take; their boundary states are stored.
            appended: their T rows.
            computed: the N rows from the restart points on, which the tail layers take.

        Returns:
            (N, columns) scores, not to be written again.
        """


class HybridEncoder:
    """A checkpoint, packed, and the cache of all slots. Not thread-safe: one compute thread owns it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        max_sessions: int = 1024,
        max_pages: int | None = None,
        kernels: str = "auto",
        number_format: str = "auto",
    ) -> None:
        """Pack the weights, reserve the cache, and compile the kernels (seconds, the first time on a machine).

        Args:
            checkpoint: configuration and weights.
            max_sessions: slots that can be open at once.
            max_pages: pages that can be in use at once; None for what all slots can fill, up to about 2 GiB.
            kernels: "auto", "torch", "numba", or "fused".
            number_format: of the linears; "auto" takes what is faster here. Cached keys and values are bfloat16 where
                the linears are not float32 and the processor has it.

        Raises:
            NumberFormatError: unknown number format, or one that this processor or model cannot have.
            ValueError: unknown kernels, no session, or too few pages for one.
        """
        config = checkpoint.config
        self.config: HybridConfig = config
        self.identity = checkpoint.identity()
        """Of the checkpoint: labels of another one mean nothing here."""
        fused = kernels in ("auto", "fused") and fits(config)
        self.number_format = choose_number_format(number_format, fused=fused)
        """Of the linears: float32, bfloat16 or int8."""
        fused = fused and can_multiply(self.number_format)
        if kernels in ("auto", "fused") and not fused:
            _check_fallback(kernels, self.number_format)
        self.dtype = page_type(self.number_format, fused=fused)
        """Of cached keys and values."""
        self._cache = PagedCache(config, self.dtype, max_sessions, max_pages)
        head = head_columns(config, checkpoint.weights)
        self._body: Body
        if fused:
            packed = packed_weights(checkpoint, self.identity, self.number_format, head)
            self._body = FusedBody(config, self._cache, self.number_format, packed, checkpoint.words())
        else:
            plain = choose_kernels(kernels)
            self._body = UnfusedBody(config, self._cache, checkpoint.weights, head, plain, self.number_format)
        self._planned: tuple[tuple[Pass, ...], int, PassPlan] | None = None
        self._warm_up()

    def open(self) -> int:
        """Open an empty slot.

        Raises:
            RuntimeError: all slots are open.
        """
        return self._cache.open()

    def free(self, slot: int) -> None:
        """Give back all of a slot's pages and close it."""
        self._cache.free(slot)

    def evict(self, slot: int) -> None:
        """Give back all of a slot's pages; it stays open and its length becomes 0."""
        self._cache.evict(slot)

    def length(self, slot: int) -> int:
        """Count the tokens cached in a slot."""
        return self._cache.length(slot)

    @property
    def pages_in_use(self) -> int:
        """Pages that open slots hold, of the prefix and of the tail."""
        return self._cache.pages_in_use

    @property
    def pages_total(self) -> int:
        """The most pages that can be in use."""
        return self._cache.max_pages

    def pages_needed(self, one: Pass) -> int:
        """Count the pages that a pass takes beyond those it gives back; may be negative.

        Raises:
            ValueError: the pass breaks a rule of `Pass`.
        """
        return self._cache.plan([one]).new_pages

    def step(self, passes: Sequence[Pass]) -> Scores:
        """Run one packed pass over many slots, at most one pass a slot.

        Raises:
            OutOfPages: before anything is changed; evict a slot and try again.
            ValueError: a pass breaks a rule of `Pass`; nothing is changed.
        """
        plan = self._plan(passes)
        self._planned = None
        self._cache.apply(plan)
        logits = self._body.step(plan.tokens, prefix_rows(plan), tail_rows(plan))
        computed = plan.requests[:, 1] + plan.requests[:, 2] - plan.requests[:, 4]
        return Scores(logits, np.concatenate((np.zeros(1, np.int64), np.cumsum(computed))))

    def _plan(self, passes: Sequence[Pass]) -> PassPlan:
        """Plan passes, or remember the plan where nothing has happened since: what is counted is run next."""
        if self._planned is not None:
            known, version, plan = self._planned
            same = len(known) == len(passes) and all(map(operator.is_, known, passes))
            if same and version == self._cache.version:
                return plan
        plan = self._cache.plan(passes)
        self._planned = tuple(passes), self._cache.version, plan
        return plan

    def flops(self, passes: Sequence[Pass]) -> int:
        """Count the floating point operations of these passes: linears, attention products and head."""
        return count_flops(self.config, self._plan(passes))

    def _warm_up(self) -> None:
        """Run one token, so that no kernel is compiled while a message waits."""
        slot = self.open()
        self.step([Pass(slot, 0, np.zeros(1, np.int32), 0, 0)])
        self.free(slot)


def _check_fallback(kernels: str, number_format: str) -> None:
    """Refuse where only fused layers would do, and this processor or model cannot have them."""
    if kernels == "fused":
        raise ValueError(
            f"kernels fused in {number_format} need AVX-512 and widths that are multiples of 16; take auto"
        )
    if number_format == "int8":
        raise NumberFormatError(
            "number_format int8 needs a processor with AVX-512 VNNI and a model whose widths are multiples of 16; "
            "take auto"
        )
