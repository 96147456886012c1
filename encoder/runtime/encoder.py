"""The hybrid encoder over many slots at once: causal prefix, bidirectional tail from any restart point, label scores.

One call of `HybridEncoder.step` is one packed pass: all appended tokens of all slots through the prefix, all tokens
from the restart points on through the tail (docs/architecture.md, "Forward"). Knows slots and tokens; when to cut,
restart or evict is the caller's business.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.checkpoint import Checkpoint, head_columns
from encoder.runtime.cpu.avx512.layers import FusedBody, fits
from encoder.runtime.cpu.avx512.microkernel import can_multiply
from encoder.runtime.cpu.avx512.weight_file import packed_weights
from encoder.runtime.cpu.select import choose_kernels
from encoder.runtime.cpu.unfused_layers import UnfusedBody
from encoder.runtime.interface import Encoder
from encoder.runtime.kernels import IntArray, PackedRows
from encoder.runtime.number_format import NumberFormatError, choose_number_format, page_type
from encoder.runtime.paged_cache import PagedCache, prefix_rows, tail_rows
from encoder.runtime.passes import PassPlan


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


class HybridEncoder(Encoder):
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
        fused = kernels in ("auto", "fused") and fits(config)
        chosen = choose_number_format(number_format, fused=fused)
        fused = fused and can_multiply(chosen)
        if kernels in ("auto", "fused") and not fused:
            _check_fallback(kernels, chosen)
        cache = PagedCache(config, page_type(chosen, fused=fused), max_sessions, max_pages)
        super().__init__(checkpoint, chosen, cache)
        head = head_columns(config, checkpoint.weights)
        self._body: Body
        if fused:
            packed = packed_weights(checkpoint, self.identity, chosen, head)
            self._body = FusedBody(config, cache, chosen, packed, checkpoint.word_table())
        else:
            self._body = UnfusedBody(config, cache, checkpoint.weights, head, choose_kernels(kernels), chosen)
        self._warm_up()

    def _compute(self, plan: PassPlan, rows: int) -> NDArray[np.float32]:
        return self._body.step(plan.tokens, prefix_rows(plan), tail_rows(plan))


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
