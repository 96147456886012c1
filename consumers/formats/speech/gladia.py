"""Gladia v2, live: a partial, which is of a smaller model, replaces; a transcript with `is_final` closes.

An utterance is named by its connection, channel and `id`. Its partials may have other ids than its transcript: an open
utterance at the time of another one is deleted, and a partial at the time of a closed one is late. Callbacks
(`live.transcript`) hold the message in their payload. What repeats the whole session at its end says nothing new.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason, close_open
from consumers.formats.convert import Seconds, convert
from consumers.formats.utterances import open_start, write_named, write_timed, write_unnamed
from consumers.formats.word_times import TimedText, VendorWord, add_word_times, first_start, last_end, to_name
from stream.messages.types import Delete, Message, Update
from stream.messages.word_times import Times


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
        inner = {"type": value.event.removeprefix("live."), "session_id": value.payload.get("id")}
        inner |= {name: x for name, x in value.payload.items() if x is not None}
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
        segment=f"{scope}/{transcript.id}",  # unless they are missing
        text=said.text,
        final=transcript.is_final,
        time=said.end,
        speaker=to_name(said.speaker),
        channel=channel,
    )
    update = add_word_times(update, [TimedText(x.word, x.start, x.end) for x in said.words])
    if value.session_id and transcript.id:
        return _write_by_id(context, scope, update, said)
    start = open_start(context, session, scope) if said.start is None else said.start
    if start is None:
        return write_unnamed(context, scope, update)
    return write_timed(context, scope, update, start, start if said.end is None else said.end)


def _write_by_id(
    context: FormatContext, scope: str, update: Update, said: _GladiaUtterance
) -> Iterable[Message | Ignored]:
    found: list[Message | Ignored] = []
    for name, x in context.segments(update.session).items():
        if name == update.segment or not name.startswith(f"{scope}/") or not _is_at(x.times, said):
            continue
        if x.closed and x.applied < context.offset and not update.final:
            return (Ignored("late"),)
        if not x.closed:
            found.append(Delete(session=update.session, segment=name))
    return [*found, *write_named(context.segments(update.session).get(update.segment), update)]


def _is_at(times: Times, said: _GladiaUtterance) -> bool:
    """Whether one of two utterances is mostly at the time of the other."""
    begin, end = first_start(times), last_end(times)
    if begin is None or end is None or said.start is None or said.end is None:
        return False
    return min(end, said.end) - max(begin, said.start) > min(end - begin, said.end - said.start) / 2


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
