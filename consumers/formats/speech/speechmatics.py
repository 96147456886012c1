"""Speechmatics, realtime and Agent STT (and the voice SDK's messages of the same names).

Realtime: an `AddTranscript` is a piece that stays, a partial replaces what follows the last piece, and `EndOfUtterance`
closes. Pieces are joined as they are; a full stop that comes behind the end belongs to the utterance before it. Agent
STT: each `AddSegment` is a segment, its partials replace it. Realtime messages that such a stream passes on repeat it,
and are ignored.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from consumers.formats.base import (
    Format,
    FormatContext,
    Ignored,
    IgnoredReason,
    OpenText,
    check_results,
    close_open,
)
from consumers.formats.convert import Seconds
from consumers.formats.similarity import is_part_of
from consumers.formats.speech.pieces import Piece, write_pieces
from consumers.formats.utterances import last_closed_name, write_timed, write_unnamed
from consumers.formats.word_times import TimedText, last_end
from stream.messages.types import Delete, Message, Update


class _Spoken(msgspec.Struct):
    content: str = ""
    speaker: str | None = None


class _SpeechmaticsResult(msgspec.Struct):
    type: str = ""
    start_time: Seconds | None = None
    end_time: Seconds | None = None
    attaches_to: str = ""
    alternatives: list[_Spoken] = []


class _SegmentMetadata(msgspec.Struct):
    start_time: Seconds | None = None
    end_time: Seconds | None = None
    transcript: str | None = None


class _AgentSegment(msgspec.Struct):
    transcript: str = ""
    text: str = ""
    speaker: str | None = None
    speaker_id: str | None = None
    metadata: _SegmentMetadata | None = None


class _SpeechmaticsMessage(msgspec.Struct):
    message: str = ""
    metadata: _SegmentMetadata = msgspec.field(default_factory=_SegmentMetadata)
    results: list[_SpeechmaticsResult] = []
    channel: str | None = None
    segment: _AgentSegment | None = None
    segments: list[_AgentSegment] = []


_CONTROL: dict[str, IgnoredReason] = {
    "RecognitionStarted": "metadata",
    "AudioAdded": "keep_alive",
    "ChannelAudioAdded": "keep_alive",
    "Info": "metadata",
    "Warning": "metadata",
    "Error": "error",
    "EndOfTranscript": "metadata",
    "EndOfUtterance": "metadata",
    "StartOfTurn": "metadata",
    "EndOfTurn": "metadata",
    "EndOfTurnPrediction": "metadata",
    "SpeakersResult": "metadata",
    "SpeakerStarted": "metadata",
    "SpeakerEnded": "metadata",
    "VADStatus": "metadata",
}
_ENDS = ("RecognitionStarted", "EndOfTranscript", "EndOfTurn")
"""Messages behind which no piece of an open segment comes."""
_AGENT = "segment"
"""Scope of the segments of Agent STT."""


def _read(value: _SpeechmaticsMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.message in ("AddPartialSegment", "AddSegment"):
        return _read_segments(value, context)
    if value.message in ("AddPartialTranscript", "AddTranscript"):
        return _read_transcript(value, context)
    if value.message not in _CONTROL:
        return (Ignored("other_event" if value.message else "unknown_shape"),)
    closed: list[Message | Ignored] = []
    if value.message in _ENDS or value.message == "EndOfUtterance":
        begin = f"{_scope(value)}:" if value.message == "EndOfUtterance" else ""
        closed = close_open(context, context.session_name(), begin)
    return [*closed, Ignored(_CONTROL[value.message])]


def _scope(value: _SpeechmaticsMessage) -> str:
    return f"channel-{value.channel}" if value.channel else "audio"


def _read_transcript(value: _SpeechmaticsMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    session, scope = context.session_name(), _scope(value)
    if any(x.startswith(_AGENT) for x in context.segments(session)):
        return (Ignored("repeat"),)
    text, is_final = _text(value), value.message == "AddTranscript"
    if is_final and not text:
        return (Ignored("no_text"),)
    existing = context.segments(session).get(context.open_segment(session, scope))
    behind = _write_behind(context, session, scope, existing, text, is_final)
    if behind is not None:
        return (behind,)
    words = _words(value)
    if is_final:
        return write_pieces(context, session, scope, [Piece(text, confirmed_words=words)], value.channel)
    base = existing.text[: existing.confirmed] if existing else ""
    gap = " " if _is_joined(base, text) else ""
    return write_pieces(context, session, scope, [Piece(interim=gap + text, interim_words=words)], value.channel)


def _write_behind(
    context: FormatContext, session: str, scope: str, existing: OpenText | None, text: str, is_final: bool
) -> Message | Ignored | None:
    """Return the edit of the utterance that has ended, if this belongs to it; None if it does not.

    These are a mark that comes behind the end, and words that were interim at the end.
    """
    name = last_closed_name(context, session, scope)
    if name is None or (existing is not None and (existing.closed or existing.confirmed)):
        return None
    closed = context.segments(session)[name]
    base, interim = closed.text[: closed.confirmed], closed.text[closed.confirmed :]
    if text.strip() and not any(map(str.isalnum, text)):
        if not is_final:
            return Ignored("no_text") if existing is None else None
        if closed.text.rstrip().endswith(text.strip()):
            return Ignored("repeat")
        base = closed.text.rstrip()
    elif existing is not None or not interim.strip() or not text.strip() or not _is_alike(text, interim):
        return None
    elif not is_final:
        return Ignored("late")
    return Update(session=session, segment=name, text=base + text, final=True, confirmed=len(base + text))


def _is_alike(text: str, interim: str) -> bool:
    return is_part_of(text.strip(), interim.strip()) or is_part_of(interim.strip(), text.strip())


def _is_joined(base: str, text: str) -> bool:
    """Whether an interim text would run into the confirmed one; both are of a script with blanks."""
    ends = base[-1:] + text[:1]
    return len(ends) == 2 and ends.isalnum() and all(ord(x) < 0x2E80 for x in ends)


def _text(value: _SpeechmaticsMessage) -> str:
    if value.metadata.transcript is not None:
        return value.metadata.transcript
    text, attaches = "", True
    for x in value.results:
        if x.alternatives and x.alternatives[0].content:
            text += ("" if attaches or x.attaches_to in ("previous", "both") else " ") + x.alternatives[0].content
            attaches = x.attaches_to in ("next", "both")
    return f"{text} " if text and value.message == "AddTranscript" else text


def _words(value: _SpeechmaticsMessage) -> list[TimedText]:
    """Return timed words; a mark has no time of its own."""
    return [
        TimedText(x.alternatives[0].content)
        if x.type == "punctuation"
        else TimedText(x.alternatives[0].content, x.start_time, x.end_time, x.alternatives[0].speaker)
        for x in value.results
        if x.alternatives
    ]


def _read_segments(value: _SpeechmaticsMessage, context: FormatContext) -> Iterator[Message | Ignored]:
    listed = [value.segment] if value.segment is not None else value.segments
    if not listed:
        yield Ignored("no_text" if value.segment is None and not value.results else "unknown_shape")
        return
    check_results(listed)
    session, final = context.session_name(), value.message == "AddSegment"
    found: dict[str, Message | Ignored] = {}
    for x in listed:
        metadata = x.metadata or value.metadata
        text, speaker = x.transcript or x.text, x.speaker or x.speaker_id
        # the voice SDK has open segments of several speakers
        scope = f"{_AGENT}-{x.speaker_id}" if x.speaker_id else _AGENT
        update = Update(session=session, segment="", text=text, final=final, time=metadata.end_time, speaker=speaker)
        moment = context.after([y for y in found.values() if isinstance(y, Update | Delete)])
        if metadata.start_time is None:
            results = write_unnamed(moment, scope, update)
        else:
            end = metadata.start_time if metadata.end_time is None else metadata.end_time
            results = write_timed(moment, scope, update, metadata.start_time, end)
        for y in results:
            found["" if isinstance(y, Ignored) else y.segment] = y
    yield from found.values()
    starts = [at for x in listed if (at := (x.metadata or value.metadata).start_time) is not None]
    yield from _said_before(context, session, min(starts, default=float("inf")))


def _said_before(context: FormatContext, session: str, begin: float) -> Iterator[Delete]:
    """Delete what realtime messages have said already of the words of segments, at the beginning of a stream."""
    for name, x in context.segments(session).items():
        is_realtime = name.startswith(("audio:", "channel-"))
        if is_realtime and x.applied < context.offset and (not x.closed or (last_end(x.times) or 0.0) > begin):
            yield Delete(session=session, segment=name)


_NAMES = frozenset(_CONTROL) - {"Info", "Warning", "Error"} | {"AddPartialTranscript", "AddTranscript"}
_OF_AGENT = ("AddPartialSegment", "AddSegment")


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("message")
    if not isinstance(kind, str):
        return False
    if kind in _OF_AGENT:
        return not {"segment", "segments"}.isdisjoint(value)
    if kind in ("Info", "Warning", "Error"):
        return "type" in value and "reason" in value
    return kind in _NAMES


FORMAT = Format("speechmatics", _read, _recognises, _SpeechmaticsMessage)
