"""Roofline: how close a step is to the least time of its arithmetic and memory traffic, and its time by phase.

The floor of a step is the longer of two: the bytes that it has to read and write (all weights once, the keys and values
that its words see) at the rate at which this machine reads as many bytes, and its FLOPs at the rate of this machine's
best matrix product in the same number format. Both rates are measured in the same run.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from benchmarks.growth.machine_rates import product_rate, read_rate
from benchmarks.growth.subject import Subject
from benchmarks.harness.engine_feed import Elapsed, EngineFeed
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.texts import make_texts
from encoder.model.number_types import ITEM_BYTES
from stream.messages.types import Message, Update

ITEM = {"float32": 4, "bfloat16": 2, "int8": 1}
"""Bytes of a weight."""
FIRST, SPREAD, ROUNDS = 20, 20, 20
"""Sessions begin spread over words 20 to 40 of their segments and say 20 more."""


class FloorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Steps at one number of sessions: one more word for each, segments open."""

    sessions: int
    step_ms: float
    """Median processor time from messages in to revisions out."""
    phases_ms: dict[str, float]
    """Mean time by phase of the step; `submit` is the time before the step."""
    mflops: float
    """Of a step, as the engine counts them."""
    mib: float
    """Read and written by a step: weights, keys and values, boundary states."""
    arithmetic_ms: float
    memory_ms: float
    floor_ms: float
    share: float
    """Floor over step time."""
    tensor_share: float
    """Floor over the time of the tensor part alone."""
    gflops_rate: float
    """FLOPs a second of the best product, in 10^9."""
    gib_rate: float
    """Bytes a second of reading as many, in GiB."""


@dataclass
class _Steps:
    times: list[Elapsed] = field(default_factory=list)
    flops: int = 0
    bytes: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)


def measure_floors(subject: Subject, counts: Sequence[int], progress: ReportProgress) -> list[FloorRow]:
    """Measure steps, then the machine, at each number of sessions."""
    config, number_format = subject.tagger.config, subject.tagger.encoder.number_format
    rows = []
    for number, count in enumerate(counts):
        progress(f"floors of {count:,} sessions", number / len(counts))
        steps = _run(subject, count)
        flops, size = steps.flops / ROUNDS, steps.bytes / ROUNDS
        rate, speed = product_rate(config.hidden, config.intermediate, number_format), read_rate(int(size))
        rows.append(_row(count, steps, flops, size, rate, speed))
    return rows


def _row(count: int, steps: _Steps, flops: float, size: float, rate: float, speed: float) -> FloorRow:
    arithmetic, memory = 1000 * flops / rate, 1000 * size / speed
    took = 1000 * statistics.median(x.cpu for x in steps.times)
    phases = {phase: 1000 * seconds / ROUNDS for phase, seconds in steps.phases.items()}
    mean = 1000 * statistics.fmean(x.cpu for x in steps.times)
    return FloorRow(
        sessions=count,
        step_ms=took,
        phases_ms={"submit": max(0.0, mean - sum(phases.values())), **phases},
        mflops=flops / 1e6,
        mib=size / 2**20,
        arithmetic_ms=arithmetic,
        memory_ms=memory,
        floor_ms=max(arithmetic, memory),
        share=max(arithmetic, memory) / took,
        tensor_share=max(arithmetic, memory) / phases["encode"],
        gflops_rate=rate / 1e9,
        gib_rate=speed / 2**30,
    )


def _run(subject: Subject, count: int) -> _Steps:
    texts = make_texts(count, FIRST + SPREAD + ROUNDS)
    said = [FIRST + (2 * i + 1) * SPREAD // (2 * count) for i in range(count)]
    feed, steps = EngineFeed(subject.tagger, subject.policy), _Steps()
    feed.feed(_messages(texts, said, 0))
    before, began = feed.stats.flops, dict(feed.phase_seconds)
    for step in range(1, ROUNDS + 1):
        steps.times.append(feed.feed(_messages(texts, said, step)))
        steps.bytes += _bytes(subject, texts, [n + step for n in said])
    steps.flops = feed.stats.flops - before
    steps.phases = {phase: seconds - began.get(phase, 0.0) for phase, seconds in feed.phase_seconds.items()}
    feed.end()
    return steps


def _messages(texts: Sequence[Sequence[str]], said: Sequence[int], more: int) -> list[Message]:
    return [
        Update(session=f"s{i}", segment="1", text=" ".join(text[: n + more]))
        for i, (text, n) in enumerate(zip(texts, said, strict=True))
    ]


def _bytes(subject: Subject, texts: Sequence[Sequence[str]], said: Sequence[int]) -> float:
    """Return the least bytes of a step: weights once, and the keys and values that each text's words see."""
    config, item = subject.tagger.config, ITEM_BYTES[subject.tagger.encoder.page_numbers]
    a_layer = config.hidden * (4 * config.hidden + 2 * config.intermediate) * ITEM[subject.tagger.encoder.number_format]
    weights = config.layers * a_layer + 4 * config.hidden * config.columns
    tokens = [len(subject.tagger.tokenizer.encode(" ".join(text[:n])).ids) for text, n in zip(texts, said, strict=True)]
    a_token = 2 * config.hidden * item
    prefix = config.causal_layers * sum(tokens) * a_token
    tail = config.tail_layers * sum(min(n, config.window) for n in tokens) * a_token
    return weights + prefix + tail
