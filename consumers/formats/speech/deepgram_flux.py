"""Deepgram Flux: turns. An update comes about every 0.25 s, changed or not; `EndOfTurn` closes the turn.

A segment is a turn, named by its connection (`request_id`) and `turn_index`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.convert import Seconds
from consumers.formats.utterances import write_numbered
from consumers.formats.word_times import SpeakerWord, TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _TurnInfo(msgspec.Struct):
    type: str = ""
    event: str = ""
    request_id: str = ""
    turn_index: int = 0
    transcript: str = ""
    words: list[SpeakerWord] = []
    audio_window_end: Seconds | None = None


_EVENTS = ("StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn")
_METADATA = ("Connected", "ConfigureSuccess")
_ERRORS = ("Error", "FatalError", "ConfigureFailure")


def _read(value: _TurnInfo, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.type in _METADATA:
        return (Ignored("metadata"),)
    if value.type in _ERRORS:
        return (Ignored("error"),)
    if value.type != "TurnInfo" or value.event not in _EVENTS:
        return (Ignored("other_event" if value.type else "unknown_shape"),)
    update = Update(
        session=context.session_name(value.request_id or None),
        segment="",
        text=value.transcript,
        final=value.event == "EndOfTurn",
        time=value.audio_window_end,
    )
    pieces = [TimedText(x.word, x.start, x.end, to_name(x.speaker)) for x in value.words]
    scope = f"{value.request_id}/turn" if value.request_id else "turn"
    return write_numbered(context, scope, add_word_times(update, pieces), value.turn_index)


def _recognises(value: dict[str, Any]) -> bool:
    connected = value.get("type") == "Connected" and "sequence_id" in value
    return connected or (value.get("type") == "TurnInfo" and not {"turn_index", "turnIndex"}.isdisjoint(value))


FORMAT = Format("deepgram-flux", _read, _recognises, _TurnInfo)
