"""WhisperLive: a rolling window of segments is sent repeatedly; all but the last are completed.

A segment is named by its connection (`uid`) and its start; times are strings. The window contains all incomplete
segments, so an open segment that is no longer in it is deleted.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.utterances import is_late, timed_name, write_named
from consumers.formats.word_times import TimedText, add_word_times
from stream.messages.types import Delete, Message, Update


class _WhisperliveWord(msgspec.Struct):
    word: str = ""
    start: float | None = None
    end: float | None = None


class _WhisperliveSegment(msgspec.Struct):
    start: float | str
    end: float | str
    text: str = ""
    completed: bool = False
    speaker: str | None = None
    words: list[_WhisperliveWord] | None = None


class _WhisperliveWindow(msgspec.Struct):
    uid: str = ""
    segments: list[_WhisperliveSegment] = []
    message: str | float | None = None


def _read(value: _WhisperliveWindow, context: FormatContext) -> Iterator[Message]:
    if value.message == "DISCONNECT":
        yield from context.end_session(value.uid or None)
    if not value.segments:
        return
    session, scope = context.session_name(value.uid or None), value.uid[:8] or "audio"
    existing = context.segments(session)
    window: dict[str, Update] = {}
    for segment in value.segments:
        update = _update(session, scope, segment)
        if update.final or update.segment not in window:
            window[update.segment] = update
    mine = {name: x for name, x in existing.items() if name.startswith(f"{scope}@")}
    for name, open_one in mine.items():
        if not open_one.closed and name not in window:
            yield Delete(session=session, segment=name)
    for update in window.values():
        known = existing.get(update.segment)
        is_old = known is not None and known.closed and known.text == update.text
        start, end = float(update.segment.rpartition("@")[2]), update.time or 0.0
        if not is_old and (update.final or not is_late(mine, scope, start, end)):
            yield from write_named(known, update)


def _update(session: str, scope: str, segment: _WhisperliveSegment) -> Update:
    start, end = float(segment.start), float(segment.end)
    update = Update(
        session=session,
        segment=timed_name(scope, start),
        text=segment.text,
        final=segment.completed,
        time=end,
        speaker=segment.speaker,
    )
    whole = [TimedText(word, start, end) for word in segment.text.split()]
    return add_word_times(update, [TimedText(x.word, x.start, x.end) for x in segment.words or []], whole)


def _recognises(value: dict[str, Any]) -> bool:
    if not isinstance(value.get("uid"), str):
        return False
    return isinstance(value.get("segments"), list) or not {"message", "status", "language"}.isdisjoint(value)


FORMAT = Format("whisperlive", _read, _recognises, _WhisperliveWindow)
