"""Live sessions on a GPU against the limits of the device, part after part; each is shown as soon as it is known.

All of it also runs on the CPU under Triton's interpreter, in a tiny form and with meaningless times, so that tests
cover it without a device.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.device.kernels import compare_kernels
from benchmarks.device.limits import measure_limits
from benchmarks.device.report import (
    DeviceReport,
    EngineRow,
    aim_table,
    describe,
    engine_table,
    kernel_table,
    step_table,
)
from benchmarks.device.steps import DeviceSetup, measure_steps, saturate
from benchmarks.harness.engine_feed import time_words
from benchmarks.harness.tables import Table, print_tables, save_json
from benchmarks.harness.texts import make_texts
from consumers.common.console import console
from encoder.restart.policies import parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.runtime.gpu.device import on
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.tagger import Tagger

ENGINE_MOST = 1000
"""Most sessions with which the whole engine, and segments computed whole, are measured: with more, it takes minutes."""
Part = tuple[str, Callable[[], Table]]
"""What is measured, and the measurement, which adds to the report and gives the table to show."""


def run_device_bench(
    tagger: Tagger,
    counts: Sequence[int],
    words: int,
    policy: str,
    repeats: int,
    *,
    out: Path | None = None,
    ends_at: float = float("inf"),
    tiny: bool = False,
) -> DeviceReport:
    """Measure steps at each number of sessions, the engine, and each kernel beside torch's best; the aims before these.

    Args:
        tagger: on the device, with a slot for each session.
        counts: numbers of live sessions.
        words: of each session's segment, as far as they fit the tagger's window.
        policy: restart policy.
        repeats: of each measurement.
        out: folder for the results, written again after each part.
        ends_at: time of `time.monotonic` after which no part begins.
        tiny: smallest sizes, for tests.

    Raises:
        PolicyError: the policy cannot be parsed.
    """
    encoder = tagger.encoder
    assert isinstance(encoder, DeviceEncoder)
    policy, place = resolve_policy(policy, tagger.default_policy), encoder.device
    with on(place):
        limits = measure_limits(place, tiny)
        report = DeviceReport(
            tagger=tagger.name,
            device=torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu, interpreted",
            policy=policy,
            words=words,
            number_format=encoder.page_numbers,
            limits=limits,
        )
        console().print(describe(report))
        stage = DeviceSetup(tagger, encoder, make_texts(max(counts), words), parse_policy(policy), limits)
        for name, measure in _parts(stage, report, counts, repeats, tiny):
            if time.monotonic() > ends_at:
                report.skipped.append(name)
                console().print(f"{name}: not measured, the time is up")
            else:
                _show(name, measure, report)
            if out is not None:
                save_json(out, "device", report)
    return report


def _show(name: str, measure: Callable[[], Table], report: DeviceReport) -> None:
    """Measure a part and show its table; a part that fails is told, and the others go on."""
    try:
        print_tables([measure()])
    except Exception as error:
        report.failed[name] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
        console().print(f"{name}: failed: {report.failed[name]}")


def _parts(stage: DeviceSetup, report: DeviceReport, counts: Sequence[int], repeats: int, tiny: bool) -> Iterator[Part]:
    """Yield the parts in order: what the aims need, the aims, and then the rest."""
    few = [count for count in counts if count <= ENGINE_MOST]
    for count in few:
        yield f"steps of {count:,} sessions", partial(_steps, stage, report, count, repeats)
    if few:
        yield "segments computed whole", partial(_saturated, stage, report, max(few), repeats)
    for count in few:
        yield f"engine with {count:,} sessions", partial(_engine, stage, report, count, repeats)
    yield "aims", partial(aim_table, report)
    for count in counts:
        if count > ENGINE_MOST:
            yield f"steps of {count:,} sessions", partial(_steps, stage, report, count, repeats)
    yield "kernels", partial(_kernels, stage, report, tiny)
    yield "aims, with all that was measured", partial(aim_table, report)


def _steps(stage: DeviceSetup, report: DeviceReport, count: int, repeats: int) -> Table:
    report.rows.append(measure_steps(stage, count, repeats))
    return step_table(report.rows[-1:])


def _saturated(stage: DeviceSetup, report: DeviceReport, count: int, repeats: int) -> Table:
    report.rows.append(saturate(stage, count, repeats))
    return step_table(report.rows[-1:])


def _engine(stage: DeviceSetup, report: DeviceReport, count: int, repeats: int) -> Table:
    """Measure the engine from updates in to revisions out, in one process."""
    time_words(stage.tagger, report.policy, stage.texts[:1])  # compiles what is compiled
    seconds = [x.wall for _ in range(repeats) for x in time_words(stage.tagger, report.policy, stage.texts[:count])]
    report.engine.append(EngineRow.of(count, seconds))
    return engine_table(report.engine[-1:])


def _kernels(stage: DeviceSetup, report: DeviceReport, tiny: bool) -> Table:
    dtype = getattr(torch, stage.encoder.page_numbers)
    report.kernels += compare_kernels(stage.tagger.config, dtype, stage.encoder.device, stage.limits, tiny)
    return kernel_table(report.kernels)
