"""Replays without gold labels, unit by unit: what calibrations of promises and of settled text share."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol, TypedDict, TypeVar

from encoder.tagger import Tagger
from stream.evaluation.calibration.calibrate import Unit, number_units, short_name
from stream.evaluation.replay.examples import LabelledFile, batch_examples
from stream.evaluation.replay.stream_replay import Advance
from stream.evaluation.replay.update_stream import UpdateStream, message_stream, word_stream
from stream.messages.types import Message

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class UnitTask(LabelledFile, frozen=True, kw_only=True):
    """Calibration of a tagger on a file, or on `messages`, which `data` then only names."""

    tagger: str
    messages: Sequence[Message] | None = None
    """Recorded live streams in normal form, in order; their sessions are the units."""
    unit: Unit | None = None
    """As in `CalibrationTask`."""

    def provenance(self, tagger: Tagger) -> "Provenance":
        """Describe the text and the number format of a calibration, for its record."""
        options = {"limit": self.limit, "spoken": self.spoken, "join": self.join}
        return {
            "data": short_name(self.data),
            "data_digest": blake2b(self.data.read_bytes(), digest_size=16).hexdigest() if self.data.is_file() else "",
            "options": " ".join(f"{name}={value}" for name, value in options.items() if value),
            "number_format": tagger.encoder.number_format,
        }


class Provenance(TypedDict):
    """Fields that the record of every such calibration has."""

    data: str
    data_digest: str
    options: str
    number_format: str


class UnitReplay(Protocol[T_co]):
    """A replay that notes what came of each session."""

    @property
    def outcomes(self) -> Mapping[str, T_co]:
        """By session."""

    def run(self, progress: Advance = ...) -> Any:
        """Replay the stream."""


def collect_units(
    task: UnitTask, names: tuple[str, ...], replay: Callable[[UpdateStream], UnitReplay[T]], advance: Advance
) -> tuple[list[list[T]], str]:
    """Replay the text of a task.

    Args:
        task: what is replayed.
        names: label names of the tagger.
        replay: makes the replay of a stream.
        advance: called with the number of operations that were done.

    Returns:
        The outcomes of the sessions of each unit, and the kind of unit.
    """
    if task.messages is not None:
        running = replay(message_stream(task.messages))
        running.run(advance)
        return [[found] for found in running.outcomes.values()], "session"
    examples = task.read_examples(names, with_gold=False)
    numbers, kind = number_units(examples, task.data, task.unit)
    units: list[list[T]] = [[] for _ in range(int(numbers.max()) + 1)]
    for batch in batch_examples(examples):
        running = replay(word_stream([examples[i] for i in batch], names, closing=True))
        running.run(advance)
        for session, found in running.outcomes.items():  # named after its first example
            units[numbers[batch[int(session)]]].append(found)
    return units, kind
