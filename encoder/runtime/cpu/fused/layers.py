"""The layers of an encoder, fused: one compiled call a step over packed weights."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.model.number_types import NumberType
from encoder.runtime.cpu.fused.gemm import PackedWeights
from encoder.runtime.cpu.fused.microkernel import LANES
from encoder.runtime.cpu.fused.step import make_step
from encoder.runtime.cpu.fused.workspace import PagePool, RowTable, StepShape, Workspace, reserve
from encoder.runtime.packed_rows import IntArray, PackedRows
from encoder.runtime.paged_cache import PageBlock, PagedCache

_LEAST_ROWS: Final = 64


def fits(config: HybridConfig) -> bool:
    """Tell whether the fused layers support this shape: all widths are multiples of 16."""
    widths = (config.hidden, config.head_dim, config.intermediate, config.table_width)
    return config.page_size == LANES and not any(width % LANES for width in widths)


class FusedBody:
    """`encoder.runtime.encoder.Body` over packed weights; its workspace is as large as its largest step needed."""

    def __init__(
        self,
        config: HybridConfig,
        cache: PagedCache,
        numbers: NumberType,
        packed: PackedWeights,
        words: tuple[NDArray[np.generic], NDArray[np.float32] | None],
    ) -> None:
        pages = cache.numbers
        self._config, self._cache, self._packed = config, cache, packed
        table, scale = words
        self._words = np.ascontiguousarray(table).reshape(-1)
        self._scale = np.ones(len(table), np.float32) if scale is None else scale
        self._shape = StepShape(
            config.hidden, config.intermediate, config.heads, numbers, pages, config.layer_norm_eps, config.sink
        )
        self._run = make_step(self._shape, config.table_width)
        self._prefix, self._tail = (_held(block, pages) for block in (cache.prefix_block, cache.tail_block))
        self._boundary = cache.boundary.reshape(-1)
        self._rows = 0
        self._arena = self._workspace(_LEAST_ROWS)

    def step(self, tokens: IntArray, appended: PackedRows, computed: PackedRows) -> NDArray[np.float32]:
        """See `encoder.runtime.encoder.Body.step`."""
        config, cache = self._config, self._cache
        logits = np.empty((len(computed), config.columns), np.float32)
        self._run(
            tokens, self._words, self._scale, self._workspace(max(len(appended), len(computed))), self._packed,
            self._boundary, _where(cache.prefix_table, appended), self._prefix,
            _where(cache.tail_table, computed), self._tail, config.causal_layers, config.layers, config.columns,
            logits.reshape(-1),
        )  # fmt: skip
        return logits

    def _workspace(self, rows: int) -> Workspace:
        """Give a workspace of at least that many rows; a new one is at least twice as large as the last."""
        if rows > self._rows:
            self._rows = max(rows, 2 * self._rows)
            config = self._config
            self._arena = reserve(self._shape, config.table_width, config.columns, config.positions, self._rows)
        return self._arena


def _held(block: PageBlock, numbers: NumberType) -> PagePool:
    """Keys of bfloat16 are written in pairs."""
    keys = block.keys.view(np.int32) if numbers == "bfloat16" else block.keys
    return PagePool(keys, block.values, block.pages)


def _where(table: IntArray, rows: PackedRows) -> RowTable:
    return RowTable(table, rows.slots, rows.starts, rows.position, rows.first, rows.last)
