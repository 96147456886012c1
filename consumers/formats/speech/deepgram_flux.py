"""Deepgram Flux: turns. An update comes about every 0.25 s, changed or not; `EndOfTurn` closes the turn.

A segment is a turn, named by its connection (`request_id`) and `turn_index`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.utterances import write_named
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _FluxWord(msgspec.Struct):
    word: str = ""
    start: float | None = None
    end: float | None = None
    speaker: int | str | None = None


class _TurnInfo(msgspec.Struct):
    type: str
    event: str = ""
    request_id: str = ""
    turn_index: int = 0
    transcript: str = ""
    words: list[_FluxWord] = []
    audio_window_end: float | None = None


_EVENTS = ("StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn")


def _read(value: _TurnInfo, context: FormatContext) -> Iterable[Message]:
    if value.type != "TurnInfo" or value.event not in _EVENTS:
        return ()
    session = context.session_name(value.request_id or None)
    turn = f"turn-{value.turn_index}"
    update = Update(
        session=session,
        segment=f"{value.request_id[:8]}/{turn}" if value.request_id else turn,
        text=value.transcript,
        final=value.event == "EndOfTurn",
        time=value.audio_window_end,
    )
    pieces = [TimedText(x.word, x.start, x.end, to_name(x.speaker)) for x in value.words]
    return write_named(context.segments(session).get(update.segment), add_word_times(update, pieces))


def _recognises(value: dict[str, Any]) -> bool:
    connected = value.get("type") == "Connected" and "sequence_id" in value
    return connected or (value.get("type") == "TurnInfo" and "turn_index" in value)


FORMAT = Format("deepgram-flux", _read, _recognises, _TurnInfo)
