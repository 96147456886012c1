"""Deepgram live (Nova): an interim result replaces all text since the last `is_final`.

A segment is named by its connection (`request_id`), its channel and its start. Several final results may precede one
`speech_final`; each is a segment.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.convert import Seconds, convert
from consumers.formats.utterances import write_timed
from consumers.formats.word_times import SpeakerWord, TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _DeepgramWord(SpeakerWord):
    punctuated_word: str | None = None


class _DeepgramAlternative(msgspec.Struct):
    transcript: str = ""
    words: list[_DeepgramWord] = []


class _Channel(msgspec.Struct):
    alternatives: list[_DeepgramAlternative] = []


class _DeepgramMetadata(msgspec.Struct):
    request_id: str = ""


class _Results(msgspec.Struct):
    type: str = ""
    start: Seconds = 0.0
    duration: Seconds = 0.0
    is_final: bool = False
    channel: Any = None
    """A list in `SpeechStarted` and `UtteranceEnd`."""
    channel_index: list[int] = []
    metadata: _DeepgramMetadata | None = None


_METADATA = ("Metadata", "SpeechStarted", "UtteranceEnd", "Connected", "Warning", "Open", "Close")


def _read(value: _Results, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.type != "Results":
        if value.type in _METADATA:
            return (Ignored("metadata"),)
        if value.type == "Error":
            return (Ignored("error"),)
        if value.type == "KeepAlive":
            return (Ignored("keep_alive"),)
        return (Ignored("other_event" if value.type else "unknown_shape"),)
    if value.channel is None:
        return (Ignored("unknown_shape"),)
    alternatives = convert(value.channel, _Channel).alternatives
    if not alternatives:
        return (Ignored("no_text"),)
    best, request = alternatives[0], value.metadata.request_id if value.metadata else ""
    channel = str(value.channel_index[0]) if value.channel_index else "0"
    scope = f"{request}/{channel}" if request else channel
    end = value.start + value.duration
    update = Update(
        session=context.session_name(request or None),
        segment="",
        text=best.transcript,
        final=value.is_final,
        time=end,
        channel=channel if value.channel_index[1:] > [1] else None,  # [channel, channels]
    )
    update = add_word_times(update, _pieces(best, punctuated=True), _pieces(best, punctuated=False))
    return write_timed(context, scope, update, value.start, end)


def _pieces(best: _DeepgramAlternative, punctuated: bool) -> list[TimedText]:
    return [
        TimedText((x.punctuated_word if punctuated else None) or x.word, x.start, x.end, to_name(x.speaker))
        for x in best.words
    ]


def _recognises(value: dict[str, Any]) -> bool:
    if value.get("type") == "Results":
        return isinstance(value.get("channel"), dict) and not {"channel_index", "channelIndex"}.isdisjoint(value)
    if value.get("type") == "Metadata":
        return "request_id" in value
    # AssemblyAI has a `SpeechStarted` too, without a channel
    return value.get("type") in ("SpeechStarted", "UtteranceEnd") and isinstance(value.get("channel"), list)


FORMAT = Format("deepgram", _read, _recognises, _Results)
