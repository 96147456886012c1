"""Google Speech-to-Text, v1 and v2, as JSON in either spelling (`is_final` or `isFinal`).

Utterances have no names: a channel has one open at a time, named by the message that opened it. The stable and the
unstable part of one response form one text; a final part comes first and closes the utterance. `stability` is ignored
(0.0 means that it was not set).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.convert import Seconds
from consumers.formats.utterances import write_named, write_unnamed
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _GoogleWord(msgspec.Struct):
    word: str = ""
    start_time: Seconds | None = None
    end_time: Seconds | None = None
    start_offset: Seconds | None = None
    end_offset: Seconds | None = None
    speaker_tag: int = 0
    speaker_label: str = ""


class _GoogleAlternative(msgspec.Struct):
    transcript: str = ""
    words: list[_GoogleWord] = []


class _GoogleResult(msgspec.Struct):
    alternatives: list[_GoogleAlternative] = []
    is_final: bool = False
    result_end_time: Seconds | None = None
    result_end_offset: Seconds | None = None
    channel_tag: int = 0


class _Response(msgspec.Struct):
    results: list[_GoogleResult] | None = None
    speech_event_type: Any = None
    error: Any = None
    metadata: Any = None
    total_billed_time: Any = None


def _read(value: _Response, context: FormatContext) -> Iterator[Message | Ignored]:
    if not value.results:
        known = (value.results, value.speech_event_type, value.metadata, value.total_billed_time)
        other = Ignored("unknown_shape" if known == (None,) * len(known) else "metadata")
        yield other if value.error is None else Ignored("error")
        return
    channels: dict[int, list[_GoogleResult]] = {}
    for result in value.results:
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
        time=last.result_end_offset if last.result_end_time is None else last.result_end_time,
        channel=str(channel) if channel else None,
    )
    return add_word_times(update, [_timed_text(word) for x in results for word in x.alternatives[0].words])


def _timed_text(word: _GoogleWord) -> TimedText:
    start = word.start_offset if word.start_time is None else word.start_time
    end = word.end_offset if word.end_time is None else word.end_time
    start = 0.0 if start is None and end is not None else start  # JSON omits a start of zero
    return TimedText(word.word, start, end, to_name(word.speaker_label or word.speaker_tag or None))


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
