"""Weights of a BERT encoder from its ONNX export, a file of its own or inside an archive (`.jar`, `.zip`).

Only the parts of the format that hold weights are read (onnx.proto3: ModelProto, GraphProto, NodeProto, TensorProto),
and nothing in the file can run. An export keeps the names of weights as they were, except for the matrices of linear
layers: those are transposed, nameless, and known by the bias that is added to their product.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from encoder.checkpoints.huggingface.folder import ImportRefused

ARCHIVES = (".jar", ".zip")
_FLOAT = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Field = tuple[int, int | memoryview]
"""Number of a protobuf field, and its value."""


def read_onnx_bert(path: Path) -> tuple[dict[str, Tensor], Tokenizer]:
    """Read weights by transformers' names, float32, and the tokenizer, without truncation or padding.

    The tokenizer is the one file of the archive (or beside the `.onnx` file) whose name ends in `tokenizer.json`.

    Raises:
        ImportRefused: the file is missing or damaged, or is no export of such an encoder.
    """
    try:
        model, tokenizer_json = _read_archive(path) if path.suffix in ARCHIVES else _read_file(path)
        weights = _named_weights(memoryview(model))
        tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    except (OSError, zipfile.BadZipFile, IndexError, ValueError) as error:
        raise ImportRefused(f"{path}: cannot be read as an ONNX export with its tokenizer: {error}") from error
    if "embeddings.word_embeddings.weight" not in weights:
        raise ImportRefused(f"{path}: holds no embeddings.word_embeddings.weight: not a BERT encoder's export")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return weights, tokenizer


def _read_archive(path: Path) -> tuple[bytes, bytes]:
    with zipfile.ZipFile(path) as archive:
        found = [[x for x in archive.namelist() if x.endswith(end)] for end in (".onnx", "tokenizer.json")]
        if [len(x) for x in found] != [1, 1]:
            raise ValueError("needs one .onnx file and one tokenizer.json")
        return archive.read(found[0][0]), archive.read(found[1][0])


def _read_file(path: Path) -> tuple[bytes, bytes]:
    beside = sorted(path.parent.glob("*tokenizer.json"))
    if len(beside) != 1:
        raise ValueError(f"{path.parent} needs one file that ends in tokenizer.json")
    return path.read_bytes(), beside[0].read_bytes()


def _named_weights(model: memoryview) -> dict[str, Tensor]:
    """Read all float weights of a ModelProto; matrices of linear layers get the name of their bias."""
    graph = next(_messages(model, 7), None)
    if graph is None:
        raise ValueError("no graph")
    weights = dict(t for t in (_tensor(x) for x in _messages(graph, 5)) if t is not None)
    products: dict[str, str] = {}  # output of a product with a weight, and that weight
    for node in _messages(graph, 1):
        inputs, outputs = (list(_strings(node, number)) for number in (1, 2))
        kind = next(_strings(node, 4), "")
        if kind == "MatMul" and inputs[1] in weights:
            products[outputs[0]] = inputs[1]
        elif kind == "Add" and (product := next((x for x in inputs if x in products), None)) is not None:
            bias = next((x for x in inputs if x in weights), "")
            if bias.endswith(".bias"):
                weights[bias.removesuffix("bias") + "weight"] = weights.pop(products[product]).T.contiguous()
    return weights


def _tensor(proto: memoryview) -> tuple[str, Tensor] | None:
    """Read a TensorProto of float32 values; None for other types."""
    dims: list[int] = []
    kind, name, raw = 0, "", memoryview(b"")
    for number, value in _fields(proto):
        if number == 1:
            dims += [value] if isinstance(value, int) else [*_varints(value)]
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and not isinstance(value, int):
            name = bytes(value).decode()
        elif number == 9 and not isinstance(value, int):
            raw = value
    if kind != _FLOAT:
        return None
    return name, torch.from_numpy(np.frombuffer(raw, np.dtype("<f4")).reshape(dims).astype(np.float32))


def _messages(proto: memoryview, number: int) -> Iterator[memoryview]:
    return (value for n, value in _fields(proto) if n == number and not isinstance(value, int))


def _strings(proto: memoryview, number: int) -> Iterator[str]:
    return (bytes(x).decode() for x in _messages(proto, number))


def _fields(proto: memoryview) -> Iterator[Field]:
    """Walk the fields of a message; raises ValueError or IndexError at one that is cut off or of an unknown type."""
    at = 0
    while at < len(proto):
        key, at = _varint(proto, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(proto, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, at = _varint(proto, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"protobuf wire type {wire}")
        if at + size > len(proto):
            raise ValueError("cut off")
        yield key >> 3, proto[at : at + size]
        at += size


def _varint(proto: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = proto[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value
