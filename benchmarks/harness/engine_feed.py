"""An engine that is fed and timed: what all benches of whole steps have in common."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from encoder.restart.policies import parse_policy
from encoder.tagger import Tagger
from stream.engine.engine import Engine
from stream.labelling.labeller import Labeller
from stream.messages.types import End, Message, Update
from stream.sessions.stats import EngineStats


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds of something that was done."""

    wall: float
    cpu: float
    """Of this process, all of its threads: what another process takes from us is not in it."""

    def __add__(self, other: "Lap") -> "Lap":
        """Both, one after the other."""
        return Lap(self.wall + other.wall, self.cpu + other.cpu)


NOTHING = Lap(0.0, 0.0)


def timed(work: Callable[[], object]) -> Lap:
    """Do it and tell how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Lap(time.perf_counter() - wall, time.process_time() - cpu)


class Feed:
    """Messages into an engine of its own, until all of them are answered."""

    def __init__(self, tagger: Tagger | Labeller[Any], policy: str) -> None:
        """Begin without sessions; `policy` as `encoder.restart.policies.parse_policy` reads it."""
        self.engine = Engine(tagger, parse_policy(policy))
        self.laps: dict[str, float] = {}
        """Seconds of the processor by phase of all steps so far."""
        self._offset = 0

    def say(self, messages: Sequence[Message]) -> Lap:
        """Time from the first message in to the last revision out."""
        return timed(lambda: self._take(messages))

    def _take(self, messages: Sequence[Message]) -> None:
        engine = self.engine
        for message in messages:
            engine.submit(message, self._offset)
            self._offset += 1
        while engine.pending:
            for phase, seconds in engine.step(time.process_time).laps.items():
                self.laps[phase] = self.laps.get(phase, 0.0) + seconds

    def end(self) -> None:
        """End all sessions: the tagger's slots are free for the next."""
        self._take([End(session=name) for name in self.engine.sessions])

    @property
    def stats(self) -> EngineStats:
        """What was done so far."""
        return self.engine.stats


def open_words(texts: Sequence[Sequence[str]], words: int) -> list[Message]:
    """Give each session's segment as it stands after so many words."""
    return [Update(session=f"s{i}", segment="1", text=" ".join(text[:words])) for i, text in enumerate(texts)]


def closes(texts: Sequence[Sequence[str]]) -> list[Message]:
    """Close each session's segment, as `open_words` names them."""
    return [Update(session=f"s{i}", segment="1", text=" ".join(x), final=True) for i, x in enumerate(texts)]
