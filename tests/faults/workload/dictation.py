"""Unlimited dictation of many sessions, seeded: long segments grow by appended words, so that every message counts.

Where each message carries the whole segment, the next one makes up for a lost one. Here it does not.
"""

from collections.abc import Iterator
from random import Random

from stream.messages.types import Message, Update
from tests.faults.workload.sentences import make_sentence

WORDS = 100
"""Words of a segment."""


class Dictation:
    """Messages of `sessions` sessions in turn.

    Args:
        seed: the same seed gives the same messages.
        sessions: number of them.
    """

    def __init__(self, seed: int, sessions: int) -> None:
        self._random = Random(seed)
        self._segments = [0] * sessions
        self._said = [0] * sessions

    def next_message(self) -> Message:
        """Return the next words of any session."""
        number = self._random.randrange(len(self._said))
        words = make_sentence(self._random)[: self._random.randint(1, 4)]
        self._said[number] += len(words)
        return self._append(number, " ".join(words) + " ", final=self._said[number] >= WORDS)

    def close_segments(self) -> Iterator[Message]:
        """Yield the finals of all open segments."""
        for number, said in enumerate(self._said):
            if said:
                yield self._append(number, "they said no", final=True)

    def _append(self, number: int, text: str, final: bool) -> Message:
        segment = f"u{self._segments[number]}"
        if final:
            self._segments[number] += 1
            self._said[number] = 0
        return Update(session=f"dictation-{number}", segment=segment, text=text, mode="append", final=final)
