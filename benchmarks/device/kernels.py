"""Each kernel at the sizes of live sessions, beside the best implementation in torch, in the same run.

Torch gets easier input: contiguous keys and values without pages, and sequences of one length, so that nothing is
padded.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.device.limits import seconds_of
from benchmarks.device.report import KernelRow, Limits
from encoder.model.config import HybridConfig
from encoder.runtime.gpu import attention
from encoder.runtime.gpu import row_kernels as rows
from encoder.runtime.gpu.attention import DevicePages
from encoder.runtime.gpu.row_kernels import DeviceNorm, DeviceStream
from encoder.runtime.gpu.row_layout import DeviceRows, lay_out

Ways = dict[str, Callable[[], Callable[[], object]]]
"""By name, a function that prepares the work to be timed."""


class Case(NamedTuple):
    """Sequences of one length: the last `queries` tokens of each attend to its last `keys`."""

    name: str
    sequences: int
    queries: int
    keys: int


CASES = (
    Case("append", 1000, 1, 128),
    Case("local restart", 1000, 6, 128),
    Case("full restart", 250, 128, 128),
    Case("one session", 1, 4, 128),
    Case("prefix", 1000, 2, 496),
)
_TINY = (Case("tiny", 2, 3, 20),)
_ROWS, _TINY_ROWS = (256, 2048, 8192), (5,)


def compare_kernels(
    config: HybridConfig, dtype: torch.dtype, device: torch.device, limits: Limits, tiny: bool
) -> list[KernelRow]:
    """Time every kernel that has a counterpart in torch."""
    bench = _Bench(config, dtype, device, limits, compiles=device.type == "cuda")
    found = [bench.attend(case) for case in (_TINY if tiny else CASES)]
    for count in _TINY_ROWS if tiny else _ROWS:
        found += [bench.add_norm(count), bench.gelu(count), bench.gather(count)]
    return found


class _Bench(NamedTuple):
    config: HybridConfig
    dtype: torch.dtype
    device: torch.device
    limits: Limits
    compiles: bool

    def attend(self, case: Case) -> KernelRow:
        """K/V into pages, and attention."""
        n, heads, dim = case.sequences, self.config.heads, self.config.head_dim
        size = self.config.page_size
        a_slot = -(-case.keys // size)
        table = torch.randperm(n * a_slot, device=self.device).to(torch.int32).view(n, a_slot)
        pages = DevicePages(*(self._random(n * a_slot, heads, size, dim) for _ in range(2)))
        qkv = self._random(n * case.queries, 3 * heads * dim)
        packed = self._packed(n, case.keys - case.queries, case.keys)

        def ours() -> object:
            attention.write(qkv, pages, table, packed)
            return attention.attend(qkv, pages, table, packed)

        moved = 2 * n * heads * dim * (case.keys + 2 * case.queries) * self.dtype.itemsize
        name = f"{case.name}: {n} x {case.queries} over {case.keys}"
        return self._row("write + attend", name, ours, self._attention_ways(case), moved)

    def _attention_ways(self, case: Case) -> Ways:
        n, heads, dim = case.sequences, self.config.heads, self.config.head_dim

        def dense() -> tuple[Tensor, Tensor, Tensor]:
            return (
                self._random(n, heads, case.queries, dim),
                self._random(n, heads, case.keys, dim),
                self._random(n, heads, case.keys, dim),
            )

        def sdpa() -> Callable[[], object]:
            q, k, v = dense()
            return lambda: F.scaled_dot_product_attention(q, k, v)

        def varlen() -> Callable[[], object]:
            from torch.nn.attention.varlen import varlen_attn

            q, k, v = (x.transpose(1, 2).reshape(-1, heads, dim) for x in dense())
            starts_q, starts_k = (
                torch.arange(0, n * x + 1, x, dtype=torch.int32, device=self.device) for x in (case.queries, case.keys)
            )
            return lambda: varlen_attn(q, k, v, starts_q, starts_k, case.queries, case.keys)

        def flex() -> Callable[[], object]:
            from torch.nn.attention.flex_attention import flex_attention

            q, k, v = dense()
            compiled = torch.compile(flex_attention, dynamic=False)
            return lambda: compiled(q, k, v)

        return {"SDPA": sdpa, "varlen_attn": varlen, **({"FlexAttention": flex} if self.compiles else {})}

    def add_norm(self, count: int) -> KernelRow:
        """Residual, bias and norm."""
        width = self.config.hidden
        full, delta = torch.randn(count, width, device=self.device), self._random(count, width)
        shift, weight, bias = torch.randn(3, width, device=self.device)
        x = DeviceStream(full, full if self.dtype == torch.float32 else full.to(self.dtype))
        packed, norm = self._packed(1, 0, count), DeviceNorm(weight, bias, 1e-12)

        def plain(full: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
            y = F.layer_norm(full + delta.float() + shift, (width,), weight, bias, 1e-12)
            return y, y.to(delta.dtype)

        moved = count * width * (8 + 2 * self.dtype.itemsize)
        ways = self._eager_and_compiled(plain, full.clone(), delta)
        return self._row(
            "add + norm", f"{count} rows", lambda: rows.add_norm(x, delta, shift, norm, packed), ways, moved
        )

    def gelu(self, count: int) -> KernelRow:
        """Bias and GELU."""
        width = self.config.intermediate
        x, bias = self._random(count, width), torch.randn(width, device=self.device)
        packed = self._packed(1, 0, count)
        own = bias.to(self.dtype)
        ways = self._eager_and_compiled(lambda x, bias: F.gelu(x + bias), x.clone(), own)
        work = lambda: rows.gelu(x, bias, packed, tanh=False)  # noqa: E731
        return self._row("bias + GELU", f"{count} rows", work, ways, 2 * count * width * self.dtype.itemsize)

    def gather(self, count: int) -> KernelRow:
        """Boundary states out of pages."""
        width, size = self.config.hidden, self.config.page_size
        a_slot = -(-count // size)
        pages = torch.randn(a_slot, size, width, device=self.device)
        table = torch.randperm(a_slot, device=self.device).to(torch.int32).view(1, a_slot)
        packed = self._packed(1, 0, count)
        index = table.long()[0].repeat_interleave(size)[:count] * size + torch.arange(count, device=self.device) % size

        def plain(pages: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
            x = pages.view(-1, width)[index]
            return x, x.to(self.dtype)

        ways = self._eager_and_compiled(plain, pages, index)
        work = lambda: rows.gather(pages, table, packed, self.dtype)  # noqa: E731
        return self._row("gather", f"{count} rows", work, ways, count * width * (8 + self.dtype.itemsize))

    def _eager_and_compiled(self, plain: Callable[..., object], *inputs: Tensor) -> Ways:
        def compiled() -> Callable[[], object]:
            made = torch.compile(plain, dynamic=False)
            return lambda: made(*inputs)

        return {"eager": lambda: lambda: plain(*inputs), **({"compiled": compiled} if self.compiles else {})}

    def _packed(self, sequences: int, begin: int, end: int) -> DeviceRows:
        """Tokens begin .. end-1 of each sequence; they see all up to the last."""
        numbers = torch.tensor([[begin], [end], [0]], dtype=torch.int32, device=self.device).repeat(1, 4 * sequences)
        number = torch.tensor([sequences], dtype=torch.int32, device=self.device)
        return lay_out(number, numbers[0], numbers[1], numbers[2], sequences * (end - begin))

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(shape, device=self.device).to(self.dtype)

    def _row(self, kernel: str, size: str, ours: Callable[[], object], ways: Ways, moved: int) -> KernelRow:
        """Time all; an implementation that torch does not have here is reported, not raised."""
        took = seconds_of(ours, self.device)
        peers, failed = {}, {}
        for name, make in ways.items():
            try:
                with warnings.catch_warnings(), torch.inference_mode():
                    warnings.simplefilter("ignore")
                    peers[name] = 1e6 * seconds_of(make(), self.device)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        share = moved / took / (self.limits.gigabytes * 1e9)
        return KernelRow(
            kernel=kernel, size=size, ours_us=1e6 * took, peers_us=peers, failed=failed, bandwidth_share=share
        )
