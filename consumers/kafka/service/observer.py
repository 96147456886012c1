"""Observers of the service: metrics, the live page and the gateway for HTTP clients."""

from collections.abc import Sequence

from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.partition_writer import WriteTimes
from stream.engine.worker import StepBatch
from stream.messages.types import Message


class ServiceObserver:
    """Base class with empty methods; an observer overrides those that it needs.

    All methods are called in the event loop between two messages, so they must be quick and must not fail.
    """

    def on_message(self, message: Message) -> None:
        """A message was submitted: from Kafka, or of an HTTP stream, whose sessions have internal names."""

    def on_step(self, batch: StepBatch) -> None:
        """The engine has finished a step, for any source; its results are not written to Kafka yet."""

    def on_published(self, causes: Sequence[InFlightRecord | None]) -> None:
        """Revisions are written; `causes` has the record that caused each, or None."""

    def on_records_done(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """Everything that these records caused is written."""

    def on_assigned(self, partitions: Sequence[int]) -> None:
        """A rebalance has ended; these are all partitions of this member."""

    def on_restored(self, sessions: int, seconds: float) -> None:
        """A partition was opened with this many live sessions, in this many seconds."""

    def on_session_dropped(self, session: str) -> None:
        """The session's partition was revoked; another member will restore it, or this one after reassignment."""


class ServiceObservers(ServiceObserver):
    """Calls several observers in order."""

    def __init__(self, observers: Sequence[ServiceObserver]) -> None:
        self._observers = tuple(observers)

    def on_message(self, message: Message) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_message(message)

    def on_step(self, batch: StepBatch) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_step(batch)

    def on_published(self, causes: Sequence[InFlightRecord | None]) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_published(causes)

    def on_records_done(self, records: Sequence[InFlightRecord], wrote: WriteTimes) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_records_done(records, wrote)

    def on_assigned(self, partitions: Sequence[int]) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_assigned(partitions)

    def on_restored(self, sessions: int, seconds: float) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_restored(sessions, seconds)

    def on_session_dropped(self, session: str) -> None:
        """Call all observers."""
        for observer in self._observers:
            observer.on_session_dropped(session)
