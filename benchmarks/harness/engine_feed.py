"""An engine that is fed messages and timed: closed loop, every call returns when all of them are answered."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.texts import closes, open_words
from encoder.restart.policies import parse_policy
from encoder.tagger import Tagger
from stream.engine.engine import Engine
from stream.labelling.labeller import Labeller
from stream.messages.types import End, Message
from stream.sessions.stats import EngineStats


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Seconds that something took."""

    wall: float
    cpu: float
    """Processor time of all threads of this process: excludes what other processes took."""

    def __add__(self, other: "Elapsed") -> "Elapsed":
        """Add both times."""
        return Elapsed(self.wall + other.wall, self.cpu + other.cpu)


NO_TIME = Elapsed(0.0, 0.0)


def timed(work: Callable[[], object]) -> Elapsed:
    """Call `work` and return the time that it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Elapsed(time.perf_counter() - wall, time.process_time() - cpu)


class EngineFeed:
    """An engine of its own without sessions; `policy` as `encoder.restart.policies.parse_policy` reads it."""

    def __init__(self, tagger: Tagger | Labeller[Any], policy: str) -> None:
        self.engine = Engine(tagger, parse_policy(policy))
        self.phase_seconds: dict[str, float] = {}
        """Processor time of all steps so far, by phase."""
        self._offset = 0

    def feed(self, messages: Sequence[Message]) -> Elapsed:
        """Submit messages and step until they are answered; returns the time from first message to last revision."""
        return timed(lambda: self._answer(messages))

    def _answer(self, messages: Sequence[Message]) -> None:
        engine = self.engine
        for message in messages:
            engine.submit(message, self._offset)
            self._offset += 1
        while engine.pending:
            for phase, seconds in engine.step(time.process_time).phase_seconds.items():
                self.phase_seconds[phase] = self.phase_seconds.get(phase, 0.0) + seconds

    def feed_word_by_word(self, texts: Sequence[Sequence[str]], words: int | None = None) -> list[Elapsed]:
        """Feed one segment a session, a word of every session a step; returns the time of each step."""
        return [self.feed(open_words(texts, n + 1)) for n in range(len(texts[0]) if words is None else words)]

    def close_segments(self, texts: Sequence[Sequence[str]]) -> Elapsed:
        """Close the segments of `feed_word_by_word`."""
        return self.feed(closes(texts))

    def end(self) -> None:
        """End all sessions, which frees the tagger's slots."""
        self._answer([End(session=name) for name in self.engine.intake.sessions])

    @property
    def stats(self) -> EngineStats:
        """The engine's counters."""
        return self.engine.stats


def time_words(tagger: Tagger | Labeller[Any], policy: str, texts: Sequence[Sequence[str]]) -> list[Elapsed]:
    """Feed texts word by word to an engine of its own, without closing; returns the time of each step."""
    feed = EngineFeed(tagger, policy)
    steps = feed.feed_word_by_word(texts)
    feed.end()
    return steps
