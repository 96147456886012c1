"""OpenAI realtime transcription: a delta appends, `completed` replaces and closes.

A segment is an item, or a later part of its content. Diarizing models send segments with a speaker.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, OpenText
from consumers.formats.convert import Seconds
from consumers.formats.utterances import write_named
from consumers.formats.word_times import TimedText, add_word_times
from stream.messages.types import Delete, Message, Update

_PREFIX = "conversation.item.input_audio_transcription."


class _OpenaiEvent(msgspec.Struct):
    type: str = ""
    item_id: str = ""
    content_index: int = 0
    delta: str = ""
    transcript: str = ""
    text: str = ""
    speaker: str | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    status: str | None = None
    """`in_progress`: servers with this interface send the text so far as `completed`."""


_KINDS = ("delta", "segment", "completed", "failed", "conversation.item.deleted")
_METADATA = ("session.", "transcription_session.", "input_audio_buffer.", "conversation.", "rate_limits.")


def _read(value: _OpenaiEvent, context: FormatContext) -> Iterable[Message | Ignored]:
    kind = value.type.removeprefix(_PREFIX)
    if kind not in _KINDS:
        if value.type == "error":
            return (Ignored("error"),)
        is_known = value.type.startswith(_METADATA)
        return (Ignored("metadata" if is_known else "other_event" if value.type else "unknown_shape"),)
    if not value.item_id:
        return (Ignored("unknown_shape"),)
    session = context.session_name()
    segment = f"{value.item_id}/{value.content_index}" if value.content_index else value.item_id
    if kind == "conversation.item.deleted":
        parts = [Delete(session=session, segment=x) for x in _parts(context.segments(session), value.item_id)]
        return parts or (Ignored("nothing_to_delete"),)
    existing = context.segments(session).get(segment)
    if kind == "failed":  # no more text will come
        text = existing.text if existing else ""
        closed = write_named(existing, Update(session=session, segment=segment, text=text, final=True))
        return [*(x for x in closed if not isinstance(x, Ignored)), Ignored("error")]
    if kind == "completed":
        final = value.status != "in_progress"
        return write_named(existing, Update(session=session, segment=segment, text=value.transcript, final=final))
    if existing is not None and existing.closed:
        return (Ignored("late"),)
    if kind == "delta":
        return _append(session, segment, value.delta)
    if existing is not None and _is_known(existing, value):
        return (Ignored("repeat"),)
    text = value.text if existing is None or value.text[:1].isspace() else f" {value.text}"
    return _append(session, segment, text, [TimedText(x, value.start, value.end, value.speaker) for x in text.split()])


def _parts(segments: Mapping[str, OpenText], item: str) -> list[str]:
    """Return the names of an item's parts, which are deleted together."""
    return [x for x in segments if x == item or (x.startswith(f"{item}/") and x[len(item) + 1 :].isdecimal())]


def _is_known(existing: OpenText, value: _OpenaiEvent) -> bool:
    """Whether a segment of a diarizing model has been received, as deltas (which have no times) or as itself."""
    if not any(existing.times):
        return value.text.strip() in existing.text
    return any(x is not None and x[:2] == (value.start, value.end) for x in existing.times)


def _append(session: str, segment: str, text: str, pieces: Iterable[TimedText] = ()) -> Iterable[Message | Ignored]:
    update = Update(session=session, segment=segment, text=text, mode="append")
    return (add_word_times(update, pieces) if text.strip() else update if text else Ignored("no_text"),)


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind.startswith(("conversation.item.", "input_audio_buffer."))


FORMAT = Format("openai-realtime", _read, _recognises, _OpenaiEvent)
