"""Amazon Transcribe streaming: partial results replace their segment until a final one closes it.

A segment is named by its channel and its `StartTime`, because partial and final results of one segment can differ in
`ResultId`. Punctuation marks are separate items, which are attached to the preceding words.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.utterances import timed_name, write_timed
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Delete, Message, Update


class _Item(msgspec.Struct, rename="pascal"):
    content: str = ""
    start_time: float | None = None
    end_time: float | None = None
    type: str = "pronunciation"
    speaker: str | None = None


class _AwsAlternative(msgspec.Struct, rename="pascal"):
    transcript: str = ""
    items: list[_Item] | None = None


class _AwsResult(msgspec.Struct, rename="pascal"):
    start_time: float = 0.0
    end_time: float = 0.0
    is_partial: bool = False
    alternatives: list[_AwsAlternative] | None = None
    channel_id: str | None = None


class _Transcript(msgspec.Struct, rename="pascal"):
    results: list[_AwsResult] | None = None


class _AwsEvent(msgspec.Struct, rename="pascal"):
    transcript: _Transcript | None = None
    transcript_event: "_AwsEvent | None" = None
    """Wrapper that the SDKs use in event streams."""


def _read(value: _AwsEvent, context: FormatContext) -> Iterable[Message]:
    transcript = value.transcript or (value.transcript_event and value.transcript_event.transcript)
    messages: dict[str, Message] = {}
    for result in (transcript and transcript.results) or []:
        for message in _read_result(result, context):
            messages[message.segment] = message
    return messages.values()


def _read_result(result: _AwsResult, context: FormatContext) -> Iterable[Update | Delete]:
    if not result.alternatives:
        return ()
    best, scope = result.alternatives[0], result.channel_id or "audio"
    update = Update(
        session=context.session_name(),
        segment=timed_name(scope, result.start_time),
        text=best.transcript,
        final=not result.is_partial,
        time=result.end_time,
        channel=result.channel_id,
    )
    return write_timed(context, scope, add_word_times(update, _pieces(best)), result.start_time, result.end_time)


def _pieces(best: _AwsAlternative) -> list[TimedText]:
    """Return timed words; the times of punctuation marks are not spoken and are dropped."""
    return [
        TimedText(x.content)
        if x.type == "punctuation"
        else TimedText(x.content, x.start_time, x.end_time, to_name(x.speaker))
        for x in best.items or []
    ]


def _recognises(value: dict[str, Any]) -> bool:
    event = value.get("TranscriptEvent", value)
    transcript = event.get("Transcript") if isinstance(event, dict) else None
    return isinstance(transcript, dict) and isinstance(transcript.get("Results"), list)


FORMAT = Format("aws-transcribe", _read, _recognises, _AwsEvent)
