"""The bench of several workers: what it counts, and that processes with shared weights say what one says."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.harness.parallel_processes import Done
from benchmarks.workers import workers_row
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import tiny_checkpoint
from tests.waiting import run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers that share weights are for Linux")


def done(wall: float, cpu: float) -> Done:
    return Done(wall, cpu, {}, 0)


def test_workers_are_as_fast_as_the_last_of_them_and_cost_what_all_of_them_cost() -> None:
    alone, both = [[done(1.0, 0.5)]] * 3, [[done(1.0, 0.6), done(1.25, 0.65)]] * 3
    row = workers_row("both", 100.0, both, alone)
    assert row.workers == 2
    assert row.per_second == 160.0
    assert row.scaling == pytest.approx(1.6)
    assert row.cpu_us == pytest.approx(6250.0)
    assert row.per_cpu == pytest.approx(0.8)
    assert workers_row("alone", 100.0, alone, alone).scaling == 1.0


def test_the_command_measures_all_sides_and_what_is_shared(tmp_path: Path) -> None:
    made = tiny_checkpoint()
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    command = [sys.executable, "-m", "benchmarks", "workers", "--tagger", str(tmp_path / "tiny")]
    command += ["--workers", "2", "--sessions", "2", "--words", "4", "--repeats", "1", "--out", str(tmp_path)]
    ran = run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "shared weights" in ran.stdout
    report = json.loads((tmp_path / "workers.json").read_bytes())
    sides = ["one worker", "shared weights", "shared, a core each", "own weights", "cores"]
    assert [row["side"] for row in report["rows"]] == sides
    assert all(row["per_second"] > 0 and row["scaling"] > 0 and row["per_cpu"] > 0 for row in report["rows"])
    shared, own = report["memory"]
    assert (shared["side"], own["side"]) == ("shared weights", "own weights")
    assert shared["private"] < own["private"] / 2
    assert shared["copied"] < shared["shared"] / 2, "most of what it was given it does not write to"
    assert 0 <= report["others"] <= 1


def test_a_tagger_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workers", "--tagger", "/nowhere"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "tagger '/nowhere' is none of the shipped ones" in told.err.splitlines()[-1]
    assert told.err.count("hearken:") == 1
