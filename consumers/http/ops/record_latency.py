"""Latency of records by phase. It is updated for every record, so it uses plain additions only."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily, SummaryMetricFamily

from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.partition_writer import WriteTimes

PHASES = ("broker", "queue", "step", "handover", "state", "publish")
BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class RecordLatency:
    """Seconds by phase of the records that steps answered, and a histogram of their total time."""

    def __init__(self) -> None:
        self._sums = [0.0] * len(PHASES)
        self._count = 0
        self._with_broker_delay = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._total_seconds = 0.0

    def add_records(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """Add records that are done; those that needed no step are not counted."""
        broker = queue = step = handover = here = 0.0
        count = 0
        for x in records:
            if not x.step_ended_at:
                continue
            count += 1
            if x.broker_delay is not None:
                self._with_broker_delay += 1
                broker += x.broker_delay
            queue += x.step_started_at - x.taken_at
            step += x.step_ended_at - x.step_started_at
            handover += wrote.began - x.step_ended_at
            stay = wrote.ended - x.taken_at
            here += stay
            self._buckets[bisect_left(BUCKETS, stay)] += 1
        writing = count * (wrote.states_written - wrote.began), count * (wrote.ended - wrote.states_written)
        self._sums = [a + b for a, b in zip(self._sums, (broker, queue, step, handover, *writing), strict=True)]
        self._count += count
        self._total_seconds += here

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        description = "Seconds of a record in each phase of its way through; docs/watching.md names them"
        phases = SummaryMetricFamily("hearken_record_seconds", description, labels=["phase"])
        for phase, total in zip(PHASES, self._sums, strict=True):
            phases.add_metric([phase], self._with_broker_delay if phase == "broker" else self._count, total)
        yield phases
        description = "Seconds from taking a record to the acknowledgement of all that it caused"
        counts, below = [], 0
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], self._buckets, strict=True):
            below += count
            counts.append((bound, below))
        yield HistogramMetricFamily(
            "hearken_taken_to_done_seconds", description, buckets=counts, sum_value=self._total_seconds
        )
