"""Steps of live sessions on the device: time by the clocks of device and host, and share of the limits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.device.report import Limits, StepRow
from benchmarks.device.resident.interface import SlotRequest
from benchmarks.device.resident.step import DeviceResidentStep
from benchmarks.device.trace import Trace, trace
from encoder.model.number_types import ITEM_BYTES
from encoder.restart.policies import RestartPolicy
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.tagger import Tagger

_TRACED = 8
"""Steps under the profiler: the last ones of a separate run."""

Step = list[SlotRequest]


class StepTime(NamedTuple):
    """Time and tokens of one step."""

    seconds: float
    """By the host's clock."""
    device_seconds: float
    appended: int
    """Tokens through the prefix."""
    computed: int
    """Tokens through the tail."""
    held: int
    """Tokens of all segments, whose keys and values are read."""


@dataclass(slots=True)
class DeviceSetup:
    """State that all measurements share."""

    tagger: Tagger
    encoder: DeviceEncoder
    """The tagger's own."""
    texts: list[list[str]]
    policy: RestartPolicy
    limits: Limits
    resident: DeviceResidentStep = field(init=False)

    def __post_init__(self) -> None:
        self.resident = DeviceResidentStep(self.encoder, self.tagger.heads)

    def open(self, count: int) -> list[int]:
        """Begin a segment in `count` slots."""
        slots = [self.encoder.open_slot() for _ in range(count)]
        for slot in slots:
            self.resident.begin(slot, self.policy)
        return slots

    def close(self, slots: Sequence[int]) -> None:
        """Free slots."""
        for slot in slots:
            self.encoder.free_slot(slot)


def measure_steps(stage: DeviceSetup, count: int, repeats: int) -> StepRow:
    """Time a word for every session, step after step, to the ends of their segments."""
    found: list[StepTime] = []
    for repeat in range(repeats + 1):
        slots = stage.open(count)
        steps = _word_by_word(stage, slots)
        took = [_time(stage, step) for step in steps]
        found += took if repeat else []  # before, graphs were captured
        stage.close(slots)
    slots = stage.open(count)
    steps = _word_by_word(stage, slots)
    for step in steps[:-_TRACED]:
        stage.resident.step(step)
    last = steps[-_TRACED:]
    traced = trace(lambda: _run(stage, last), stage.encoder.device)
    stage.close(slots)
    return _row(stage, count, count, found, traced, last, saturated=False)


def saturate(stage: DeviceSetup, count: int, repeats: int) -> StepRow:
    """Time every session's segment computed whole: arithmetic, not launches, is the limit here."""
    slots = stage.open(count)
    whole = _whole(stage, slots)
    found = [_time(stage, whole) for _ in range(repeats + 1)][1:]
    traced = trace(lambda: _run(stage, [whole]), stage.encoder.device)
    stage.close(slots)
    return _row(stage, count, sum(x.words for x in whole), found, traced, [whole], saturated=True)


def _run(stage: DeviceSetup, steps: Sequence[Step]) -> None:
    for step in steps:
        stage.resident.step(step)


def _time(stage: DeviceSetup, step: Step) -> StepTime:
    """Run a step by its parts; device time is between a part's first and last launch."""
    seconds = device_seconds = 0.0
    computed = 0
    for part in stage.resident.parts(step):
        began = time.perf_counter()
        prepared = stage.resident.prepare(part)
        clock = _Clock(stage.encoder.device)
        launched = stage.resident.launch(prepared)
        clock.stop()
        computed += stage.resident.finish(launched).computed
        seconds += time.perf_counter() - began
        device_seconds += clock.seconds()
    return StepTime(seconds, device_seconds, sum(len(x.tokens) for x in step), computed, sum(x.count for x in step))


class _Clock:
    """Timer by the device's clock, or by the host's without a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device.type == "cuda" else []
        self._times = [time.perf_counter()]
        if self._events:
            self._events[0].record()

    def stop(self) -> None:
        """Stop the timer when the device reaches this point."""
        self._times.append(time.perf_counter())
        if self._events:
            self._events[1].record()

    def seconds(self) -> float:
        """Return the seconds between start and stop."""
        if self._events:
            self._events[1].synchronize()
            return float(self._events[0].elapsed_time(self._events[1])) / 1000
        return self._times[1] - self._times[0]


def _word_by_word(stage: DeviceSetup, slots: Sequence[int]) -> list[Step]:
    """Return steps of one request for each slot: its text word by word."""
    columns = []
    for slot, text in zip(slots, stage.texts, strict=False):
        encoded = stage.tagger.tokenizer.encode(" ".join(text))
        bounds = encoded.word_token.tolist()
        columns.append(
            [
                SlotRequest(slot, a, encoded.ids[a:b], word, np.array([b - 1], np.int32))
                for word, (a, b) in enumerate(pairwise(bounds))
                if b <= stage.tagger.config.window
            ]
        )
    return [list(step) for step in zip(*columns, strict=False)]


def _whole(stage: DeviceSetup, slots: Sequence[int]) -> Step:
    """Return a request for each slot's whole text, as far as it fits the window."""
    found = []
    for slot, text in zip(slots, stage.texts, strict=False):
        encoded = stage.tagger.tokenizer.encode(" ".join(text))
        ends = encoded.word_token[1:][encoded.word_token[1:] <= stage.tagger.config.window] - 1
        found.append(SlotRequest(slot, 0, encoded.ids[: int(ends[-1]) + 1], 0, ends, whole=True))
    return found


def _row(
    stage: DeviceSetup,
    count: int,
    words: int,
    found: Sequence[StepTime],
    traced: Trace,
    last: Sequence[Step],
    *,
    saturated: bool,
) -> StepRow:
    """Summarise; rates are those of the median step."""
    seconds = [x.seconds for x in found]
    device = float(np.median([x.device_seconds for x in found]))
    appended, computed, held = (float(np.mean([x[i] for x in found])) for i in (2, 3, 4))
    steps, read_backs = len(last), sum(len(stage.resident.parts(step)) for step in last)
    p50, p99 = np.percentile(seconds, (50, 99)) * 1000
    return StepRow(
        sessions=count,
        saturated=saturated,
        tail_tokens=computed,
        device_words=words / device,
        words=words / float(np.median(seconds)),
        p50_ms=float(p50),
        p99_ms=float(p99),
        launches=traced.launches / steps,
        kernels=traced.kernels / steps,
        waits=max(0, traced.waits - read_backs) / steps,
        reruns=stage.resident.reruns,
        gemm_share=_linear_flops(stage, appended, computed) / device / (stage.limits.teraflops * 1e12),
        bandwidth_share=_least_bytes(stage, appended, computed, held) / device / (stage.limits.gigabytes * 1e9),
    )


def _linear_flops(stage: DeviceSetup, appended: float, computed: float) -> float:
    config = stage.tagger.config
    layer = 2 * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    tokens = config.causal_layers * appended + config.tail_layers * computed
    return layer * tokens + 2 * config.hidden * config.columns * computed


def _least_bytes(stage: DeviceSetup, appended: float, computed: float, held: float) -> float:
    """Return the bytes of weights read once, keys and values of all tokens read, and those of computed ones written."""
    config, size = stage.tagger.config, ITEM_BYTES[stage.encoder.page_numbers]
    weights = config.layers * config.hidden * (4 * config.hidden + 2 * config.intermediate) * size
    tokens = config.layers * held + config.causal_layers * appended + config.tail_layers * computed
    return weights + 4 * config.hidden * config.columns + 2 * config.hidden * size * tokens
