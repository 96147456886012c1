"""Where a record's time goes: sums of its phases, and how long it was here."""

from consumers.http.ops.timings import StepTimings
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.output.partition_writer import WriteTimes
from tests.consumers.fake_kafka import IN, FakeRecord


def taken(**given: float | None) -> InFlightRecord:
    return InFlightRecord(OffsetTracker(), FakeRecord(IN, 0, 0, b"a", b""), **given)  # type: ignore[arg-type]


def test_phases_add_up_to_what_a_record_was_here() -> None:
    meter = StepTimings()
    wrote = WriteTimes(began=10.5, states_written=10.75, ended=11.0)
    records = [
        taken(taken_at=10.0, broker_delay=0.125, step_started_at=10.125, step_ended_at=10.25),
        taken(taken_at=9.0, broker_delay=None, step_started_at=10.125, step_ended_at=10.25),
        taken(taken_at=10.0),  # no step was needed
    ]
    meter.on_records_done(records, wrote)
    meter.on_records_done([], WriteTimes(20.0, 20.0, 21.0))
    told = {(x.name, *x.labels.values()): x.value for metric in meter.collect() for x in metric.samples}
    sums = {phase: told["hearken_record_seconds_sum", phase] for phase in ("queue", "step", "handover")}
    assert sums == {"queue": 0.125 + 1.125, "step": 0.25, "handover": 0.5}
    assert told["hearken_record_seconds_sum", "state"] == told["hearken_record_seconds_sum", "publish"] == 0.5
    assert told["hearken_record_seconds_count", "step"] == 2
    assert told["hearken_record_seconds_sum", "broker"] == 0.125
    assert told["hearken_record_seconds_count", "broker"] == 1
    assert told["hearken_taken_to_done_seconds_sum",] == sum(sums.values()) + 1.0 == 3.0
    assert told["hearken_taken_to_done_seconds_bucket", "0.5"] == 0
    assert told["hearken_taken_to_done_seconds_bucket", "1.0"] == 1
    assert told["hearken_taken_to_done_seconds_bucket", "2.0"] == told["hearken_taken_to_done_seconds_count",] == 2
