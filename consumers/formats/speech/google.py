"""Google Speech-to-Text, v1 and v2, as JSON in either spelling (`is_final` or `isFinal`).

Utterances have no names: a channel has one open at a time, named by the message that opened it. The stable and the
unstable part of one response form one text; a final part comes first and closes the utterance. `stability` is ignored
(0.0 means that it was not set).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from consumers.formats.base import Format, FormatContext
from consumers.formats.utterances import write_named, write_unnamed
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _Duration(msgspec.Struct):
    seconds: float = 0.0
    nanos: float = 0.0


_Time = _Duration | str | None
"""The JSON form of a protobuf duration is "1.500s"; some clients send its fields."""


class _GoogleWord(msgspec.Struct):
    word: str = ""
    start_time: _Time = None
    end_time: _Time = None
    start_offset: _Time = None
    end_offset: _Time = None
    speaker_tag: int = 0
    speaker_label: str = ""


class _GoogleAlternative(msgspec.Struct):
    transcript: str = ""
    words: list[dict[str, Any]] = []


class _GoogleResult(msgspec.Struct):
    alternatives: list[_GoogleAlternative] = []
    is_final: bool = False
    result_end_time: _Time = None
    result_end_offset: _Time = None
    channel_tag: int = 0


class _Response(msgspec.Struct):
    results: list[dict[str, Any]] = []


def _read(value: _Response, context: FormatContext) -> Iterator[Message]:
    channels: dict[int, list[_GoogleResult]] = {}
    for fields in value.results:
        result = msgspec.convert(_snake_case(fields), _GoogleResult)
        if result.alternatives:
            channels.setdefault(result.channel_tag, []).append(result)
    for channel, results in channels.items():
        final = [x for x in results if x.is_final]
        interim = [x for x in results if not x.is_final]
        scope = f"channel-{channel}" if channel else "audio"
        if final:
            yield from write_unnamed(context, scope, _join(context, channel, final))
        if interim and final:
            behind = replace(_join(context, channel, interim), segment=f"{scope}:{context.offset}.5")
            yield from write_named(context.segments(behind.session).get(behind.segment), behind)
        elif interim:
            yield from write_unnamed(context, scope, _join(context, channel, interim))


def _join(context: FormatContext, channel: int, results: Sequence[_GoogleResult]) -> Update:
    """Join results of one channel to one update."""
    last = results[-1]
    update = Update(
        session=context.session_name(),
        segment="",
        text="".join(x.alternatives[0].transcript for x in results),
        final=last.is_final,
        time=_seconds(last.result_end_time or last.result_end_offset),
        channel=str(channel) if channel else None,
    )
    words = [msgspec.convert(_snake_case(word), _GoogleWord) for x in results for word in x.alternatives[0].words]
    return add_word_times(update, [_timed_text(word) for word in words])


def _timed_text(word: _GoogleWord) -> TimedText:
    # JSON omits a start of zero.
    start, end = _seconds(word.start_time or word.start_offset), _seconds(word.end_time or word.end_offset)
    start = 0.0 if start is None and end is not None else start
    return TimedText(word.word, start, end, to_name(word.speaker_label or word.speaker_tag or None))


def _seconds(time: _Time) -> float | None:
    if isinstance(time, str):
        return float(time.removesuffix("s"))
    return None if time is None else time.seconds + time.nanos / 1e9


def _snake_case(fields: dict[str, Any]) -> dict[str, Any]:
    return {_CAPITAL.sub(lambda x: "_" + x[0].lower(), name): value for name, value in fields.items()}


_CAPITAL = re.compile("[A-Z]")
_RESULT_FIELDS = {
    "stability",
    "isFinal",
    "is_final",
    "resultEndTime",
    "result_end_time",
    "resultEndOffset",
    "result_end_offset",
}


def _recognises(value: dict[str, Any]) -> bool:
    results = value.get("results")
    if not isinstance(results, list) or not results:
        return False
    return all(isinstance(x, dict) and not _RESULT_FIELDS.isdisjoint(x) for x in results)


FORMAT = Format("google", _read, _recognises, _Response)
