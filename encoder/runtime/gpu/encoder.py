"""The hybrid encoder on a device: same passes and same scores as `encoder.runtime.encoder.HybridEncoder`.

The host keeps the page tables, as on the CPU (`encoder.runtime.paged_cache`), and chooses restart points: the price of
a restart depends on all sessions of a step (`stream.overload.restart_pricing`), and the host has all word records. All
else of a step runs on the device without the host: the packed rows, prefix, gather, tail, and the decoding of words. A
step sends its requests with their rows of the page tables in one copy, and waits once, for its results.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from encoder.checkpoints.checkpoint import Checkpoint, head_columns
from encoder.heads.head import Head
from encoder.model.config import HybridConfig
from encoder.runtime.gpu import step_buffers as field
from encoder.runtime.gpu.attention import DevicePages
from encoder.runtime.gpu.cuda_graphs import MOST, CudaGraphs, bucket
from encoder.runtime.gpu.decode_kernels import read_words
from encoder.runtime.gpu.device import DeviceError, on
from encoder.runtime.gpu.head_weights import bring_heads
from encoder.runtime.gpu.launch import INTERPRETED
from encoder.runtime.gpu.layers import DeviceTrunk
from encoder.runtime.gpu.row_layout import lay_out
from encoder.runtime.gpu.step_buffers import StepBuffers, StepCapacity
from encoder.runtime.interface import NO_WORDS_READ, Encoder, Scores
from encoder.runtime.number_format import NumberFormatError
from encoder.runtime.paged_cache import PagedCache
from encoder.runtime.passes import Pass, PassPlan

_SHARE = 0.6
"""Share of the device's free memory that pages may take if max_pages is not given."""


class DeviceCache(PagedCache):
    """The paged cache with its pages on a device; slots and tables stay on the host."""

    def __init__(
        self, config: HybridConfig, dtype: torch.dtype, device: torch.device, max_sessions: int, max_pages: int | None
    ) -> None:
        """See `PagedCache`; by default pages for all slots, as far as the device's memory goes."""
        self.device = device
        if max_pages is None and device.type == "cuda":
            max_pages = _affordable(config, dtype, device, max_sessions)
        super().__init__(config, "bfloat16" if dtype == torch.bfloat16 else "float32", max_sessions, max_pages)

    def _reserve_pages(self, prefix_pages: int, tail_pages: int) -> None:
        config, dtype = self.config, torch.bfloat16 if self.numbers == "bfloat16" else torch.float32
        self.prefix_pages = [self._pages(dtype, prefix_pages) for _ in range(config.causal_layers)]
        self.tail_pages = [self._pages(dtype, tail_pages) for _ in range(config.tail_layers)]
        self.boundary_pages = torch.zeros(tail_pages, config.page_size, config.hidden, device=self.device)

    def _pages(self, dtype: torch.dtype, pages: int) -> DevicePages:
        config = self.config
        shape = (pages, config.heads, config.page_size, config.head_dim)
        return DevicePages(*(torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(2)))


