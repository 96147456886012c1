"""Zoom RTMS, media socket: each transcript is whole, a closed segment. It is named by its speaker and time.

Messages are told apart by their `msg_type`. Times are milliseconds or microseconds since 1970; contact centers name a
channel instead of a user.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason
from consumers.formats.convert import convert
from consumers.formats.utterances import write_named
from consumers.formats.word_times import TimedText, add_word_times, first_start, to_name
from stream.messages.types import Message, Update


class _ZoomContent(msgspec.Struct):
    user_id: str | None = None
    channel_id: str | None = None
    data: str | None = None
    timestamp: float | None = None
    start_time: float | None = None
    end_time: float | None = None


class _ZoomMessage(msgspec.Struct):
    msg_type: int | None = None
    content: Any = None
    """Other messages have other types here."""
    status_code: int = 0


_TRANSCRIPT = 17
_MEDIA = range(14, 19)
"""Audio, video, screen, transcript and chat."""
_CONTROL: dict[int, IgnoredReason] = {12: "keep_alive", 13: "keep_alive"}
_MICROSECONDS = 1e14
"""Times from here on are microseconds; as milliseconds they would be after the year 5000."""


def _read(value: _ZoomMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.msg_type is None:
        return (Ignored("unknown_shape"),)
    if value.msg_type != _TRANSCRIPT:
        other = "other_event" if value.msg_type in _MEDIA else "error" if value.status_code else "metadata"
        return (Ignored(_CONTROL.get(value.msg_type, other)),)  # type: ignore[arg-type]
    content = _ZoomContent() if value.content is None else convert(value.content, _ZoomContent)
    if content.data is None:
        return (Ignored("unknown_shape"),)
    session = context.session_name()
    speaker, channel = to_name(content.user_id), to_name(content.channel_id)
    end = _seconds(content.timestamp if content.end_time is None else content.end_time)
    start = end if content.start_time is None else _seconds(content.start_time)
    who = speaker or channel or "audio"
    said = [x for name, x in context.segments(session).items() if name.startswith((f"{who}@", f"{who}:"))]
    if start is not None and any(
        x.text == content.data and first_start(x.times) == start and x.applied < context.offset for x in said
    ):
        return (Ignored("repeat"),)
    name = f"{who}:{context.offset}" if start is None else f"{who}@{start:.3f}"
    existing = context.segments(session).get(name)
    if existing is not None and existing.text != content.data:  # another one that begins at the same time
        name = f"{who}:{context.offset}"
    update = Update(
        session=session, segment=name, text=content.data, final=True, time=end, speaker=speaker, channel=channel
    )
    if start is not None and end is not None and start < end:
        update = add_word_times(update, [TimedText(x, start, end) for x in content.data.split()])
    return write_named(context.segments(session).get(name), update)


def _seconds(stamp: float | None) -> float | None:
    """Seconds since 1970."""
    if stamp is None:
        return None
    return stamp / 1e6 if stamp >= _MICROSECONDS else stamp / 1e3


def _recognises(value: dict[str, Any]) -> bool:
    content = value.get("content")
    if value.get("msg_type") in (12, 13) and "timestamp" in value:
        return True
    return value.get("msg_type") == _TRANSCRIPT and isinstance(content, dict) and "data" in content


FORMAT = Format("zoom", _read, _recognises, _ZoomMessage)
