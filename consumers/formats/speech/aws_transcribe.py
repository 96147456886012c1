"""Amazon Transcribe streaming: partial results replace their segment until a final one closes it.

A segment is named by its channel and its `StartTime`, because partial and final results of one segment can differ in
`ResultId`. Punctuation marks are separate items, which are attached to the preceding words. Fields are spelled as the
service does (`IsPartial`) or as SDKs do (`is_partial`, `isPartial`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, check_results
from consumers.formats.convert import Seconds
from consumers.formats.utterances import Result, write_timed
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _Item(msgspec.Struct, rename="pascal"):
    content: str = ""
    start_time: Seconds | None = None
    end_time: Seconds | None = None
    type: str = "pronunciation"
    speaker: str | None = None


class _AwsAlternative(msgspec.Struct, rename="pascal"):
    transcript: str = ""
    items: list[_Item] = []


class _AwsResult(msgspec.Struct, rename="pascal"):
    start_time: Seconds = 0.0
    end_time: Seconds = 0.0
    is_partial: bool = False
    alternatives: list[_AwsAlternative] = []
    channel_id: str | None = None


class _Transcript(msgspec.Struct, rename="pascal"):
    results: list[_AwsResult] = []


class _AwsEvent(msgspec.Struct, rename="pascal"):
    transcript: _Transcript | None = None
    transcript_event: "_AwsEvent | None" = None
    """Wrapper that the SDKs use in event streams."""


def _read(value: _AwsEvent, context: FormatContext) -> Iterator[Message | Ignored]:
    inner = value if value.transcript_event is None else value.transcript_event
    transcript = inner.transcript
    if transcript is None:
        yield Ignored("unknown_shape")
        return
    check_results(transcript.results)
    messages: dict[str, Result] = {}
    for result in transcript.results:
        for message in _read_result(result, context.after(messages.values())):
            messages["" if isinstance(message, Ignored) else message.segment] = message
    yield from messages.values() or [Ignored("no_text")]


def _read_result(result: _AwsResult, context: FormatContext) -> Iterable[Result]:
    if not result.alternatives:
        return (Ignored("no_text"),)
    best, scope = result.alternatives[0], result.channel_id or "audio"
    update = Update(
        session=context.session_name(),
        segment="",
        text=best.transcript,
        final=not result.is_partial,
        time=max(result.start_time, result.end_time),
        channel=result.channel_id,
    )
    return write_timed(context, scope, add_word_times(update, _pieces(best)), result.start_time, result.end_time)


def _pieces(best: _AwsAlternative) -> list[TimedText]:
    """Return timed words; the times of punctuation marks are not spoken and are dropped."""
    return [
        TimedText(x.content)
        if x.type == "punctuation"
        else TimedText(x.content, x.start_time, x.end_time, to_name(x.speaker))
        for x in best.items
    ]


def _recognises(value: dict[str, Any]) -> bool:
    event = _get(value, "TranscriptEvent", "transcriptEvent", "transcript_event") or value
    transcript = _get(event, "Transcript", "transcript")
    return isinstance(_get(transcript, "Results", "results"), list)


def _get(value: Any, *names: str) -> Any:
    return next((value[x] for x in names if x in value), None) if isinstance(value, dict) else None


FORMAT = Format("aws-transcribe", _read, _recognises, _AwsEvent)
