"""Unlimited live text of many sessions, seeded: interims that grow, are rewritten, shrink and repeat; finals, edits,
deletes and ends. Every message is valid in its order.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from stream.messages.types import Delete, End, Message, Update, WordTime
from tests.faults.workload.sentences import any_word, make_sentence

EDITABLE = 8
"""Closed segments that may be edited: few enough that the service remembers them."""
OPEN = 2
"""Most open segments of a session."""


@dataclass(slots=True)
class _Segment:
    name: str
    script: list[str]
    said: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(slots=True)
class _SessionState:
    """One session as its source sees it."""

    id: str
    open: list[_Segment] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    segments: int = 0
    spoken: int = 0


class SyntheticSessions:
    """Messages of `sessions` sessions in turn.

    Args:
        seed: the same seed gives the same messages.
        sessions: number of live sessions; a new one follows each that ends.
        reuse_names: whether a session that ended may continue under its name.
        name: prefix of the sessions' names.
    """

    def __init__(self, seed: int, sessions: int, *, reuse_names: bool = True, name: str = "call") -> None:
        self._random = Random(seed)
        self._reuse_names = reuse_names
        self._name = name
        self._sessions = [_SessionState(f"{name}-{number}") for number in range(sessions)]
        self._names_used = sessions

    def next_message(self, number: int | None = None) -> Message:
        """Return the next message, of session `number` or of any."""
        random = self._random
        session = self._sessions[
            random.randrange(len(self._sessions)) if number is None else number % len(self._sessions)
        ]
        session.spoken += 1
        dice = random.random()
        if dice < 0.002 and session.segments > 1:
            return self._end(session)
        if dice < 0.012 and session.closed:
            words = make_sentence(random)
            return Update(session=session.id, segment=random.choice(session.closed), text=" ".join(words))
        if dice < 0.018 and (names := [*session.closed, *(x.name for x in session.open)]):
            return self._delete(session, random.choice(names))
        if not session.open or (dice < 0.05 and len(session.open) < OPEN):
            script = [word for _ in range(random.randint(1, 3)) for word in make_sentence(random)]
            session.open.append(_Segment(f"u{session.segments}", script))
            session.segments += 1
            return self._continue_segment(session, session.open[-1])
        return self._continue_segment(session, random.choice(session.open))

    def close_segments(self) -> Iterator[Message]:
        """Yield the finals of all open segments."""
        for session in self._sessions:
            for segment in list(session.open):
                yield self._final(session, segment)

    def _continue_segment(self, session: _SessionState, segment: _Segment) -> Message:
        random, said, script = self._random, segment.said, segment.script
        dice = random.random()
        if len(said) >= len(script) or (dice < 0.03 and said):
            return self._final(session, segment)
        if dice < 0.08 and segment.text:
            return self._update(session, segment)  # a repeat
        if dice < 0.16 and said:
            said[-1 - random.randrange(min(3, len(said)))] = any_word(random)
        elif dice < 0.20 and len(said) > 2:
            del said[-random.randint(1, 2) :]
        else:
            words = script[len(said) : len(said) + random.randint(1, 3)]
            said += words
            if dice > 0.9 and segment.text:
                segment.text += " " + " ".join(words)
                return Update(session=session.id, segment=segment.name, text=" " + " ".join(words), mode="append")
        segment.text = " ".join(said)
        return self._update(session, segment)

    def _update(self, session: _SessionState, segment: _Segment, final: bool = False) -> Update:
        words = None
        if self._random.random() < 0.1:
            times = [round(0.4 * i, 2) for i in range(len(segment.text.split()))]
            words = tuple(WordTime(start=t, end=round(t + 0.3, 2)) for t in times)
        time = float(session.spoken) if self._random.random() < 0.3 else None
        return Update(session=session.id, segment=segment.name, text=segment.text, final=final, time=time, words=words)

    def _final(self, session: _SessionState, segment: _Segment) -> Update:
        if self._random.random() < 0.3:
            segment.text = segment.text.capitalize() + "."
        session.open.remove(segment)
        session.closed = [*session.closed, segment.name][-EDITABLE:]
        return self._update(session, segment, final=True)

    def _delete(self, session: _SessionState, name: str) -> Delete:
        session.open = [x for x in session.open if x.name != name]
        session.closed = [x for x in session.closed if x != name]
        return Delete(session=session.id, segment=name)

    def _end(self, session: _SessionState) -> End:
        ended = session.id
        session.open, session.closed, session.segments = [], [], 0
        if not self._reuse_names or self._random.random() < 0.5:
            session.id = f"{self._name}-{self._names_used}"
            self._names_used += 1
        return End(session=ended)
