"""The trial of tile registers: whatever becomes of its process, products are right."""

import sys
from pathlib import Path

import pytest

from encoder.runtime.cpu import tile_trial
from encoder.runtime.cpu.fused import tile_registers
from encoder.runtime.cpu.fused.tile_registers import can_use_tiles


@pytest.mark.parametrize(("code", "agree"), [("pass", True), ("exit(1)", False), ("import os; os.abort()", False)])
def test_the_answer_of_a_process_is_kept(
    code: str, agree: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    script = tmp_path / "own_trial.py"
    script.write_text(f"open({str(runs)!r}, 'a').write('x')\n{code}\n")
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tile_registers, "TRIAL", "own_trial")
    for _ in range(2):
        tile_registers.tiles_agree.cache_clear()
        assert tile_registers.tiles_agree() is agree
    assert runs.read_text() == "x", "the second answer comes from the cache"
    tile_registers.tiles_agree.cache_clear()


def test_products_by_tiles_are_those_by_vectors() -> None:
    """On a processor with tiles, and under the emulation of `tests.encoder.runtime.tile_emulation`."""
    if not can_use_tiles():
        pytest.skip("no tile registers")
    assert tile_trial.compare_products()


def test_a_python_that_cannot_start_is_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert tile_registers._try_apart() is None


def test_a_trial_that_does_not_end_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEARKEN_CACHE_DIR", str(tmp_path))
    for answer, agree in ((None, False), (True, True)):
        monkeypatch.setattr(tile_registers, "_try_apart", lambda given=answer: given)
        tile_registers.tiles_agree.cache_clear()
        assert tile_registers.tiles_agree() is agree
    tile_registers.tiles_agree.cache_clear()


@pytest.mark.parametrize("permitted", [True, False])
def test_the_trial_asks_for_the_registers_itself(permitted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux takes the permission away from a program that is started anew."""
    asked: list[str] = []
    monkeypatch.setattr(tile_trial, "can_use_tiles", lambda: (asked.append("permission"), permitted)[1])
    monkeypatch.setattr(tile_trial, "compare_products", lambda: (asked.append("products"), True)[1])
    assert tile_trial.try_tiles() is permitted
    assert asked == ["permission", "products"][: 1 + permitted]
