"""Weights from an ONNX export that the test writes, and files that are none."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from encoder.checkpoints.huggingface.folder import ImportRefused
from encoder.checkpoints.huggingface.onnx_bert import read_onnx_bert
from tests.tiny import tiny_tokenizer


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, value: NDArray[np.generic], *, packed: bool = False) -> bytes:
    dims = field(1, b"".join(map(varint, value.shape))) if packed else b"".join(field(1, n) for n in value.shape)
    return dims + field(2, 1 if value.dtype == np.float32 else 7) + field(8, name) + field(9, value.tobytes())


def node(kind: str, inputs: tuple[str, ...], output: str) -> bytes:
    return b"".join(field(1, x) for x in inputs) + field(2, output) + field(4, kind)


def export(tensors: list[bytes], nodes: list[bytes]) -> bytes:
    graph = b"".join(field(1, x) for x in nodes) + b"".join(field(5, x) for x in tensors)
    return field(1, 8) + field(7, graph)


@pytest.fixture
def model() -> tuple[bytes, NDArray[np.float32]]:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = [
        tensor("embeddings.word_embeddings.weight", np.ones((4, 2), np.float32), packed=True),
        tensor("embeddings.position_ids", np.arange(4, dtype=np.int64)),
        tensor("encoder.layer.0.output.dense.bias", np.zeros(3, np.float32)),
        tensor("onnx::MatMul_9", matrix),
    ]
    nodes = [
        node("MatMul", ("x", "onnx::MatMul_9"), "y"),
        node("Add", ("encoder.layer.0.output.dense.bias", "y"), "z"),
        node("Add", ("z", "x"), "w"),
    ]
    return export(tensors, nodes), matrix


def test_matrices_are_known_by_their_bias_and_turned(tmp_path: Path, model: tuple[bytes, NDArray[np.float32]]) -> None:
    data, matrix = model
    for name in ("x.onnx", "x.jar"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        if name.endswith(".jar"):
            with zipfile.ZipFile(folder / name, "w") as archive:
                archive.writestr("in/x.onnx", data)
                archive.writestr("in/x-tokenizer.json", tiny_tokenizer().to_str())
        else:
            (folder / name).write_bytes(data)
            (folder / "x-tokenizer.json").write_text(tiny_tokenizer().to_str())
        weights, tokenizer = read_onnx_bert(folder / name)
        assert set(weights) == {
            "embeddings.word_embeddings.weight",
            "encoder.layer.0.output.dense.bias",
            "encoder.layer.0.output.dense.weight",
        }
        assert torch.equal(weights["encoder.layer.0.output.dense.weight"], torch.from_numpy(matrix.T.copy()))
        assert tokenizer.get_vocab_size() == tiny_tokenizer().get_vocab_size()


@pytest.mark.parametrize("cut", [0, 1, 7, 40, 200])
def test_a_damaged_or_foreign_file_is_refused(
    tmp_path: Path, model: tuple[bytes, NDArray[np.float32]], cut: int
) -> None:
    (tmp_path / "x-tokenizer.json").write_text(tiny_tokenizer().to_str())
    for name, data in (("a.onnx", model[0][:cut]), ("b.onnx", bytes(range(7, 250))), ("c.jar", model[0])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImportRefused, match=name):
            read_onnx_bert(tmp_path / name)
    with pytest.raises(ImportRefused, match=r"none\.jar"):
        read_onnx_bert(tmp_path / "none.jar")
