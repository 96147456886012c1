"""The benchmark of starts: what it measures of one, and its table."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import start
from benchmarks.__main__ import main
from encoder.cache_folder import cache_folder
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.encoder.wide import wide_checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_start_that_finds_everything_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of these tests' kernels takes the place of an empty one, so that the test does not compile."""
    made = wide_checkpoint()
    save_checkpoint(tmp_path / "wide", made.config, made.weights, made.tokenizer)

    class Folder:
        def __enter__(self) -> str:
            (tmp_path / "cache").mkdir()
            kernels = cache_folder() / "kernels"
            if kernels.exists():
                shutil.copytree(kernels, tmp_path / "cache" / "kernels")
            return str(tmp_path / "cache")

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(start.tempfile, "TemporaryDirectory", Folder)
    assert main(["start", "--tagger", str(tmp_path / "wide"), "--repeats", "1", "--out", str(tmp_path)]) == 0
    first, later = json.loads((tmp_path / "start.json").read_bytes())["rows"]
    assert first["written"] >= 1, "the packed weights"
    assert later["written"] == 0
    for row in (first, later):
        assert row["cpu"] > 0
        assert 0 < row["private_mb"] < row["resident_mb"]
    assert "later (1)" in capsys.readouterr().out
