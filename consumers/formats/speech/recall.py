"""Recall.ai: the name of the event says whether words are final; each participant has one open utterance.

An utterance is named by its transcript, the participant's id (names are no identity) and its start. Messages of the
meeting's chat are closed segments.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.convert import Seconds, convert
from consumers.formats.utterances import open_start, write_named, write_timed, write_unnamed
from consumers.formats.word_times import TimedText, add_word_times
from stream.messages.types import Message, Update


class _RecallTime(msgspec.Struct):
    relative: Seconds | None = None


class _RecallWord(msgspec.Struct):
    text: str = ""
    start_timestamp: _RecallTime | None = None
    end_timestamp: _RecallTime | None = None


class _RecallId(msgspec.Struct):
    id: str = ""


class _ChatText(msgspec.Struct):
    text: str = ""


class _RecallData(msgspec.Struct):
    words: list[_RecallWord] = []
    participant: _RecallId | None = None
    timestamp: _RecallTime | None = None
    data: _ChatText | None = None


class _RecallEvent(msgspec.Struct):
    data: _RecallData | None = None
    transcript: _RecallId | None = None
    recording: _RecallId | None = None
    bot: _RecallId | None = None


class _RecallMessage(msgspec.Struct):
    event: str = ""
    data: Any = None
    """Other events have other types here."""


_EVENTS = ("transcript.partial_data", "transcript.data", "participant_events.chat_message")
_METADATA = ("participant_events.", "bot.", "recording.", "transcript.", "sdk_upload.", "realtime_endpoint.")
_FAILED = (".failed", ".fatal", ".provider_data_error")


def _read(value: _RecallMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.event not in _EVENTS:
        if value.event.endswith(_FAILED):
            return (Ignored("error"),)
        known = value.event.startswith(_METADATA) and value.event != "transcript.provider_data"
        return (Ignored("metadata" if known else "other_event" if value.event else "unknown_shape"),)
    event = _RecallEvent() if value.data is None else convert(value.data, _RecallEvent)
    if event.data is None:
        return (Ignored("unknown_shape"),)
    ids = [x.id for x in (event.recording, event.bot) if x is not None and x.id]
    session = context.session_name(ids[0] if ids else None)
    speaker = event.data.participant.id if event.data.participant else ""
    transcript = event.transcript.id if event.transcript else ""
    if value.event == "participant_events.chat_message":
        return _read_chat(event.data, context, session, speaker)
    words = [x for x in event.data.words if x.text.strip()]
    pieces = [TimedText(x.text, *_times(x)) for x in words]
    begin = next((x.start for x in pieces if x.start is not None), None)
    end = next((x.end for x in reversed(pieces) if x.end is not None), None)
    update = Update(
        session=session,
        segment="",
        text=" ".join(x.text.strip() for x in words),
        final=value.event == "transcript.data",
        time=end,
        speaker=speaker or None,
    )
    scope = f"{transcript or 'meeting'}/{speaker or 'unknown'}"
    update = add_word_times(update, pieces)
    begin = open_start(context, session, scope) if begin is None else begin
    if begin is None:
        return write_unnamed(context, scope, update)
    return write_timed(context, scope, update, begin, begin if end is None else end)


def _times(word: _RecallWord) -> tuple[float | None, float | None]:
    """Start and end of a word; while it is spoken it has no end."""
    start = word.start_timestamp.relative if word.start_timestamp else None
    end = word.end_timestamp.relative if word.end_timestamp else None
    return start, start if end is None else end


def _read_chat(data: _RecallData, context: FormatContext, session: str, speaker: str) -> Iterable[Message | Ignored]:
    time = data.timestamp.relative if data.timestamp else None
    name = f"chat/{speaker or 'unknown'}@{context.offset if time is None else time}"
    text = data.data.text if data.data else ""
    update = Update(session=session, segment=name, text=text, final=True, time=time, speaker=speaker or None)
    existing = context.segments(session).get(name)
    if existing is not None and existing.text == text:
        return (Ignored("repeat"),)
    return write_named(existing, update)


def _recognises(value: dict[str, Any]) -> bool:
    event = value.get("event")
    if not isinstance(event, str) or not isinstance(value.get("data"), dict):
        return False
    return event.startswith(("transcript.", "participant_events.")) and not {"bot", "recording"}.isdisjoint(
        value["data"]
    )


FORMAT = Format("recall", _read, _recognises, _RecallMessage)
