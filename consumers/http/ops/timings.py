"""Histograms of steps, latencies and restores for /metrics, recorded by an observer of the service."""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Counter, Histogram, Metric
from prometheus_client.registry import Collector

from consumers.http.ops.record_latency import RecordLatency
from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.partition_writer import WriteTimes
from consumers.kafka.service.observer import ServiceObserver
from stream.engine.worker import StepBatch

STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RESTORE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
STEP_PHASES = ("schedule", "point", "encode", "decode", "isolate", "emit", "slices", "step")
"""Phases of the engine's step, and `step` for the whole. `encode` covers prefix and tail."""


class StepTimings(ServiceObserver, Collector):
    """Records durations as an observer of the service.

    Args:
        now: clock in seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        help_steps = "Seconds that a step's phases took; phase=step is the whole"
        self._steps = Histogram("hearken_step_seconds", help_steps, ["phase"], registry=None, buckets=STEP_BUCKETS)
        self._phases = {phase: self._steps.labels(phase) for phase in STEP_PHASES}
        help_latency = "Seconds from a record's own timestamp until a revision that it caused was acknowledged"
        self._latency = Histogram(
            "hearken_produce_to_revision_seconds", help_latency, registry=None, buckets=LATENCY_BUCKETS
        )
        self._record_latency = RecordLatency()
        help_restore = "Seconds to open a partition: read what was kept and let its sessions go on"
        self._restores = Histogram("hearken_restore_seconds", help_restore, registry=None, buckets=RESTORE_BUCKETS)
        self._restored = Counter("hearken_restored_sessions", "Sessions that went on from their state", registry=None)
        self._rebalances = Counter("hearken_rebalances", "Times that the group divided its partitions", registry=None)

    def on_step(self, batch: StepBatch) -> None:
        """Record the duration of a step and its phases."""
        self._phases["step"].observe(batch.step_seconds)
        for phase, seconds in batch.result.phase_seconds.items():
            self._phases[phase].observe(seconds)

    def on_published(self, causes: Sequence[InFlightRecord | None]) -> None:
        """Record the latency of published revisions."""
        now = self._now()
        for cause in causes:
            if cause is not None and cause.broker_delay is not None:  # else its timestamp is missing or wrong
                self._latency.observe(max(0.0, now - cause.record.timestamp / 1000))

    def on_records_done(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """Record the latency of records by phase."""
        self._record_latency.add_records(records, wrote)

    def on_assigned(self, partitions: Sequence[int]) -> None:
        """Count a rebalance."""
        self._rebalances.inc()

    def on_restored(self, sessions: int, seconds: float) -> None:
        """Record a restore."""
        self._restores.observe(seconds)
        self._restored.inc(sessions)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics without `_created` samples, which `process_start_time_seconds` makes redundant."""
        for family in (self._steps, self._latency, self._restores, self._restored, self._rebalances):
            for metric in family.collect():
                metric.samples = [x for x in metric.samples if not x.name.endswith("_created")]
                yield metric
        yield from self._record_latency.collect()
