"""`python -m benchmarks device`: live sessions on a GPU against the limits of the device, in one run.

All of it also runs on the CPU under Triton's interpreter, in a tiny form and with meaningless times, so that tests
cover it without a device.
"""

from collections.abc import Sequence

import torch

from benchmarks.device.kernels import compare_kernels
from benchmarks.device.limits import measure_limits
from benchmarks.device.report import DeviceReport, EngineRow
from benchmarks.device.steps import DeviceSetup, measure_steps, saturate
from benchmarks.harness.engine_feed import time_words
from benchmarks.harness.texts import make_texts
from encoder.restart.policies import parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.runtime.gpu.device import on
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.tagger import Tagger

__all__ = ["DeviceReport", "run_device_bench"]

ENGINE_MOST = 1000
"""Most sessions with which the whole engine is measured: with more, its Python takes minutes."""


def run_device_bench(
    tagger: Tagger, counts: Sequence[int], words: int, policy: str, repeats: int, *, tiny: bool = False
) -> DeviceReport:
    """Measure steps at each number of sessions, the device's limits, and each kernel beside torch's best.

    Args:
        tagger: on the device, with a slot for each session.
        counts: numbers of live sessions.
        words: of each session's segment, as far as they fit the tagger's window.
        policy: restart policy.
        repeats: of each measurement.
        tiny: smallest sizes, for tests.

    Raises:
        PolicyError: the policy cannot be parsed.
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
    stage = DeviceSetup(tagger, encoder, make_texts(max(counts), words), parse_policy(policy), limits)
    rows = [measure_steps(stage, count, repeats) for count in counts]
    full = saturate(stage, max(counts), repeats)
    engine = [_measure_engine(stage, count, policy, repeats) for count in counts if count <= ENGINE_MOST]
    return DeviceReport(
        tagger=tagger.name,
        device=torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu, interpreted",
        policy=policy,
        words=words,
        number_format=encoder.page_numbers,
        limits=limits,
        rows=[*rows, full],
        engine=engine,
        kernels=compare_kernels(tagger.config, getattr(torch, encoder.page_numbers), place, limits, tiny),
    )


def _measure_engine(stage: DeviceSetup, count: int, policy: str, repeats: int) -> EngineRow:
    """Measure the engine from updates in to revisions out, in one process."""
    time_words(stage.tagger, policy, stage.texts[:1])  # compiles what is compiled
    seconds = [x.wall for _ in range(repeats) for x in time_words(stage.tagger, policy, stage.texts[:count])]
    return EngineRow.of(count, seconds)
