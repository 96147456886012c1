"""The layers on a device: packed tokens through the causal prefix, boundary states through the tail, label scores.

No code here waits for the device, reads a number from it, or depends on the number of real rows, so that the same calls
can be captured in a CUDA graph. Linears are torch's (cuBLAS); the operations between them are this package's kernels.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.config import HybridConfig
from encoder.runtime.gpu import attention
from encoder.runtime.gpu import row_kernels as rows
from encoder.runtime.gpu.attention import DevicePages
from encoder.runtime.gpu.row_kernels import DeviceNorm, DeviceStream
from encoder.runtime.gpu.row_layout import DeviceRows


class _DeviceLayer:
    """The weights of one post-norm layer."""

    def __init__(self, weights: dict[str, Tensor], config: HybridConfig, dtype: torch.dtype) -> None:
        eps = config.layer_norm_eps
        self.tanh = config.gelu == "tanh"
        self.qkv, self.qkv_bias = weights["qkv.weight"].to(dtype), weights["qkv.bias"].to(dtype)
        self.out, self.out_bias = weights["out.weight"].to(dtype), weights["out.bias"]
        self.wide, self.wide_bias = weights["ff_in.weight"].to(dtype), weights["ff_in.bias"]
        self.narrow, self.narrow_bias = weights["ff_out.weight"].to(dtype), weights["ff_out.bias"]
        self.norm1, self.norm2 = _norm(weights, "norm1", eps), _norm(weights, "norm2", eps)
        self.sink = weights["sink"].contiguous() if config.sink else None

    def forward(self, x: DeviceStream, pages: DevicePages, table: Tensor, packed: DeviceRows) -> DeviceStream:
        """Map the stream of T packed tokens to the next layer's; writes their keys and values."""
        qkv = F.linear(x.cast, self.qkv, self.qkv_bias)
        attention.write(qkv, pages, table, packed)
        seen = attention.attend(qkv, pages, table, packed, self.sink)
        x = rows.add_norm(x, F.linear(seen, self.out), self.out_bias, self.norm1, packed)
        wide = rows.gelu(F.linear(x.cast, self.wide), self.wide_bias, packed, tanh=self.tanh)
        return rows.add_norm(x, F.linear(wide, self.narrow), self.narrow_bias, self.norm2, packed)


class DeviceTrunk:
    """Weights and layers of a checkpoint on a device; the caller provides rows and pages."""

    def __init__(
        self, checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device, columns: tuple[Any, Any]
    ) -> None:
        """Copy the weights to `device`; the layers' linears become `dtype`, tables, norms and head are float32.

        `columns` are weight (columns, H) and bias (columns,) of the head, as `HybridConfig.columns` has them.
        """
        config = checkpoint.config
        weights = {name: tensor.to(device) for name, tensor in checkpoint.tensors().items()}
        self._causal, self._dtype = config.causal_layers, dtype
        self._words, self._places = weights["word.weight"].contiguous(), weights["position.weight"].contiguous()
        self._norm = _norm(weights, "norm", config.layer_norm_eps)
        self._project = None if config.embedding is None else (weights["project.weight"], weights["project.bias"])
        self._layers = [_DeviceLayer(_below(weights, f"layers.{i}."), config, dtype) for i in range(config.layers)]
        self._head = torch.from_numpy(columns[0]).to(device), torch.from_numpy(columns[1]).to(device)

    def prefix(
        self,
        tokens: Tensor,
        packed: DeviceRows,
        pages: list[DevicePages],
        table: Tensor,
        boundary: Tensor,
        tail: Tensor,
    ) -> None:
        """Append (T,) int32 tokens: causal layers; boundary states are stored where the `tail` table has pages."""
        x = rows.embed(tokens, packed, self._words, self._places, self._norm, self._dtype)
        if self._project is not None:
            full = F.linear(x.full, *self._project)
            x = DeviceStream(full, full if self._dtype == torch.float32 else full.to(self._dtype))
        for layer, own in zip(self._layers[: self._causal], pages, strict=True):
            x = layer.forward(x, own, table, packed)
        rows.store(x.full, boundary, tail, packed)

    def tail(self, packed: DeviceRows, pages: list[DevicePages], table: Tensor, boundary: Tensor, out: Tensor) -> None:
        """Compute the tail layers over packed tokens; `out` receives the (T, columns) float32 scores."""
        x = rows.gather(boundary, table, packed, self._dtype)
        for layer, own in zip(self._layers[self._causal :], pages, strict=True):
            x = layer.forward(x, own, table, packed)
        weight, bias = self._head
        torch.addmm(bias, x.full, weight.T, out=out)


def _norm(weights: dict[str, Tensor], name: str, eps: float) -> DeviceNorm:
    return DeviceNorm(weights[f"{name}.weight"].contiguous(), weights[f"{name}.bias"].contiguous(), eps)


def _below(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
