"""Twilio: Real-Time Transcription callbacks, as forms or as JSON of their fields, and ConversationRelay.

Transcription: a partial replaces the open utterance of its track, one with `Final` closes it; every value is a string,
and `TranscriptionData` is JSON in one. ConversationRelay: `prompt` is the caller, replaced until `last`; `text`, from
the program, appends to what the agent says until `last`. Media Streams are audio.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason, close_open
from consumers.formats.chat.base import parse_timestamp
from consumers.formats.convert import convert
from consumers.formats.decode import decode_inner_json
from consumers.formats.utterances import write_named, write_unnamed
from stream.messages.types import Message, Update


class _TranscriptionData(msgspec.Struct):
    transcript: str = ""


class _TwilioMessage(msgspec.Struct):
    transcription_event: str = msgspec.field(name="TranscriptionEvent", default="")
    transcription_sid: str = msgspec.field(name="TranscriptionSid", default="")
    call_sid: str = msgspec.field(name="CallSid", default="")
    track: str = msgspec.field(name="Track", default="")
    final: bool = msgspec.field(name="Final", default=False)
    timestamp: str = msgspec.field(name="Timestamp", default="")
    transcription_data: Any = msgspec.field(name="TranscriptionData", default=None)
    type: str = ""
    event: str = ""
    session_id: str = msgspec.field(name="sessionId", default="")
    voice_prompt: str = msgspec.field(name="voicePrompt", default="")
    token: str = ""
    last: bool = False


_TRANSCRIPTION: dict[str, IgnoredReason] = {"transcription-started": "metadata", "transcription-error": "error"}
_RELAY: dict[str, IgnoredReason] = {"dtmf": "metadata", "error": "error", "info": "metadata", "debug": "metadata"}
_CALLER, _AGENT = "caller", "agent"
"""Scopes of ConversationRelay; also its speakers."""


def _read(value: _TwilioMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.transcription_event:
        return _read_transcription(value, context)
    if value.type in ("setup", "prompt", "text", "interrupt"):
        return _read_relay(value, context)
    return (Ignored(_RELAY.get(value.type, "other_event") if value.type or value.event else "unknown_shape"),)


def _read_transcription(value: _TwilioMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    kind = value.transcription_event
    begin = f"{value.transcription_sid}/" if value.transcription_sid else ""
    if kind == "transcription-stopped":
        session = context.session_name(value.call_sid or value.transcription_sid or None)
        return [*close_open(context, session, begin), Ignored("metadata")]
    if kind != "transcription-content":
        return (Ignored(_TRANSCRIPTION.get(kind, "other_event")),)
    data = value.transcription_data
    if isinstance(data, str):
        data = decode_inner_json(data, "TranscriptionData")
    if data is None:
        return (Ignored("unknown_shape"),)
    update = Update(
        session=context.session_name(value.call_sid or value.transcription_sid or None),
        segment="",
        text=convert(data, _TranscriptionData).transcript,
        final=value.final,
        time=parse_timestamp(value.timestamp),
        speaker=value.track or None,
        channel=value.track or None,
    )
    return write_unnamed(context, f"{begin}{value.track or 'audio'}", update)


def _read_relay(value: _TwilioMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    session = context.session_name(value.session_id or None)
    if value.type == "setup":
        return [*close_open(context, session), Ignored("metadata")]
    if value.type == "interrupt":
        return [*close_open(context, session, f"{_AGENT}:"), Ignored("metadata")]
    if value.type == "prompt":
        update = Update(session=session, segment="", text=value.voice_prompt, final=value.last, speaker=_CALLER)
        return write_unnamed(context, _CALLER, update)
    name = context.open_segment(session, _AGENT)
    existing = context.segments(session).get(name)
    if not value.token and existing is None:
        return (Ignored("no_text"),)
    said = Update(session=session, segment=name, text=value.token, mode="append", final=value.last, speaker=_AGENT)
    return (said,) if existing is not None else write_named(None, said)


def _unwrap_form(value: bytes) -> bytes:
    """Return the fields of a form as JSON; other values are left."""
    if b"TranscriptionEvent=" not in value or value.lstrip()[:1] in (b"{", b"["):
        return value
    return msgspec.json.encode(dict(parse_qsl(value.decode().strip(), keep_blank_values=True)))


_TYPES = ("setup", "prompt", "interrupt", "text")


def _recognises(value: dict[str, Any]) -> bool:
    if not {"TranscriptionEvent", "transcriptionEvent"}.isdisjoint(value):
        return True
    if value.get("type") == "setup":
        return {"sessionId", "callSid"} <= value.keys()
    if value.get("type") == "text":
        return {"token", "last"} <= value.keys()
    return value.get("type") in _TYPES and not {"voicePrompt", "utteranceUntilInterrupt"}.isdisjoint(value)


FORMAT = Format("twilio", _read, _recognises, _TwilioMessage, prepare=_unwrap_form)
