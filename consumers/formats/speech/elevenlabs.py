"""ElevenLabs Scribe, realtime: a partial replaces, a commit closes. Utterances have no names; one is open at a time.

With timestamps or language detection each commit comes twice, first plain, then with words: one utterance. Right behind
a commit a partial may echo its text, which opens nothing. A commit that says the same as the one before is a repeat
unless a partial came between: `confirmed` of a closed segment is 0 from then on.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason, OpenText, close_open
from consumers.formats.convert import Seconds
from consumers.formats.similarity import normalise_word
from consumers.formats.utterances import last_closed_name, write_named
from consumers.formats.word_times import TimedText, add_word_times
from stream.messages.types import Message, Update


class _ScribeWord(msgspec.Struct):
    text: str = ""
    start: Seconds | None = None
    end: Seconds | None = None
    speaker_id: str | None = None


class _ScribeMessage(msgspec.Struct):
    message_type: str = ""
    text: str = ""
    words: list[_ScribeWord] = []
    error: Any = None


_SCOPE = "audio"
_CONTROL: dict[str, IgnoredReason] = {
    "session_started": "metadata",
    "warning": "metadata",
    "input_audio_chunk": "other_event",
}
_ERRORS = ("error", "_error", "_exceeded", "rate_limited", "_limited", "_terms", "queue_overflow")
"""Ends of the names of errors."""


def _read(value: _ScribeMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    kind = value.message_type
    if kind == "partial_transcript":
        return _read_partial(value.text, context, context.session_name())
    if kind == "committed_transcript":
        return _read_commit(value, context, context.session_name())
    if kind == "committed_transcript_with_timestamps":
        return _read_timed(value, context, context.session_name())
    if value.error is not None or kind.endswith(_ERRORS):
        return (Ignored("error"),)
    if kind == "session_started":
        return [*close_open(context, context.session_name()), Ignored("metadata")]
    return (Ignored(_CONTROL.get(kind, "other_event") if kind else "unknown_shape"),)


def _read_partial(text: str, context: FormatContext, session: str) -> Iterable[Message | Ignored]:
    name = context.open_segment(session, _SCOPE)
    existing = context.segments(session).get(name)
    before = last_closed_name(context, session, _SCOPE)
    if existing is None and before is not None and text.strip():
        closed = context.segments(session)[before]
        if _words(text) == _words(closed.text):
            if not closed.confirmed:
                return (Ignored("repeat"),)
            return (Update(session=session, segment=before, text=closed.text, final=True, confirmed=0),)
    return write_named(existing, Update(session=session, segment=name, text=text))


def _words(text: str) -> list[str]:
    return [normalise_word(x) for x in text.split()]


def _read_commit(value: _ScribeMessage, context: FormatContext, session: str) -> Iterable[Message | Ignored]:
    name = context.open_segment(session, _SCOPE)
    existing, before = context.segments(session).get(name), last_closed_name(context, session, _SCOPE)
    if existing is None and before is not None:
        closed = context.segments(session)[before]
        if closed.confirmed and closed.text == value.text and not _is_elsewhere(closed, value):
            return (Ignored("repeat"),)
    return write_named(existing, _timed(value, session, name))


def _read_timed(value: _ScribeMessage, context: FormatContext, session: str) -> Iterable[Message | Ignored]:
    """The twin of a plain commit brings its times; one whose plain commit was not received is a commit."""
    if not value.text.strip():
        return (Ignored("no_text"),)
    before = last_closed_name(context, session, _SCOPE)
    if before is None or _words(context.segments(session)[before].text) != _words(value.text):
        return _read_commit(value, context, session)
    closed = context.segments(session)[before]
    if any(closed.times) or not any(x.start is not None for x in value.words):
        return _read_commit(value, context, session) if _is_elsewhere(closed, value) else (Ignored("repeat"),)
    update = _timed(value, session, before)
    return (msgspec.structs.replace(update, confirmed=closed.confirmed),)


def _is_elsewhere(closed: OpenText, value: _ScribeMessage) -> bool:
    """Whether a commit has other times than one of the same text."""
    begin = next((x.start for x in value.words if x.start is not None and x.text.strip()), None)
    first = next((x.start for x in closed.times if x is not None), None)
    return None not in (begin, first) and begin != first


def _timed(value: _ScribeMessage, session: str, name: str) -> Update:
    update = Update(session=session, segment=name, text=value.text, final=True, confirmed=len(value.text))
    return add_word_times(update, [TimedText(x.text, x.start, x.end, x.speaker_id) for x in value.words])


_TYPES = ("partial_transcript", "committed_transcript", "committed_transcript_with_timestamps", "session_started")


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("message_type")
    return isinstance(kind, str) and (
        kind in _TYPES or (kind.endswith(_ERRORS) and isinstance(value.get("error"), str))
    )


FORMAT = Format("elevenlabs", _read, _recognises, _ScribeMessage)
