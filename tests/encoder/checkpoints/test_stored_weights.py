"""Weights stay as a checkpoint's file has them until one is asked for."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as torch_save

from encoder.checkpoints.checkpoint import (
    Checkpoint,
    StoredWeights,
    load_checkpoint,
    quantize_rows,
    restore_rows,
    save_checkpoint,
    weight_shapes,
)
from encoder.checkpoints.location import CheckpointError
from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel
from encoder.runtime.cpu.fused.weight_packing import round_columns
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import Pass
from tests.encoder.wide import needs, wide_checkpoint
from tests.tiny import LABELS


@pytest.fixture(params=[False, True], ids=["plain", "marked"])
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> Checkpoint:
    marks = {"segment_starts": request.param}
    given = wide_checkpoint(labels=("O",), taggers={"a": LABELS, "b": LABELS[:3]}, stability=4, **marks)
    save_checkpoint(tmp_path, given.config, dict(given.weights), given.tokenizer)
    return load_checkpoint(str(tmp_path))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_that_numpy_lacks_are_refused(kind: torch.dtype, stored: Checkpoint, tmp_path: Path) -> None:
    given = {name: weight.to(kind) for name, weight in stored.tensors().items()}
    torch_save(given, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="other than float16, float32 and int8"):
        load_checkpoint(str(tmp_path))


def test_shapes_are_those_of_the_dense_model(stored: Checkpoint) -> None:
    wide = msgspec.structs.replace(stored.config, hidden=96, embedding=32)
    for config in (stored.config, wide, HybridConfig(), HybridConfig(stability=8)):
        with torch.device("meta"):
            dense = HybridModel(config).state_dict()
        assert weight_shapes(config) == {name: tuple(weight.shape) for name, weight in dense.items()}


def dense(checkpoint: Checkpoint) -> Checkpoint:
    weights = {name: checkpoint.weights[name] for name in checkpoint.weights}
    return Checkpoint(checkpoint.name, checkpoint.config, weights, checkpoint.tokenizer)


def test_identity_and_weights_are_those_of_the_float32_weights(stored: Checkpoint) -> None:
    assert isinstance(stored.weights, StoredWeights)
    assert stored.identity() == dense(stored).identity()
    words, scale = stored.word_table()
    assert words.dtype == np.int8
    assert scale is not None
    assert np.array_equal(stored.weights["word.weight"], words.astype(np.float32) * scale[:, None])
    assert dense(stored).word_table()[1] is None
    assert len(stored.weights) == len(list(stored.weights))


def test_one_head_alone_is_the_same_from_both(stored: Checkpoint) -> None:
    alone, other = stored.single_head("b"), dense(stored).single_head("b")
    assert isinstance(alone.weights, StoredWeights)
    assert alone.identity() == other.identity() != stored.identity()
    assert dict(alone.dense_model().state_dict()).keys() == dict(other.dense_model().state_dict()).keys()
    (head,) = alone.stability_heads()
    (same,) = other.stability_heads()
    assert head is not None
    assert same is not None
    assert all(np.array_equal(a, b) for a, b in zip(head, same, strict=True))


def test_stored_words_are_embedded_to_the_same_bits(stored: Checkpoint) -> None:
    needs("float32")
    found = []
    for checkpoint in (stored, dense(stored)):
        encoder = HybridEncoder(checkpoint, max_sessions=1, kernels="fused", number_format="float32")
        found.append(encoder.step([Pass(encoder.open_slot(), 0, np.arange(30, dtype=np.int32), 0, 0)]).logits)
    assert np.array_equal(*found)


def test_rows_of_first_tokens_are_made_of_the_others(tmp_path: Path) -> None:
    given = wide_checkpoint(segment_starts=True)
    for folder in ("a", "b"):
        save_checkpoint(tmp_path / folder, given.config, dict(given.weights), given.tokenizer)
        given = load_checkpoint(str(tmp_path / folder))
        words, start = given.weights["word.weight"], given.weights["start"]
        rows = given.config.vocab_size
        assert len(words) == 2 * rows == len(given.word_table()[0])
        assert np.abs(words[rows:] - (words[:rows] + start)).max() <= np.abs(words[rows:]).max() / 254 + 1e-6
        assert start.any()
    with safe_open(tmp_path / "a" / "model.safetensors", "numpy") as file:
        assert file.get_slice("word.int8").get_shape()[0] == rows
    assert load_checkpoint(str(tmp_path / "a")).identity() == given.identity()


@pytest.mark.parametrize("change", ["shape", "nan", "missing"])
def test_a_mark_that_does_not_fit_is_refused(change: str, tmp_path: Path) -> None:
    given = wide_checkpoint(segment_starts=True)
    width = given.config.table_width
    save_checkpoint(tmp_path, given.config, dict(given.weights), given.tokenizer)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["start"]
    if change != "missing":
        weights["start"] = np.full(width + (change == "shape"), np.nan if change == "nan" else 0, np.float16)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"do not fit|lacks 'start'"):
        load_checkpoint(str(tmp_path))


def test_rows_keep_their_own_scale() -> None:
    table = np.array([[1.0, -0.5], [100.0, 3.0], [0.0, 0.0]], np.float32)
    numbers, scale = quantize_rows(table)
    assert np.abs(restore_rows(numbers, scale) - table).max() <= 0.5 * scale.max()


@pytest.fixture
def rounded(tmp_path: Path) -> Checkpoint:
    given = wide_checkpoint(labels=("O",), taggers={"a": LABELS, "b": LABELS[:3]}, stability=4)
    save_checkpoint(tmp_path / "8", given.config, given.weights, given.tokenizer, eight_bits=True)
    save_checkpoint(tmp_path / "16", given.config, given.weights, given.tokenizer)
    sizes = [(tmp_path / bits / "model.safetensors").stat().st_size for bits in ("8", "16")]
    assert sizes[0] < 0.7 * sizes[1]
    return load_checkpoint(str(tmp_path / "8"))


def test_matrices_in_8_bits_are_what_int8_linears_make_of_them(rounded: Checkpoint) -> None:
    given = wide_checkpoint(labels=("O",), taggers={"a": LABELS, "b": LABELS[:3]}, stability=4)
    assert set(rounded.weights) == set(given.weights)
    for name in given.weights:
        if not name.startswith("layers.") or name.endswith("bias") or "norm" in name:
            continue
        scale, numbers = round_columns(np.asarray(given.weights[name], np.float32))
        again = round_columns(rounded.weights[name])
        assert np.array_equal(again[1], numbers)
        np.testing.assert_allclose(again[0], scale, rtol=1e-6)
    assert rounded.identity() == dense(rounded).identity()
    alone = rounded.single_head("b")
    assert alone.identity() == dense(rounded).single_head("b").identity()
    assert weight_shapes(alone.config) == alone.weights.shapes()  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", ["no scale", "short scale", "head", "stranger"])
def test_wrong_parts_of_8_bits_are_refused(rounded: Checkpoint, tmp_path: Path, change: str) -> None:
    assert isinstance(rounded.weights, StoredWeights)
    stored = dict(rounded.weights.arrays)
    if change == "no scale":
        del stored["layers.0.qkv.scale"]
    elif change == "short scale":
        stored["layers.0.qkv.scale"] = stored["layers.0.qkv.scale"][:-1].copy()
    elif change == "head":
        stored["head.int8"], stored["head.scale"] = quantize_rows(stored.pop("head.weight").astype(np.float32))
    else:
        stored["norm.scale"] = np.ones(3, np.float32)
    save_file(stored, tmp_path / "8" / "model.safetensors")
    with pytest.raises(CheckpointError):
        load_checkpoint(str(tmp_path / "8"))
