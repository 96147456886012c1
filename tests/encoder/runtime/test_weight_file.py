"""Packed weights in a file: mapped, shared, made again when damaged, and not needed."""

import os
from pathlib import Path

import numpy as np
import pytest

from encoder.runtime.cpu.fused import weight_file as packed_file
from encoder.runtime.cpu.fused.gemm import BLOCK, PackedWeights
from encoder.runtime.cpu.fused.weight_file import packed_weights
from tests.encoder.wide import wide_checkpoint

CHECKPOINT = wide_checkpoint()
HEAD = CHECKPOINT.weights["head.weight"], CHECKPOINT.weights["head.bias"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path / "hearken"))
    return tmp_path / "hearken"


def packed(seed: int = 0) -> PackedWeights:
    checkpoint = CHECKPOINT if not seed else wide_checkpoint(causal_layers=seed)
    return packed_weights(checkpoint, checkpoint.identity(), "int8", HEAD)


def test_a_second_process_maps_what_the_first_one_packed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed()
    (file,) = folder.iterdir()
    assert file.name == f"{CHECKPOINT.identity().hex()}-int8-1x{BLOCK}.packed"
    monkeypatch.setattr(packed_file.WeightLayout, "fill", None)  # nothing is packed again
    second = packed()
    assert np.array_equal(first.words, second.words)
    for one in (first, second):
        assert not one.words.flags.writeable
        assert str(file) in Path("/proc/self/maps").read_text() if os.path.exists("/proc/self/maps") else True


@pytest.mark.parametrize("damage", [b"", b"other weights"])
def test_a_damaged_file_is_written_again(folder: Path, damage: bytes) -> None:
    want = packed().words.copy()
    (file,) = folder.iterdir()
    file.write_bytes(damage)
    assert np.array_equal(packed().words, want)
    assert file.stat().st_size == 64 + want.nbytes


def test_where_nothing_can_be_written_weights_are_packed_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path / "file"))
    got = packed()
    assert not got.words.flags.writeable
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path / "cache"))
    assert np.array_equal(got.words, packed().words)


def test_the_files_that_were_written_first_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_file, "KEPT", 2)
    packed(1)
    (old,) = folder.iterdir()
    os.utime(old, (1, 1))
    packed(2)
    (new,) = set(folder.iterdir()) - {old}
    packed(3)
    assert new in folder.iterdir()
    assert old not in folder.iterdir()
    assert len(list(folder.iterdir())) == 2


def test_packed_numbers_are_those_of_the_weights() -> None:
    got = packed()
    weight = CHECKPOINT.weights["layers.0.ff_out.weight"]  # (64, 112)
    place, scale, columns, bias, steps, blocks, _ = got.products[3 * 7 : 4 * 7].tolist()
    assert (steps, blocks) == (28, 1)
    numbers = got.words[place : place + steps * 64].reshape(steps, 64).T.copy().view(np.int8)  # (columns, inputs)
    assert np.array_equal(got.words[columns : columns + 64], numbers.sum(1))
    assert (
        np.abs(numbers * got.reals[scale : scale + 64, None] - weight).max()
        <= 0.51 * got.reals[scale : scale + 64].max()
    )
    assert np.array_equal(got.reals[bias : bias + 64], CHECKPOINT.weights["layers.0.ff_out.bias"])
