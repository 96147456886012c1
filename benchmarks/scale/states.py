"""Stored states of many live sessions: those of a few real ones, as the service writes them, under many names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from benchmarks.kafka.speakers import session_partition
from consumers.kafka.output.changelog import KeyValue
from consumers.kafka.output.encoded_output import EncodedOutput, EncodedRevision, encode_with_outbox
from consumers.runtime.capacity import speaker_messages
from stream.engine.engine import Engine
from stream.messages.types import Update
from tests.faults.workload.sentences import make_sentence

MODELS = 8
"""Sessions that are labelled; all others are copies of them under other names."""
NAME = "scale-{:08d}"
"""All names have as many bytes, so that one replaces another inside a record."""


@dataclass(frozen=True, slots=True)
class ModelSession:
    """A session that was labelled."""

    name: str
    records: Sequence[KeyValue]
    """The last record of each of its keys, in order: its part of a changelog that is compacted."""
    last: Update
    """Its last message: the segment that is still open."""
    messages: int


def make_models(engine: Engine, minutes: float, count: int = MODELS) -> list[ModelSession]:
    """Label speakers that have spoken for some minutes, as the service does at least once.

    Args:
        engine: new.
        minutes: of each, from its beginning. About four segments close in a minute.
        count: of speakers.
    """
    return [_make_model(engine, NAME.format(number), number, 60.0 * minutes) for number in range(count)]


def _make_model(engine: Engine, name: str, seed: int, seconds: float) -> ModelSession:
    random = Random(seed)
    kept: dict[bytes, bytes | None] = {}
    said = [update for _, update in speaker_messages(name, random, seconds, make_words(random))]
    while said and said[-1].final:
        said.pop()  # the last segment is open
    for offset, update in enumerate(said):
        engine.submit(update, offset)
        while engine.pending:
            result = engine.step()
            revisions = [EncodedRevision(x.session, msgspec.json.encode(x)) for x in result.revisions]
            for key, value in encode_with_outbox([EncodedOutput(result.entries, [], revisions)]):
                kept.pop(key, None)
                kept[key] = value
    return ModelSession(name, list(kept.items()), said[-1], len(said))


def copy_records(models: Sequence[ModelSession], number: int) -> Iterator[KeyValue]:
    """Yield the records of session `number`: those of a model under its name."""
    model = models[number % len(models)]
    old, new = model.name.encode(), NAME.format(number).encode()
    for key, value in model.records:
        yield key.replace(old, new), None if value is None else value.replace(old, new)


def partition_of(number: int, partitions: int) -> int:
    """Return the partition of session `number`."""
    return session_partition(NAME.format(number), partitions)


def make_words(random: Random) -> Iterator[str]:
    """Yield words of sentences with names and times, without end."""
    while True:
        yield from make_sentence(random)
