"""The heads' weights as the decoding kernels read them: one table each for all heads, padded to the largest."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from encoder.heads.head import Head
from encoder.runtime.gpu.launch import power


@dataclass(frozen=True, slots=True)
class DeviceHeads:
    """Weights of K heads; L is a power of two, at least the largest number of labels."""

    first: Tensor
    """(K,) int32 first column of each"""
    labels: Tensor
    """(K,) int32 number of labels"""
    begins: Tensor
    """(K, L) int32 the B-x of each I-x, else -1"""
    label_rows: Tensor
    """(K, L, U) float32 each label's contribution to the hidden units of the stability head"""
    feature_rows: Tensor
    """(K, 6, U) float32 each feature's contribution"""
    out_rows: Tensor
    """(K, 2, U) float32 weights of base and drift"""
    constants: Tensor
    """(K, 4) float32 biases of base and drift; scale and shift of the calibration"""
    hidden: int
    """U; 0 if there are no stability heads."""
    units: int
    """U rounded up to a power of two."""


def bring_heads(heads: Sequence[Head], device: torch.device) -> DeviceHeads:
    """Copy the heads' weights to a device."""
    most = max(2, power(max(len(head.labels) for head in heads)))
    hidden = heads[0].end - heads[0].first - len(heads[0].labels)
    begins = torch.full((len(heads), most), -1, dtype=torch.int32)
    label_rows, feature_rows = torch.zeros(len(heads), most, hidden), torch.zeros(len(heads), 6, hidden)
    out_rows, constants = torch.zeros(len(heads), 2, hidden), torch.zeros(len(heads), 4)
    for i, head in enumerate(heads):
        begins[i, : len(head.labels)] = _begins(head.labels)
        constants[i, 2], constants[i, 3] = head.stability.scale, head.stability.shift
        if head.stability.head is not None:
            label, features, out, bias = map(torch.from_numpy, head.stability.head)
            label_rows[i, : len(head.labels)] = label
            feature_rows[i] = features.T
            out_rows[i], constants[i, :2] = out, bias
    return DeviceHeads(
        torch.tensor([head.first for head in heads], dtype=torch.int32, device=device),
        torch.tensor([len(head.labels) for head in heads], dtype=torch.int32, device=device),
        begins.to(device),
        label_rows.to(device),
        feature_rows.to(device),
        out_rows.to(device),
        constants.to(device),
        hidden,
        max(1, power(hidden)),
    )


def _begins(labels: tuple[str, ...]) -> Tensor:
    """For each label its B-x, if it is an I-x, else -1; (labels,) int32."""
    places = {name: i for i, name in enumerate(labels)}
    return torch.tensor([places["B-" + x[2:]] if x.startswith("I-") else -1 for x in labels], dtype=torch.int32)
