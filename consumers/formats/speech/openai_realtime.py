"""OpenAI realtime transcription: a delta appends, `completed` replaces and closes.

A segment is an item, or a later part of its content. Diarizing models send segments with a speaker.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, delete_segment
from consumers.formats.utterances import write_named
from consumers.formats.word_times import TimedText, add_word_times
from stream.messages.types import Message, Update

_PREFIX = "conversation.item.input_audio_transcription."


class _OpenaiEvent(msgspec.Struct):
    type: str
    item_id: str = ""
    content_index: int = 0
    delta: str = ""
    transcript: str = ""
    text: str = ""
    speaker: str | None = None
    start: float | None = None
    end: float | None = None


def _read(value: _OpenaiEvent, context: FormatContext) -> Iterable[Message]:
    kind = value.type.removeprefix(_PREFIX)
    if not value.item_id or kind not in ("delta", "segment", "completed", "failed", "conversation.item.deleted"):
        return ()
    session = context.session_name()
    segment = f"{value.item_id}/{value.content_index}" if value.content_index else value.item_id
    if kind == "conversation.item.deleted":
        return delete_segment(context, session, segment)
    existing = context.segments(session).get(segment)
    if kind == "failed":  # no more text will come
        text = existing.text if existing else ""
        return write_named(existing, Update(session=session, segment=segment, text=text, final=True))
    if kind == "completed":
        return write_named(existing, Update(session=session, segment=segment, text=value.transcript, final=True))
    if existing is not None and existing.closed:
        return ()
    if kind == "delta":
        return _append(session, segment, value.delta)
    if existing is not None and value.text.strip() in existing.text:
        return ()  # already received as deltas
    text = value.text if existing is None or value.text[:1].isspace() else f" {value.text}"
    return _append(session, segment, text, [TimedText(x, value.start, value.end, value.speaker) for x in text.split()])


def _append(session: str, segment: str, text: str, pieces: Iterable[TimedText] = ()) -> Iterable[Message]:
    update = Update(session=session, segment=segment, text=text, mode="append")
    return (add_word_times(update, pieces),) if text else ()


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind.startswith(("conversation.item.", "input_audio_buffer."))


FORMAT = Format("openai-realtime", _read, _recognises, _OpenaiEvent)
