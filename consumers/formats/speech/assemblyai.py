"""AssemblyAI streaming v3: `transcript` replaces; a formatted turn repeats it with punctuation and capitals.

A segment is a `turn_order`. Orders restart at 0 with each connection, so `Begin` and `Termination` end the session.
Universal-Streaming omits words that are not final from `transcript`; they are taken from `words`, because they are the
words being spoken.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.utterances import write_numbered
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _AssemblyWord(msgspec.Struct):
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


class _AssemblyTurn(msgspec.Struct):
    type: str = ""
    turn_order: int = 0
    turn_is_formatted: bool = False
    end_of_turn: bool = False
    transcript: str = ""
    words: list[_AssemblyWord] = []
    speaker_label: str | None = None


def _read(value: _AssemblyTurn, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.type in ("Begin", "Termination"):
        return context.end_session()
    if value.type in ("SpeechStarted", "Error"):
        return (Ignored("error" if value.type == "Error" else "metadata"),)
    if value.type != "Turn":
        return (Ignored("other_event" if value.type else "unknown_shape"),)
    update = Update(
        session=context.session_name(),
        segment="",
        text=_text(value),
        final=value.end_of_turn,
        time=_seconds(value.words[-1].end) if value.words else None,
        speaker=value.speaker_label,
    )
    pieces = [TimedText(x.text, _seconds(x.start), _seconds(x.end), to_name(x.speaker)) for x in value.words]
    # The formatted turn may have come already and must not be undone.
    return write_numbered(
        context, "turn", add_word_times(update, pieces), value.turn_order, edits=value.turn_is_formatted
    )


def _text(value: _AssemblyTurn) -> str:
    spoken, words = value.transcript.split(), [x.text for x in value.words]
    if len(words) <= len(spoken) or [x.strip() for x in words[: len(spoken)]] != spoken:
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
