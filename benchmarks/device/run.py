"""`python -m benchmarks --device`: what a device does with live sessions, against what it could do, in one run.

Everything here also runs on the CPU under Triton's interpreter, in a tiny form and with times that mean nothing: so the
tests know that it will not fail on the first device that it meets.
"""

from collections.abc import Sequence

import torch

from benchmarks.dense import make_texts, run_engine
from benchmarks.device.kernels import compare_kernels
from benchmarks.device.limits import measure_limits
from benchmarks.device.report import DeviceReport, EngineRow
from benchmarks.device.steps import Stage, measure_steps, saturate
from encoder.restart.policies import parse_policy, resolve_policy
from encoder.runtime.gpu.device import on
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.tagger import Tagger

__all__ = ["DeviceReport", "run_device_bench"]

ENGINE_MOST = 1000
"""Sessions up to which the whole engine is measured: beyond, its Python takes minutes and says nothing new."""


def run_device_bench(
    tagger: Tagger, counts: Sequence[int], words: int, policy: str, repeats: int, *, tiny: bool = False
) -> DeviceReport:
    """Measure steps at each number of sessions, the device's limits, and each kernel beside torch's best.

    Args:
        tagger: on the device, with a slot for each session.
        counts: numbers of live sessions.
        words: of each session's segment; what does not fit the tagger's window is left out.
        policy: where restarts begin.
        repeats: of each measurement.
        tiny: as small as it gets, for the tests.

    Raises:
        PolicyError: the policy cannot be read.
    """
    encoder = tagger.encoder
    assert isinstance(encoder, DeviceEncoder)
    with on(encoder.device):
        return _run(tagger, encoder, counts, words, resolve_policy(policy, tagger.default_policy), repeats, tiny)


def _run(
    tagger: Tagger, encoder: DeviceEncoder, counts: Sequence[int], words: int, policy: str, repeats: int, tiny: bool
) -> DeviceReport:
    place = encoder.device
    limits = measure_limits(place, tiny)
    stage = Stage(tagger, encoder, make_texts(max(counts), words), parse_policy(policy), limits)
    rows = [measure_steps(stage, count, repeats) for count in counts]
    full = saturate(stage, max(counts), repeats)
    engine = [_measure_engine(stage, count, policy, repeats) for count in counts if count <= ENGINE_MOST]
    return DeviceReport(
        tagger=tagger.name,
        device=torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu, interpreted",
        policy=policy,
        words=words,
        number_format=str(encoder.dtype).removeprefix("torch."),
        limits=limits,
        rows=[*rows, full],
        engine=engine,
        kernels=compare_kernels(tagger.config, encoder.dtype, place, limits, tiny),
    )


def _measure_engine(stage: Stage, count: int, policy: str, repeats: int) -> EngineRow:
    """From updates in to revisions out, in one process."""
    run_engine(stage.tagger, stage.texts[:1], policy)
    seconds = [x for _ in range(repeats) for x in run_engine(stage.tagger, stage.texts[:count], policy)]
    return EngineRow.of(count, seconds)
