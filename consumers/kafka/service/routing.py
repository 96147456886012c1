"""Routes the result of a step to the partitions whose writers write it."""

from collections.abc import Callable

from aiokafka import TopicPartition

from consumers.kafka.in_flight import InFlightRecord, InFlightRecords
from consumers.kafka.output.dead_letter import DeadLetterRecord
from consumers.kafka.output.partition_writer import PartitionOutput
from consumers.kafka.service.event_log import log_failure, log_format_difference
from stream.engine.worker import StepBatch


def route_step(
    batch: StepBatch, in_flight: InFlightRecords, make_letter: Callable[[str, str, InFlightRecord], DeadLetterRecord]
) -> dict[TopicPartition, PartitionOutput]:
    """Group the result of a step by partition. Results of partitions that were lost are left out.

    Args:
        batch: result of a step.
        in_flight: finds the partition of a session and the record of an answer; answered messages are completed there.
        make_letter: makes a dead letter from a reason, a detail and the record that it is about.
    """
    outputs: dict[TopicPartition, PartitionOutput] = {}

    def output_of(session: str) -> PartitionOutput | None:
        at = in_flight.partition_of(session)
        if at is None:
            return None
        output = outputs.get(at)
        if output is None:
            output = outputs[at] = PartitionOutput()
        return output

    for revision in batch.result.revisions:
        if output := output_of(revision.session):
            output.revisions.append((revision, in_flight.find_pending(revision.session, revision.offset)))
    for message in batch.result.redacted:
        if output := output_of(message.session):
            cause = in_flight.find_pending(message.session, message.message.offset)
            output.redacted.append((message, cause))
    for failure in batch.result.failures:
        taken = in_flight.find_pending(failure.session, failure.offset)
        log_failure(failure, taken.record if taken else None)
        if taken and (output := output_of(failure.session)):
            output.letters.append(make_letter("labelling_failed", repr(failure.error), taken))
    for difference in batch.result.format_differences:
        log_format_difference(difference)
    for answer in batch.result.answered:
        taken = in_flight.complete(answer.session, answer.offset)
        if taken and (output := output_of(answer.session)):
            taken.step_started_at, taken.step_ended_at = batch.ended_at - batch.step_seconds, batch.ended_at
            output.done.append(taken)
    last = {}
    for entry in batch.result.entries:
        if output := output_of(entry.session):
            output.entries.append(entry)
            last[entry.session] = entry
    for entry in last.values():
        if entry.segment is None and entry.value is None:
            in_flight.forget_session(entry.session)
    return outputs
