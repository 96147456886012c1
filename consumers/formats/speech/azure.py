"""Azure Speech: a hypothesis replaces, a phrase is final. Times are ticks of 100 ns.

A segment is named by its channel and its `Offset`; a phrase with another start than its hypotheses replaces them.
Values are the service's own messages (`speech.hypothesis`, `speech.phrase`), which SDKs provide as a result's JSON.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.utterances import timed_name, write_timed
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
    words: list[_AzureWord] | None = None
    display_words: list[_AzureWord] | None = None


class _AzureResult(msgspec.Struct, rename="pascal"):
    text: str | None = None
    recognition_status: str | None = None
    display_text: str | None = None
    offset: float | None = None
    duration: float = 0.0
    best: list[_Best] | None = msgspec.field(name="NBest", default=None)
    speaker_id: str | None = None
    channel: int | str | None = None


def _read(value: _AzureResult, context: FormatContext) -> Iterable[Message]:
    is_final = value.recognition_status is not None
    if value.offset is None or (value.text is None and not is_final):
        return ()
    best = value.best[0] if value.best else _Best()
    text = (value.display_text or best.display or best.lexical) if is_final else value.text
    start, end = value.offset / _TICKS, (value.offset + value.duration) / _TICKS
    channel = to_name(value.channel)
    scope = f"channel-{channel}" if channel else "audio"
    update = Update(
        session=context.session_name(),
        segment=timed_name(scope, start),
        text=(text or "") if value.recognition_status in (None, "Success") else "",
        final=is_final,
        time=end,
        speaker=None if value.speaker_id == "Unknown" else to_name(value.speaker_id),
        channel=channel,
    )
    update = add_word_times(update, _pieces(best.display_words), _pieces(best.words))
    return write_timed(context, scope, update, start, end)


def _pieces(words: list[_AzureWord] | None) -> list[TimedText]:
    return [
        TimedText(x.display_text or x.word, x.offset / _TICKS, (x.offset + x.duration) / _TICKS) for x in words or []
    ]


def _recognises(value: dict[str, Any]) -> bool:
    return "RecognitionStatus" in value or {"Text", "Offset", "Duration"} <= value.keys()


FORMAT = Format("azure", _read, _recognises, _AzureResult)