class DeviceEncoder(Encoder):
    """The encoder on a device: weights and the cache of all slots."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        heads: Sequence[Head] = (),
        *,
        max_sessions: int = 1024,
        max_pages: int | None = None,
        number_format: str = "auto",
    ) -> None:
        """Copy the weights to the device, reserve the cache, and compile the kernels (takes seconds the first time).

        Args:
            checkpoint: configuration and weights.
            device: a CUDA device; the CPU only where Triton interprets its kernels.
            heads: of the checkpoint, which read words on the device; none: words are read from the scores.
            max_sessions: slots that can be open at once.
            max_pages: pages that can be in use at once; None for what all slots can fill, as far as memory goes.
            number_format: of the linears and of cached keys and values; "auto" is bfloat16 on a GPU.

        Raises:
            DeviceError: the CPU, with kernels that are compiled.
            NumberFormatError: unknown number format, or one that devices do not have here.
            ValueError: no session, or too few pages for one.
        """
        if device.type == "cpu" and not INTERPRETED:
            raise DeviceError("the kernels run on a CPU only under Triton's interpreter; set TRITON_INTERPRET=1")
        config, dtype = checkpoint.config, _choose_dtype(number_format, device)
        self.device = device
        self.cache: DeviceCache
        cache = DeviceCache(config, dtype, device, max_sessions, max_pages)
        super().__init__(checkpoint, "bfloat16" if dtype == torch.bfloat16 else "float32", cache)
        self.reads_words = bool(heads)
        self.launching: Callable[[], AbstractContextManager[object]] = nullcontext
        """Around the launches of a step, from the copy of its requests to the last kernel; the bench times them."""
        self.trunk = DeviceTrunk(checkpoint, dtype, device, head_columns(config, checkpoint.weights))
        self._heads = bring_heads(heads, device) if heads else None
        self._count = len(heads)
        self.graphs = CudaGraphs(device)
        most = self._shape(min(MOST, bucket(max_sessions)), MOST, MOST)
        self._buffers = StepBuffers(sum(most.lengths), most.results, device)
        self._large: StepBuffers | None = None
        self._warm_up()

    def _shape(self, requests: int, tokens: int, rows: int) -> StepCapacity:
        pages = self.cache.prefix_table.shape[1]
        return StepCapacity(bucket(requests), self._count, pages, self.config.columns, bucket(tokens), bucket(rows))

    def _compute(self, passes: Sequence[Pass], plan: PassPlan, starts: NDArray[np.int64]) -> Scores:
        rows, words = int(starts[-1]), sum(len(one.words.last) for one in passes if one.words is not None)
        if not len(plan.tokens) and not rows:
            return Scores(np.zeros((0, self.config.columns), np.float32), starts, NO_WORDS_READ)
        shape = self._shape(len(passes), len(plan.tokens), rows)
        with on(self.device), torch.inference_mode():
            buffers = self._buffers_for(shape)
            self._fill(passes, plan, starts, shape, buffers)
            with self.launching():
                buffers.send(shape)
                if buffers is self._buffers:
                    self.graphs.run(shape, lambda: self._launch(shape, buffers), buffers.input[:1], len(passes))
                else:
                    self._launch(shape, buffers)
            if not rows:
                return Scores(np.zeros((0, self.config.columns), np.float32), starts, NO_WORDS_READ)
            scores, read = buffers.fetch(shape, rows, words)
        return Scores(scores, starts, read)

    def _buffers_for(self, shape: StepCapacity) -> StepBuffers:
        """Give the buffers that graphs keep, or larger ones."""
        if self._buffers.holds(shape):
            return self._buffers
        if self._large is None or not self._large.holds(shape):
            self._large = StepBuffers(2 * sum(shape.lengths), 2 * shape.results, self.device)
        return self._large

    def _fill(
        self,
        passes: Sequence[Pass],
        plan: PassPlan,
        starts: NDArray[np.int64],
        shape: StepCapacity,
        buffers: StepBuffers,
    ) -> None:
        """Write a step's requests, pages, tokens and words into the pinned buffer."""
        parts, n = buffers.host(shape), len(passes)
        slot, keep, count, window, restart = plan.requests.T
        parts.number.numpy()[0] = n
        fields = parts.fields.numpy()[:, :n]
        fields[field.KEEP], fields[field.END], fields[field.WINDOW] = keep, keep + count, window
        fields[field.RESTART] = restart
        parts.prefix_table.numpy()[:n] = self.cache.prefix_table[slot]
        parts.tail_table.numpy()[:n] = self.cache.tail_table[slot]
        parts.tokens.numpy()[: len(plan.tokens)] = plan.tokens
        if self._count:
            words = [len(one.words.last) if one.words is not None else 0 for one in passes]
            fields[field.WORDS], fields[field.FIRST] = words, np.cumsum(words) - words
            asked = [(i, one.words) for i, one in enumerate(passes) if one.words is not None]
            if asked:
                where = [i for i, _ in asked]
                last = np.concatenate([x.last for _, x in asked])
                parts.words.numpy()[: len(last)] = last + np.repeat(starts[:-1] - restart, words)
                fields[field.BEFORE :, where] = np.concatenate([x.before for _, x in asked]).reshape(-1, self._count).T

    def _launch(self, shape: StepCapacity, buffers: StepBuffers) -> None:
        """Launch a step's kernels; nothing here waits for the device."""
        parts, cache = shape.input(buffers.input), self.cache
        number, end = parts.number, parts.fields[field.END]
        if shape.tokens:
            packed = lay_out(number, parts.fields[field.KEEP], end, None, shape.tokens)
            tables = parts.prefix_table, cache.boundary_pages, parts.tail_table
            self.trunk.prefix(parts.tokens, packed, cache.prefix_pages, *tables)
        if shape.rows:
            packed = lay_out(number, parts.fields[field.RESTART], end, parts.fields[field.WINDOW], shape.rows)
            out = shape.output(buffers.output)
            self.trunk.tail(packed, cache.tail_pages, parts.tail_table, cache.boundary_pages, out.scores)
            if self._heads is not None:
                read_words(parts, out, self._heads)


def _affordable(config: HybridConfig, dtype: torch.dtype, device: torch.device, max_sessions: int) -> int:
    """Count the pages that all slots can fill, or that fit; both kinds are reserved for as many."""
    a_slot = config.positions // config.page_size
    fill = 2 * a_slot + 1
    cell = 2 * dtype.itemsize * config.layers + 4  # keys and values of a prefix and a tail page, and a boundary state
    free, _ = torch.cuda.mem_get_info(device)
    return max(fill, min(max_sessions * fill, int(_SHARE * free) // (config.page_size * config.hidden * cell)))


def _choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Choose the linears' number type; the interpreter cannot multiply bfloat16.

    Raises:
        NumberFormatError: devices do not support `wanted`.
    """
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if wanted not in formats:
        raise NumberFormatError(f"number_format must be auto, float32 or bfloat16 on a device (got {wanted!r})")
    return formats[wanted]
