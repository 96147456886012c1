"""Cost of redaction: the time of a word with and without it, from one run in which both take turns."""

import time
from collections.abc import Sequence

import msgspec

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table
from consumers.common.redaction import NO_REDACTION, RedactionSettings
from consumers.common.settings import EngineSettings
from consumers.runtime.engine_factory import build_engine
from stream.engine.engine import Engine
from stream.evaluation.redaction.talk import spoken_dialogues, talk_messages
from stream.messages.types import End, Message, Update

WARM_UP = 0.1
"""Share of the calls that are not measured."""


class RedactionCost(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time of a word, and of the step of an update."""

    tagger: str
    calls: int
    updates: int
    words: int
    plain_us: float
    """Microseconds a new word without redaction."""
    redacted_us: float
    more: float
    """Share of time that redaction adds."""


def measure_cost(tagger: str, calls: int, progress: ReportProgress) -> RedactionCost:
    """Feed made-up calls to an engine that redacts everything and to one that does not, call by call in turn.

    Raises:
        ConfigError: Faker is not installed.
        SettingError: the tagger cannot be loaded.
    """
    engines = [_Timed(tagger, x) for x in (NO_REDACTION, RedactionSettings(redact="all"))]
    sessions = _by_session(list(talk_messages(spoken_dialogues(calls, "0/5"))))
    warm = int(WARM_UP * len(sessions))
    for number, messages in enumerate(sessions):
        progress("calls", number / len(sessions))
        if number == warm:
            for engine in engines:
                engine.seconds = 0.0
        for engine in engines if number % 2 else reversed(engines):
            engine.feed(messages)
    measured = [x for messages in sessions[warm:] for x in messages if isinstance(x, Update)]
    words = sum(len(x.text.split()) for x in measured if x.final)
    plain, redacted = (1e6 * x.seconds / max(1, words) for x in engines)
    return RedactionCost(
        tagger=tagger,
        calls=len(sessions) - warm,
        updates=len(measured),
        words=words,
        plain_us=plain,
        redacted_us=redacted,
        more=redacted / plain - 1 if plain else 0.0,
    )


class _Timed:
    """An engine and the processor time that its steps took."""

    def __init__(self, tagger: str, redaction: RedactionSettings) -> None:
        self._engine: Engine = build_engine(EngineSettings(tagger=[tagger], coalesce=False), redaction)
        self._offset = 0
        self.seconds = 0.0

    def feed(self, messages: Sequence[Message]) -> None:
        begin = time.process_time()
        for message in messages:
            self._engine.submit(message, self._offset)
            self._offset += 1
            while self._engine.pending:
                self._engine.step()
        self.seconds += time.process_time() - begin


def _by_session(messages: Sequence[Message]) -> list[list[Message]]:
    sessions: list[list[Message]] = [[]]
    for message in messages:
        sessions[-1].append(message)
        if isinstance(message, End):
            sessions.append([])
    return sessions[:-1]


def cost_tables(found: RedactionCost) -> list[Table]:
    """Lay out a table of one row."""
    heads = ["tagger", "calls", "updates", "words", "us a word", "with redaction", "more"]
    row = [
        found.tagger, f"{found.calls:,}", f"{found.updates:,}", f"{found.words:,}",
        f"{found.plain_us:.0f}", f"{found.redacted_us:.0f}", f"{found.more:.1%}",
    ]  # fmt: skip
    return [Table("Processor time of redaction", heads, [row])]
