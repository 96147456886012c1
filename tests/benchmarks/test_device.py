"""The bench of a device, in a tiny form under Triton's interpreter: so that it runs on the first device it meets."""

from pathlib import Path

import msgspec
import pytest
import torch

pytest.importorskip("triton", reason="Triton is not there: pip install -e '.[dev]' brings it on Linux")

# isort: split
from benchmarks.__main__ import main
from benchmarks.device.report import DeviceReport, EngineRow, KernelRow, Limits, StepRow
from benchmarks.device.run import run_device_bench
from benchmarks.device.trace import read_trace, trace
from tests.encoder.gpu.where import DEVICE, device_tagger
from tests.tiny import tiny_checkpoint


@pytest.mark.skipif(DEVICE.type != "cpu", reason="on a device the bench itself is run")
def test_a_bench_runs_from_end_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tiny = tiny_checkpoint(layers=2, causal_layers=1, heads=2, stability=4, positions=96, window=48)
    report = run_device_bench(device_tagger(tiny, 2), [2], 2, "always", 1, out=tmp_path, tiny=True)
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
    assert msgspec.json.decode((tmp_path / "device.json").read_bytes(), type=DeviceReport) == report
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
    assert main(["device"]) == 2
    error = capsys.readouterr().err
    assert "none is there" in error
    assert len(error.splitlines()) == 1
