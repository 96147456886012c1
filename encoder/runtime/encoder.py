"""The hybrid encoder on the CPU: causal prefix, bidirectional tail from any restart point, label scores.

One call of `HybridEncoder.step` is one packed pass: all appended tokens of all slots go through the prefix, all tokens
from the restart points on through the tail. The encoder knows slots and tokens; its caller decides when to cut, restart
or evict.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.checkpoints.checkpoint import Checkpoint, head_columns
from encoder.runtime.cpu.fused.layers import FusedBody, fits
from encoder.runtime.cpu.fused.microkernel import can_multiply
from encoder.runtime.cpu.fused.weight_file import packed_weights
from encoder.runtime.interface import NO_WORDS_READ, Encoder, Scores
from encoder.runtime.number_format import NumberFormatError, choose_number_format, page_type
from encoder.runtime.packed_rows import IntArray, PackedRows
from encoder.runtime.paged_cache import PagedCache, prefix_rows, tail_rows
from encoder.runtime.passes import Pass, PassPlan
from encoder.torch_extra import require_torch


class Body(Protocol):
    """The layers of the encoder over one cache; the implementation is chosen once, when the encoder is made."""

    def step(self, tokens: IntArray, appended: PackedRows, computed: PackedRows) -> NDArray[np.float32]:
        """Append tokens, and compute the tail from the restart points on.

        Args:
            tokens: (T,) appended tokens, which go through the causal layers; their boundary states are stored.
            appended: their T rows.
            computed: the N rows from the restart points on, which go through the tail layers.

        Returns:
            (N, columns) scores; later calls do not overwrite them.
        """


class HybridEncoder(Encoder):
    """The encoder on the CPU: packed weights and the cache of all slots."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        max_sessions: int = 1024,
        max_pages: int | None = None,
        kernels: str = "auto",
        number_format: str = "auto",
    ) -> None:
        """Pack the weights, reserve the cache, and compile the kernels (takes seconds the first time on a machine).

        Args:
            checkpoint: configuration and weights.
            max_sessions: slots that can be open at the same time.
            max_pages: pages that can be in use at the same time; None: as many as all slots can fill, up to 2 GiB.
            kernels: "auto", "torch", "numba", or "fused".
            number_format: number type of the linears; "auto" measures which is fastest here. Cached keys and values are
                bfloat16 if the linears are not float32 and the processor has it.

        Raises:
            NumberFormatError: unknown number format, or one that this processor or model does not support.
            ValueError: unknown kernels, max_sessions below 1, or too few pages for one session.
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
            require_torch("a model whose widths are no multiples of 16" if kernels == "auto" else f"kernels {kernels}")
            from encoder.runtime.cpu.unfused_layers import UnfusedBody, choose_kernels

            self._body = UnfusedBody(config, cache, checkpoint.weights, head, choose_kernels(kernels), chosen)
        self._warm_up()

    def _compute(self, passes: Sequence[Pass], plan: PassPlan, starts: NDArray[np.int64]) -> Scores:
        return Scores(self._body.step(plan.tokens, prefix_rows(plan), tail_rows(plan)), starts, NO_WORDS_READ)


def _check_fallback(kernels: str, number_format: str) -> None:
    """Raise if fused layers were asked for, or are needed, and this processor or model does not support them."""
    if kernels == "fused":
        raise ValueError(
            f"kernels fused in {number_format} need widths that are multiples of 16, and AVX2 for int8 or AVX-512 for "
            "bfloat16; "
            "take auto"
        )
    if number_format == "int8":
        raise NumberFormatError(
            "number_format int8 needs a processor with AVX2 and a model whose widths are multiples of 16; take auto"
        )
