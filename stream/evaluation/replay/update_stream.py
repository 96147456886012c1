"""Sources of a replay: labelled text word by word, and recorded messages, both as rounds of operations."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.evaluation.replay.examples import LabelledText, begin_table, sessions_of
from stream.ingest.queue import Intake
from stream.messages.errors import InputError
from stream.messages.types import End, Message, Update
from stream.sessions.operations import Operation, Write

_ALL = 1 << 62


class UpdateStream(NamedTuple):
    """Updates of many sessions."""

    rounds: Iterator[Sequence[Operation]]
    """Operations of one round are computed together: at most one of each session, which is the session's last."""
    times: Sequence[float | None] = ()
    """Time of each message in seconds, by the offset of the write; empty if there is gold text."""
    gold: Sequence[LabelledText] = ()
    """The labelled text of each segment, by the offset of its writes; empty if there is none."""
    begin_table: NDArray[np.int32] = np.zeros(0, np.int32)
    """(labels,) as `word_labels` needs it; empty if there is no gold text."""


def word_stream(examples: Sequence[LabelledText], names: tuple[str, ...], *, closing: bool) -> UpdateStream:
    """Stream labelled text: each word is an update, and all sessions receive their next word in the same round.

    Args:
        examples: those of one session stand together (`sessions_of`); each is a segment.
        names: label names by number.
        closing: whether the last segment of each session closes; the others always do, before the next one opens.
    """
    sessions, first = [], 0
    for session in sessions_of(examples):
        sessions.append(_word_writes(first, session, closing))
        first += len(session)
    rounds = ([write for write in writes if write is not None] for writes in zip_longest(*sessions))
    return UpdateStream(rounds, gold=examples, begin_table=begin_table(names))


def _word_writes(first: int, session: Sequence[LabelledText], closing: bool) -> Iterator[Write]:
    for number, example in enumerate(session, first):
        closes = closing or example is not session[-1]
        for i, end in enumerate(example.ends.tolist(), 1):
            final = closes and i == len(example.ends)
            yield Write(str(first), [], str(number), example.text[:end], (), final, number)


def message_stream(messages: Iterable[Message]) -> UpdateStream:
    """Stream messages in order, resolved as the engine resolves them; refused messages are left out.

    A session that does not end is ended after the last message. Times are seconds.
    """
    intake, times, offset = Intake(coalesce=False), [], -1
    for offset, message in enumerate(messages):
        times.append(message.time if isinstance(message, Update) else None)
        try:
            intake.accept(message, offset, 0.0)
        except InputError:
            continue
    for name in intake.sessions:
        times.append(None)
        intake.accept(End(session=name), offset := offset + 1, 0.0)
    return UpdateStream(iter(lambda: intake.take_operations(_ALL), []), times)
