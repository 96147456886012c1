"""WhisperLive: a rolling window of segments is sent repeatedly; all but the last are completed.

A segment is named by its connection (`uid`) and its start. What leaves the window stays; an open segment whose time the
window covers with other segments is deleted. Servers before 0.6 do not mark segments as completed. The TensorRT server
sends texts without times: a segment is then named by its number (`uid#3`), and found again by the texts around it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from consumers.formats.base import Format, FormatContext, Ignored, OpenText, check_results
from consumers.formats.convert import Seconds
from consumers.formats.similarity import is_part_of
from consumers.formats.utterances import Result, write_named, write_windowed
from consumers.formats.word_times import TimedText, VendorWord, add_word_times
from stream.messages.types import Message, Update


class _WhisperliveSegment(msgspec.Struct):
    start: Seconds | None = None
    end: Seconds | None = None
    text: str = ""
    completed: bool | None = None
    speaker: str | None = None
    words: list[VendorWord] = []


class _WhisperliveWindow(msgspec.Struct):
    uid: str = ""
    segments: list[_WhisperliveSegment] | None = None
    message: str | None = None
    status: Any = None
    language: Any = None
    translated_segments: Any = None


def _read(value: _WhisperliveWindow, context: FormatContext) -> Iterator[Message | Ignored]:
    if value.message == "DISCONNECT":
        yield from context.end_session(value.uid or None)
    if not value.segments:
        yield Ignored(_why_nothing(value))
        return
    session, scope = context.session_name(value.uid or None), value.uid or "audio"
    check_results(value.segments)
    window = _complete(value.segments)
    if all(x.start is not None for x in window):
        placed = [(_update(session, x), x.start or 0.0, _end(x)) for x in window]
        yield from write_windowed(context, scope, placed)
    else:
        yield from _write_texts(context, session, scope, [_update(session, x) for x in window])


def _why_nothing(value: _WhisperliveWindow) -> Any:
    if value.segments is not None:
        return "no_text"
    if value.status == "ERROR":
        return "error"
    if (value.message, value.status, value.language) != (None, None, None):
        return "metadata"
    return "other_event" if value.translated_segments is not None else "unknown_shape"


def _complete(segments: Sequence[_WhisperliveSegment]) -> list[_WhisperliveSegment]:
    """Mark all but the last as completed if the server marks none."""
    if any(x.completed is not None for x in segments):
        return list(segments)
    last = len(segments) - 1
    return [replace(x, completed=i < last) for i, x in enumerate(segments)]


def _end(segment: _WhisperliveSegment) -> float:
    return max(segment.start or 0.0, segment.end or 0.0)


def _update(session: str, segment: _WhisperliveSegment) -> Update:
    update = Update(
        session=session,
        segment="",
        text=segment.text,
        final=bool(segment.completed),
        time=None if segment.start is None else _end(segment),
        speaker=segment.speaker,
    )
    whole = [TimedText(word, segment.start, _end(segment)) for word in segment.text.split()]
    return add_word_times(update, [TimedText(x.word, x.start, x.end) for x in segment.words], whole)


def _write_texts(context: FormatContext, session: str, scope: str, window: Sequence[Update]) -> Iterable[Result]:
    """Yield the segments of a window without times: its beginning repeats the last segments that have closed."""
    segments = context.segments(session)
    mine = sorted((number, name) for name in segments if (number := _number(name, scope)) is not None)
    closed = [segments[name] for _, name in mine if segments[name].closed]
    open_names = [name for _, name in mine if not segments[name].closed]
    texts = [x.text.strip() for x in closed]
    repeated = _repeated(texts, [x.text.strip() for x in window if x.final])
    new = [x for x in window[repeated:] if x.text.strip()]
    if not new:
        return [Ignored("repeat" if repeated else "no_text")]
    if _is_late(context, closed, window, repeated):
        return [Ignored("late")]
    names: list[str] = open_names[-1:]
    found: list[Result] = []
    if names and closed and not repeated and not _goes_on(segments[names[0]], new[0]):
        # Another stream: what stands is not overwritten.
        found.append(Update(session=session, segment=names[0], text=segments[names[0]].text, final=True))
        names = []
    following = mine[-1][0] + 1 if mine else 0
    names += [f"{scope}#{following + i}" for i in range(len(new))]
    for update, name in zip(new, names, strict=False):
        found += write_named(segments.get(name), replace(update, segment=name))
    return found


def _number(name: str, scope: str) -> int | None:
    head, _, number = name.rpartition("#")
    return int(number) if head == scope and number.isascii() and number.isdigit() else None


def _repeated(closed: Sequence[str], window: Sequence[str]) -> int:
    """Return how many texts at the beginning of the window are the last that have closed."""
    counts = range(min(len(closed), len(window)), 0, -1)
    return next((n for n in counts if closed[-n:] == list(window[:n])), 0)


def _is_late(context: FormatContext, closed: Sequence[OpenText], window: Sequence[Update], repeated: int) -> bool:
    """Whether a window was sent before what has closed: its texts stand, and more after them."""
    if repeated or not closed:
        return False
    done = [x.text.strip() for x in window if x.final]
    texts = [x.text.strip() for x in closed]
    within = any(texts[i : i + len(done)] == done for i in range(len(texts))) if done else False
    read_again = any(x.applied >= context.offset for x in closed)
    return within or (read_again and any(is_part_of(window[-1].text, x.text) for x in closed))


def _goes_on(existing: OpenText, update: Update) -> bool:
    return is_part_of(update.text, existing.text) or is_part_of(existing.text, update.text)


def _recognises(value: dict[str, Any]) -> bool:
    if not isinstance(value.get("uid"), str):
        return False
    return isinstance(value.get("segments"), list) or not {"message", "status", "language"}.isdisjoint(value)


FORMAT = Format("whisperlive", _read, _recognises, _WhisperliveWindow)
