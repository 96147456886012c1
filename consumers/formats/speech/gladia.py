"""Gladia v2, live: a partial, which is of a smaller model, replaces; a transcript with `is_final` closes.

An utterance is named by its connection, channel and start, as its `id` need not be the same in partial and final; by
its `id` if it has no times. Callbacks (`live.transcript`) hold the message in their payload. What repeats the whole
session at its end (`post_transcript`) says nothing new.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason, close_open
from consumers.formats.convert import Seconds, convert
from consumers.formats.utterances import write_named, write_timed
from consumers.formats.word_times import TimedText, VendorWord, add_word_times, to_name
from stream.messages.types import Message, Update


class _GladiaUtterance(msgspec.Struct):
    text: str = ""
    start: Seconds | None = None
    end: Seconds | None = None
    channel: str | None = None
    speaker: str | None = None
    words: list[VendorWord] = []


class _GladiaTranscript(msgspec.Struct):
    id: str = ""
    is_final: bool = False
    utterance: _GladiaUtterance | None = None


class _GladiaMessage(msgspec.Struct):
    type: str = ""
    session_id: str = ""
    data: Any = None
    error: Any = None
    event: str = ""
    payload: Any = None


_CONTROL: dict[str, IgnoredReason] = {
    "audio_chunk": "keep_alive",
    "stop_recording": "metadata",
    "start_session": "metadata",
    "end_session": "metadata",
    "start_recording": "metadata",
    "end_recording": "metadata",
    "speech_start": "metadata",
    "speech_end": "metadata",
    "error": "error",
}


def _read(value: _GladiaMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.event and isinstance(value.payload, dict):
        inner = {"type": value.event.removeprefix("live."), "session_id": value.payload.get("id")} | value.payload
        value = convert(inner, _GladiaMessage)
    if value.error is not None:
        return (Ignored("error"),)
    if value.type == "end_session":
        session = context.session_name(value.session_id or None)
        return [*close_open(context, session, f"{value.session_id or 'audio'}/"), Ignored("metadata")]
    if value.type != "transcript":
        return (Ignored(_CONTROL.get(value.type, "other_event") if value.type else "unknown_shape"),)
    transcript = None if value.data is None else convert(value.data, _GladiaTranscript)
    if transcript is None or transcript.utterance is None:
        return (Ignored("unknown_shape"),)
    said = transcript.utterance
    session, channel = context.session_name(value.session_id or None), to_name(said.channel)
    scope = f"{value.session_id or 'audio'}/{channel or '0'}"
    update = Update(
        session=session,
        segment=f"{scope}/{transcript.id}",
        text=said.text,
        final=transcript.is_final,
        time=said.end,
        speaker=to_name(said.speaker),
        channel=channel,
    )
    update = add_word_times(update, [TimedText(x.word, x.start, x.end) for x in said.words])
    if said.start is None:
        return write_named(context.segments(session).get(update.segment), update)
    return write_timed(context, scope, update, said.start, said.start if said.end is None else said.end)


_KINDS = (
    "transcript",
    "speech_start",
    "speech_end",
    "start_session",
    "end_session",
    "start_recording",
    "end_recording",
)


def _recognises(value: dict[str, Any]) -> bool:
    event = value.get("event")
    if isinstance(event, str) and event.startswith("live."):
        return isinstance(value.get("payload"), dict)
    if not isinstance(value.get("session_id"), str) or "type" not in value:
        return False
    return value["type"] in _KINDS or "data" in value or "acknowledged" in value


FORMAT = Format("gladia", _read, _recognises, _GladiaMessage)
