"""What a step did, sorted by the partitions whose lanes write it."""

from collections.abc import Callable

from aiokafka import TopicPartition

from consumers.kafka.in_flight import InFlightRecord, InFlightRecords
from consumers.kafka.output.dead_letter import DeadLetterRecord
from consumers.kafka.output.partition_writer import PartitionOutput
from consumers.kafka.service.event_log import tell_failure
from stream.engine.worker import StepBatch


def sort_out(
    batch: StepBatch, ledger: InFlightRecords, make_letter: Callable[[str, str, InFlightRecord], DeadLetterRecord]
) -> dict[TopicPartition, PartitionOutput]:
    """Give each partition what is its; what is no longer ours is left out.

    Args:
        batch: of a step.
        ledger: knows where sessions live and which record an answer is for; what is answered is released there.
        make_letter: makes a dead letter of a reason, a detail and the record that it is about.
    """
    outputs: dict[TopicPartition, PartitionOutput] = {}

    def output_of(session: str) -> PartitionOutput | None:
        home = ledger.home(session)
        if home is None:
            return None
        output = outputs.get(home)
        if output is None:
            output = outputs[home] = PartitionOutput()
        return output

    for revision in batch.result.revisions:
        if output := output_of(revision.session):
            output.revisions.append((revision, ledger.waiting(revision.session, revision.offset)))
    for failure in batch.result.failures:
        taken = ledger.waiting(failure.session, failure.offset)
        tell_failure(failure, taken.record if taken else None)
        if taken and (output := output_of(failure.session)):
            output.letters.append(make_letter("labelling_failed", repr(failure.error), taken))
    for answer in batch.result.answered:
        taken = ledger.release(answer.session, answer.offset)
        if taken and (output := output_of(answer.session)):
            taken.begun, taken.answered = batch.ended - batch.busy, batch.ended
            output.done.append(taken)
    last = {}
    for entry in batch.result.entries:
        if output := output_of(entry.session):
            output.entries.append(entry)
            last[entry.session] = entry
    for entry in last.values():
        if entry.segment is None and entry.value is None:
            ledger.forget(entry.session)
    return outputs
