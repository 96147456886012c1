"""Spans of the records of a trace: receive, step and publish."""

from collections.abc import Sequence

from consumers.common.tracing.spans import SpanRecorder
from consumers.common.tracing.trace_context import TraceContext, read_trace_context
from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.partition_writer import WriteTimes
from consumers.kafka.service.observer import ServiceObserver


class SpanObserver(ServiceObserver):
    """Records the spans of each record with a `traceparent`, when all that it caused is written.

    Args:
        spans: records them.
        group: the consumer group.
        output_topic: of the revisions.
    """

    def __init__(self, spans: SpanRecorder, group: str, output_topic: str) -> None:
        self._spans = spans
        self._group = group
        self._output_topic = output_topic

    def on_records_done(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """Record the spans of the records that belong to a trace."""
        for taken in records:
            if taken.record.headers and (trace := read_trace_context(taken.record.headers)):
                self._record(taken, trace, wrote)

    def _record(self, taken: InFlightRecord, trace: TraceContext, wrote: WriteTimes) -> None:
        record, stepped = taken.record, taken.step_ended_at > 0.0
        place: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
        }
        received = taken.step_started_at if stepped else wrote.began
        name = f"receive {record.topic}"
        receive = self._spans.record(name, "consumer", trace, (taken.taken_at, received), place)
        if stepped:
            self._spans.record("step", "internal", receive, (taken.step_started_at, taken.step_ended_at))
        to = {"messaging.system": "kafka", "messaging.destination.name": self._output_topic}
        self._spans.record(f"publish {self._output_topic}", "producer", receive, (wrote.began, wrote.ended), to)
