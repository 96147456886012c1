"""AssemblyAI streaming v3: `transcript` replaces; a formatted turn repeats it with punctuation and capitals.

A segment is a `turn_order`. Orders restart at 0 with each connection, so `Begin` and `Termination` end the session.
Universal-Streaming omits words that are not final from `transcript`; they are taken from `words`, because they are the
words being spoken.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.utterances import write_named
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _AssemblyWord(msgspec.Struct):
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker: str | int | None = None


class _AssemblyTurn(msgspec.Struct):
    type: str
    turn_order: int = 0
    turn_is_formatted: bool = False
    end_of_turn: bool = False
    transcript: str = ""
    words: list[_AssemblyWord] = []
    speaker_label: str | None = None


def _read(value: _AssemblyTurn, context: FormatContext) -> Iterable[Message]:
    if value.type in ("Begin", "Termination"):
        return context.end_session()
    if value.type != "Turn":
        return ()
    session = context.session_name()
    update = Update(
        session=session,
        segment=f"turn-{value.turn_order}",
        text=_text(value),
        final=value.end_of_turn,
        time=_seconds(value.words[-1].end) if value.words else None,
        speaker=value.speaker_label,
    )
    pieces = [TimedText(x.text, _seconds(x.start), _seconds(x.end), to_name(x.speaker)) for x in value.words]
    existing = context.segments(session).get(update.segment)
    if existing is not None and existing.closed and not value.turn_is_formatted:
        return ()  # the formatted turn may have come already and must not be undone
    return write_named(existing, add_word_times(update, pieces))


def _text(value: _AssemblyTurn) -> str:
    spoken, words = value.transcript.split(), [x.text for x in value.words]
    if value.end_of_turn or [x.strip() for x in words[: len(spoken)]] != spoken:
        return value.transcript
    return " ".join([*spoken, *words[len(spoken) :]])


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _recognises(value: dict[str, Any]) -> bool:
    if value.get("type") == "Turn":
        return "turn_order" in value
    begins = value.get("type") == "Begin" and "expires_at" in value
    return begins or (value.get("type") == "Termination" and "audio_duration_seconds" in value)


FORMAT = Format("assemblyai", _read, _recognises, _AssemblyTurn)
