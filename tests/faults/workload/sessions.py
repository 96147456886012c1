"""Endless live text of many sessions, seeded: interims that grow, are rewritten, shrink and repeat; finals, edits,
deletes and ends. Every message is good in its order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from stream.messages.types import Delete, End, Message, Update, WordTime
from tests.faults.workload.sentences import any_word, make_sentence

EDITABLE = 8
"""Closed segments that may still be edited: few enough that the service remembers them."""
OPEN = 2
"""Open segments of a session at most."""


@dataclass(slots=True)
class _Segment:
    name: str
    script: list[str]
    said: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(slots=True)
class _Talk:
    """One session as its source has told of it."""

    id: str
    open: list[_Segment] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    segments: int = 0
    spoken: int = 0


class Speech:
    """Messages of `sessions` sessions in turn.

    Args:
        seed: the same seed gives the same messages.
        sessions: how many talk at once; one that ends makes room for a new one.
        comebacks: whether a session that ended may speak again under its own name.
        name: what sessions are called.
    """

    def __init__(self, seed: int, sessions: int, *, comebacks: bool = True, name: str = "call") -> None:
        self._random = Random(seed)
        self._comebacks = comebacks
        self._name = name
        self._talks = [_Talk(f"{name}-{number}") for number in range(sessions)]
        self._born = sessions

    def next(self, number: int | None = None) -> Message:
        """The next message, of session `number` or of any."""
        random = self._random
        talk = self._talks[random.randrange(len(self._talks)) if number is None else number % len(self._talks)]
        talk.spoken += 1
        dice = random.random()
        if dice < 0.002 and talk.segments > 1:
            return self._end(talk)
        if dice < 0.012 and talk.closed:
            words = make_sentence(random)
            return Update(session=talk.id, segment=random.choice(talk.closed), text=" ".join(words))
        if dice < 0.018 and (names := [*talk.closed, *(x.name for x in talk.open)]):
            return self._delete(talk, random.choice(names))
        if not talk.open or (dice < 0.05 and len(talk.open) < OPEN):
            script = [word for _ in range(random.randint(1, 3)) for word in make_sentence(random)]
            talk.open.append(_Segment(f"u{talk.segments}", script))
            talk.segments += 1
            return self._speak(talk, talk.open[-1])
        return self._speak(talk, random.choice(talk.open))

    def close(self) -> Iterator[Message]:
        """Close all that is open, so that every segment has its final."""
        for talk in self._talks:
            for segment in list(talk.open):
                yield self._final(talk, segment)

    def _speak(self, talk: _Talk, segment: _Segment) -> Message:
        random, said, script = self._random, segment.said, segment.script
        dice = random.random()
        if len(said) >= len(script) or (dice < 0.03 and said):
            return self._final(talk, segment)
        if dice < 0.08 and segment.text:
            return self._update(talk, segment)  # a repeat
        if dice < 0.16 and said:
            said[-1 - random.randrange(min(3, len(said)))] = any_word(random)
        elif dice < 0.20 and len(said) > 2:
            del said[-random.randint(1, 2) :]
        else:
            words = script[len(said) : len(said) + random.randint(1, 3)]
            said += words
            if dice > 0.9 and segment.text:
                segment.text += " " + " ".join(words)
                return Update(session=talk.id, segment=segment.name, text=" " + " ".join(words), mode="append")
        segment.text = " ".join(said)
        return self._update(talk, segment)

    def _update(self, talk: _Talk, segment: _Segment, final: bool = False) -> Update:
        words = None
        if self._random.random() < 0.1:
            times = [round(0.4 * i, 2) for i in range(len(segment.text.split()))]
            words = tuple(WordTime(start=t, end=round(t + 0.3, 2)) for t in times)
        time = float(talk.spoken) if self._random.random() < 0.3 else None
        return Update(session=talk.id, segment=segment.name, text=segment.text, final=final, time=time, words=words)

    def _final(self, talk: _Talk, segment: _Segment) -> Update:
        if self._random.random() < 0.3:
            segment.text = segment.text.capitalize() + "."
        talk.open.remove(segment)
        talk.closed = [*talk.closed, segment.name][-EDITABLE:]
        return self._update(talk, segment, final=True)

    def _delete(self, talk: _Talk, name: str) -> Delete:
        talk.open = [x for x in talk.open if x.name != name]
        talk.closed = [x for x in talk.closed if x != name]
        return Delete(session=talk.id, segment=name)

    def _end(self, talk: _Talk) -> End:
        ended = talk.id
        talk.open, talk.closed, talk.segments = [], [], 0
        if not self._comebacks or self._random.random() < 0.5:
            talk.id = f"{self._name}-{self._born}"
            self._born += 1
        return End(session=ended)
