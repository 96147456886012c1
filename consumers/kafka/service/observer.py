"""A place to look on while messages go through: for metrics, for the live page, for callers over HTTP."""

from collections.abc import Sequence

from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.partition_writer import WriteTimes
from stream.engine.worker import StepBatch
from stream.messages.types import Message


class ServiceObserver:
    """Told what happens; who looks on overrides what matters to it.

    All of it is called in the event loop between two messages, so it must be quick and must not fail.
    """

    def heard(self, message: Message) -> None:
        """A message was taken to be labelled: from Kafka, or of a stream over HTTP, whose sessions have inner names."""

    def stepped(self, batch: StepBatch) -> None:
        """The engine has done a step, for whomever; what it says to Kafka is not written yet."""

    def delivered(self, causes: Sequence[InFlightRecord | None]) -> None:
        """Revisions are written, each for the record that caused it, if one did."""

    def done(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """All that records caused is written."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """The group has divided its partitions; these are ours now."""

    def restored(self, sessions: int, seconds: float) -> None:
        """A partition is open again: so many sessions go on, after so many seconds."""

    def dropped(self, session: str) -> None:
        """A session went with its partition: somebody else has it now, or we shall have it again."""


class ServiceObservers(ServiceObserver):
    """Several as one."""

    def __init__(self, taps: Sequence[ServiceObserver]) -> None:
        self._taps = tuple(taps)

    def heard(self, message: Message) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.heard(message)

    def stepped(self, batch: StepBatch) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.stepped(batch)

    def delivered(self, causes: Sequence[InFlightRecord | None]) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.delivered(causes)

    def done(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.done(records, wrote)

    def assigned(self, partitions: Sequence[int]) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.assigned(partitions)

    def restored(self, sessions: int, seconds: float) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.restored(sessions, seconds)

    def dropped(self, session: str) -> None:
        """Tell all."""
        for tap in self._taps:
            tap.dropped(session)
