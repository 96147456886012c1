"""Steps of live sessions on the device: time by the clocks of device and host, and share of the limits.

What is timed is what the labeller asks for: it runs once and its passes are recorded, with the restart points that the
policy chose; then the same passes are run again on the clock.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
import numpy as np
import torch

from benchmarks.device.report import Limits, StepRow
from benchmarks.device.trace import Trace, trace
from encoder.heads.viterbi import NO_LABEL
from encoder.model.number_types import ITEM_BYTES
from encoder.restart.policies import RestartPolicy
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.runtime.interface import Scores
from encoder.runtime.passes import Pass, WordsToRead
from encoder.tagger import Tagger
from stream.labelling.hybrid import HybridLabeller

_TRACED = 8
"""Steps under the profiler: the last ones of a separate run."""

Step = Sequence[Pass]


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
    """Tokens of all slots, whose keys and values are read."""


@dataclass(slots=True)
class DeviceSetup:
    """State that all measurements share."""

    tagger: Tagger
    encoder: DeviceEncoder
    """The tagger's own."""
    texts: list[list[str]]
    policy: RestartPolicy
    limits: Limits


def measure_steps(stage: DeviceSetup, count: int, repeats: int) -> StepRow:
    """Time a word for every session, step after step, to the ends of their segments."""
    steps = record_steps(stage, count)
    found = [took for _ in range(repeats) for took in _replay(stage, steps)]
    traced = _trace_last(stage, steps)
    return _row(stage, count, count, found, traced, min(_TRACED, len(steps)), saturated=False)


def saturate(stage: DeviceSetup, count: int, repeats: int) -> StepRow:
    """Time every session's segment computed whole: arithmetic, not launches, is the limit here."""
    whole = [_whole(stage, slot, text) for slot, text in enumerate(stage.texts[:count])]
    words = sum(len(one.words.last) for one in whole if one.words is not None)
    found = [took for _ in range(repeats + 1) for took in _replay(stage, [whole])][1:]
    return _row(stage, count, words, found, _trace_last(stage, [whole]), 1, saturated=True)


def record_steps(stage: DeviceSetup, count: int) -> list[Step]:
    """Label a word more of each session a step, as the engine does; gives the passes of each step of the encoder."""
    labeller, recorded, encoder = HybridLabeller(stage.tagger), list[Step](), stage.encoder
    sessions = [labeller.open_session(stage.policy) for _ in range(count)]
    step = encoder.step

    def recording(passes: Sequence[Pass]) -> Scores:
        recorded.append(passes)
        return step(passes)

    encoder.step = recording  # type: ignore[method-assign]
    try:
        for words in range(1, len(stage.texts[0]) + 1):
            said = [" ".join(text[:words]) for text in stage.texts[:count]]
            plans = [one.plan_segment("1", text, False) for one, text in zip(sessions, said, strict=True)]
            labeller.compute(plans)
            labeller.decode(plans)
    finally:
        del encoder.step
    for one in sessions:
        one.free()
    return recorded


def _replay(stage: DeviceSetup, steps: Sequence[Step]) -> list[StepTime]:
    """Run steps again in slots of their own, each on the clock."""
    own = _in_open_slots(stage, steps)
    try:
        return [_time(stage, step) for step in own]
    finally:
        _free(stage, own)


def _trace_last(stage: DeviceSetup, steps: Sequence[Step]) -> Trace:
    """Run steps again, the last ones under the profiler."""
    own = _in_open_slots(stage, steps)
    for step in own[:-_TRACED]:
        stage.encoder.step(step)

    def work() -> None:
        for step in own[-_TRACED:]:
            stage.encoder.step(step)

    try:
        return trace(work, stage.encoder.device)
    finally:
        _free(stage, own)


def _in_open_slots(stage: DeviceSetup, steps: Sequence[Step]) -> list[Step]:
    slots = {slot: stage.encoder.open_slot() for slot in sorted({one.slot for step in steps for one in step})}
    return [[msgspec.structs.replace(one, slot=slots[one.slot]) for one in step] for step in steps]


def _free(stage: DeviceSetup, steps: Sequence[Step]) -> None:
    for slot in {one.slot for step in steps for one in step}:
        stage.encoder.free_slot(slot)


def _time(stage: DeviceSetup, step: Step) -> StepTime:
    """Run a step; device time is from the copy of its requests to its last kernel."""
    clock = _Clock(stage.encoder.device)
    stage.encoder.launching = lambda: clock
    began = time.perf_counter()
    scores = stage.encoder.step(step)
    seconds = time.perf_counter() - began
    stage.encoder.launching = nullcontext
    appended, held = sum(len(x.tokens) for x in step), sum(x.keep + len(x.tokens) for x in step)
    return StepTime(seconds, clock.seconds(), appended, len(scores.logits), held)


class _Clock:
    """Timer by the device's clock, or by the host's without a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device.type == "cuda" else []
        self._times: list[float] = []

    def __enter__(self) -> Self:
        self._stamp(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stamp(1)

    def _stamp(self, which: int) -> None:
        self._times.append(time.perf_counter())
        if self._events:
            self._events[which].record()

    def seconds(self) -> float:
        """Return the seconds between entry and exit."""
        if self._events:
            self._events[1].synchronize()
            return float(self._events[0].elapsed_time(self._events[1])) / 1000
        return self._times[1] - self._times[0]


def _whole(stage: DeviceSetup, slot: int, text: Sequence[str]) -> Pass:
    """Return a pass over a slot's whole text, as far as it fits the window."""
    encoded = stage.tagger.tokenizer.encode(" ".join(text))
    last = np.array(
        [b - 1 for _, b in pairwise(encoded.word_token.tolist()) if b <= stage.tagger.config.window], np.int32
    )
    before = np.full(len(stage.tagger.heads), NO_LABEL, np.int32)
    return Pass(slot, 0, encoded.ids[: int(last[-1]) + 1], 0, 0, WordsToRead(last, before))


def _row(
    stage: DeviceSetup, count: int, words: int, found: Sequence[StepTime], traced: Trace, steps: int, *, saturated: bool
) -> StepRow:
    """Summarise; rates are those of the median step."""
    seconds = [x.seconds for x in found]
    device = float(np.median([x.device_seconds for x in found]))
    appended, computed, held = (float(np.mean([x[i] for x in found])) for i in (2, 3, 4))
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
        waits=max(0, traced.waits - steps) / steps,
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
