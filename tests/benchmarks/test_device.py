"""The bench of a device, in a tiny form under Triton's interpreter: so that it runs on the first device it meets."""

import ast
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from packaging.requirements import Requirement

pytest.importorskip("triton", reason="Triton is not there: pip install -e '.[dev]' brings it on Linux")

# isort: split
from benchmarks.__main__ import main as benchmarks_main
from benchmarks.device import run
from benchmarks.device.__main__ import TESTS, main
from benchmarks.device.report import DeviceReport, EngineRow, KernelRow, Limits, StepRow
from benchmarks.device.run import run_device_bench
from benchmarks.device.trace import read_trace, trace
from tests.encoder.gpu.where import DEVICE, device_tagger
from tests.tiny import tiny_checkpoint
from tests.waiting import run as run_command

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(DEVICE.type != "cpu", reason="on a device the bench itself is run")
def test_a_bench_runs_from_end_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--check", "--no-tests", "--out", str(tmp_path)]) == 0
    report = msgspec.json.decode((tmp_path / "device.json").read_bytes(), type=DeviceReport)
    assert (report.failed, report.skipped) == ({}, [])
    assert [(row.sessions, row.saturated) for row in report.rows] == [(2, False), (2, True)]
    steps, full = report.rows
    assert steps.waits == full.waits == 0
    assert full.tail_tokens > steps.tail_tokens > 2
    assert all(row.device_words > 0 and row.p99_ms >= row.p50_ms > 0 for row in report.rows)
    assert [row.sessions for row in report.engine] == [2]
    assert {row.kernel for row in report.kernels} == {"write + attend", "add + norm", "bias + GELU", "gather"}
    assert all("eager" in row.peers_us for row in report.kernels[1:])
    assert "SDPA" in report.kernels[0].peers_us
    assert "varlen_attn" in report.kernels[0].failed  # it has no kernel for the CPU
    said = capsys.readouterr().out
    assert said.index("steps") < said.index("aims") < said.index("write + attend")


@pytest.mark.skipif(DEVICE.type != "cpu", reason="on a device the bench itself is run")
def test_when_the_time_is_up_no_part_begins(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tiny = tiny_checkpoint(layers=2, causal_layers=1, heads=2)
    report = run_device_bench(device_tagger(tiny, 2), [2], 2, "always", 1, out=tmp_path, ends_at=0.0, tiny=True)
    assert report.rows == report.engine == report.kernels == []
    assert "engine with 2 sessions" in report.skipped
    assert "steps of 2 sessions: not measured" in capsys.readouterr().out
    assert (tmp_path / "device.json").exists()


def row(sessions: int, **changes: float | bool) -> StepRow:
    numbers = dict.fromkeys(StepRow.__struct_fields__, 0.0)
    return StepRow(**(numbers | {"sessions": sessions, "saturated": False} | changes))  # type: ignore[arg-type]


def test_aims_are_compared_with_what_was_measured() -> None:
    limits = Limits(teraflops=1.0, gigabytes=1.0)
    report = DeviceReport(tagger="t", device="d", policy="p", words=1, number_format="f", limits=limits)
    assert [(aim.got, aim.reached) for aim in report.aims()] == [("", False)] * 4
    report.rows += [row(1, device_words=9e6), row(1000, device_words=1e6, p99_ms=5.5)]
    report.rows.append(row(1000, saturated=True, device_words=1e9, gemm_share=0.5))
    report.engine.append(EngineRow(sessions=1000, words=99_999.0, p50_ms=1.0, p99_ms=1.0))
    assert [aim.reached for aim in report.aims()] == [True, False, False, True]
    assert report.aims()[0].got == "9,000,000"


def test_the_best_of_torchs_ways_counts() -> None:
    row = KernelRow(
        kernel="k", size="s", ours_us=2.0, peers_us={"a": 6.0, "b": 4.0}, failed={"c": "no"}, bandwidth_share=0.5
    )
    assert row.best == ("b", 2.0)
    assert msgspec.structs.replace(row, peers_us={}).best is None


def test_a_trace_tells_launches_from_waits() -> None:
    calls = {"cudaGraphLaunch": 2, "cudaLaunchKernel": 3, "cudaEventSynchronize": 1, "aten::mm": 9, "cudaMemcpy": 1}
    assert read_trace(calls, 70) == (5, 70, 2)
    done: list[int] = []
    assert trace(lambda: done.append(int(torch.ones(2).sum())), torch.device("cpu")) == (0, 0, 0)
    assert done == [2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_device_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks_main(["device"]) == 2
    error = capsys.readouterr().err
    assert "none is there" in error
    assert len(error.splitlines()) == 1
    assert main(["--no-tests"]) == 2
    assert "--check" in capsys.readouterr().err


def test_a_part_that_fails_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no profiler")

    for name in ("measure_steps", "saturate", "time_words"):
        monkeypatch.setattr(run, name, fail)
    monkeypatch.setattr(run, "compare_kernels", lambda *_: [])
    report = run_device_bench(device_tagger(tiny_checkpoint(), 2), [2], 2, "always", 1, out=tmp_path, tiny=True)
    assert list(report.failed) == ["steps of 2 sessions", "segments computed whole", "engine with 2 sessions"]
    assert "steps of 2 sessions: failed: RuntimeError: no profiler" in capsys.readouterr().out


THERE = {"torch", "triton", "numba", "llvmlite", "numpy", "safetensors", "tokenizers"}
"""Packages of the machine that `make gpu` is for, without what these bring."""


def test_what_a_run_imports_is_carried_along_or_there() -> None:
    """Beyond its own modules: what they import at their top, and what that needs."""
    carried = carried_packages()
    modules = [path.removesuffix(".py").replace("/", ".") for path in TESTS if path.endswith(".py")]
    code = (
        f"import json, sys, tests.conftest, benchmarks.device.run, encoder.tagger, tests.encoder.gpu.test_encoder, "
        f"{', '.join(modules)}; print(json.dumps([x.__file__ for x in list(sys.modules.values()) "
        f"if x.__name__.partition('.')[0] in {OWN!r} and x.__file__]))"
    )
    done = run_command(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"TRITON_INTERPRET": "1"}
    )
    assert done.returncode == 0, done.stderr
    named = {name for path in json.loads(done.stdout) for name in imports_at_top(Path(path))}
    foreign = named - set(OWN) - sys.stdlib_module_names
    packages = importlib.metadata.packages_distributions()
    assert {name for name in foreign if not {*map(normal, packages[name])} & (carried | THERE)} == set()
    needs = {need for package in carried for need in needs_of(package)}
    assert needs - carried - THERE == {"typing-extensions", "pydantic"}  # torch has one, typer imports the other late


OWN = ("benchmarks", "encoder", "stream", "consumers", "tests")
TARGET = {"python_version": "3.12", "python_full_version": "3.12.3", "sys_platform": "linux", "os_name": "posix"}


def normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def carried_packages() -> set[str]:
    """The packages that `make gpu-wheels` fetches."""
    rule = re.search(r"GPU_PACKAGES := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text("utf-8"))
    assert rule is not None
    return set(rule[1].replace("\\", " ").split())


def imports_at_top(path: Path) -> Iterator[str]:
    """Top-level packages that a module imports when it is imported."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def needs_of(package: str) -> Iterator[str]:
    """What a package says it needs, on the machine that it is carried to."""
    for line in importlib.metadata.requires(package) or ():
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate(TARGET | {"extra": ""}):
            yield normal(need.name)
