"""Azure Speech: a hypothesis replaces, a phrase is final. Times are ticks of 100 ns.

A segment is named by its channel and its `Offset`; a phrase with another start than its hypotheses replaces them.
Values are the service's own messages (`speech.hypothesis`, `speech.phrase`), which SDKs provide as a result's JSON.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, close_open
from consumers.formats.convert import Seconds, convert
from consumers.formats.decode import decode_inner_json
from consumers.formats.utterances import write_timed
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update

_TICKS = 10_000_000


class _AzureWord(msgspec.Struct, rename="pascal"):
    word: str = ""
    display_text: str = ""
    offset: float = 0.0
    duration: float = 0.0


class _Best(msgspec.Struct, rename="pascal"):
    display: str | None = None
    lexical: str = ""
    words: list[_AzureWord] = []
    display_words: list[_AzureWord] = []


class _AzureResult(msgspec.Struct, rename="pascal"):
    text: str | None = None
    recognition_status: str | None = None
    display_text: str | None = None
    offset: float | None = None
    offset_in_ticks: float | None = None
    """Name of the offset in the result objects of SDKs."""
    duration: float | str = 0.0
    best: list[_Best] = msgspec.field(name="NBest", default=[])
    speaker_id: str | None = None
    channel: str | None = None
    reason: str | None = None
    """State of a result object: its name or its number."""
    error_details: str | None = None
    json: str | None = msgspec.field(name="privJson", default=None)
    """The service's message in a result object that JavaScript writes."""


_RECOGNIZED, _CLOSED, _CANCELED = ("RecognizedSpeech", "3"), ("NoMatch", "0"), ("Canceled", "1")


def _read(value: _AzureResult, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.json is not None:
        value = convert(decode_inner_json(value.json, "privJson"), _AzureResult)
    status = value.recognition_status
    if status == "Error" or value.reason in _CANCELED:  # the end of the stream: what was heard stands
        is_error = status == "Error" or value.error_details is not None
        closed = close_open(context, context.session_name())
        return [*closed, Ignored("error" if is_error else "metadata")]
    is_final = status is not None or value.reason in (*_RECOGNIZED, *_CLOSED)
    if value.text is None and not is_final:
        return (Ignored("unknown_shape" if value.offset is None else "metadata"),)
    best = value.best[0] if value.best else _Best()
    text = (value.display_text or best.display or best.lexical or value.text) if is_final else value.text
    offset = value.offset_in_ticks if value.offset is None else value.offset
    start = (offset or 0.0) / _TICKS
    end = start + _duration(value.duration)
    channel = to_name(value.channel)
    scope = f"channel-{channel}" if channel else "audio"
    update = Update(
        session=context.session_name(),
        segment="",
        text=(text or "") if status in (None, "Success", "0") and value.reason not in _CLOSED else "",
        final=is_final,
        time=end,
        speaker=None if value.speaker_id == "Unknown" else to_name(value.speaker_id),
        channel=channel,
    )
    update = add_word_times(update, _pieces(best.display_words), _pieces(best.words))
    return write_timed(context, scope, update, start, end)


def _duration(value: float | str) -> float:
    """Seconds of a duration: ticks, or a time span as .NET and Java write it."""
    if isinstance(value, str) and not value.strip().isdigit():
        return float(convert(value, Seconds))
    return float(value) / _TICKS


def _pieces(words: list[_AzureWord]) -> list[TimedText]:
    return [TimedText(x.display_text or x.word, x.offset / _TICKS, (x.offset + x.duration) / _TICKS) for x in words]


def _recognises(value: dict[str, Any]) -> bool:
    if not {"RecognitionStatus", "recognitionStatus", "privJson"}.isdisjoint(value):
        return True
    return {"Text", "Offset", "Duration"} <= value.keys()


FORMAT = Format("azure", _read, _recognises, _AzureResult)
