"""OpenAI Responses, streamed, and the model's words of the realtime API: a delta appends, `done` replaces and closes.

A segment is a part of an item's content (`msg_1`, `msg_1/1`), text or refusal; spoken answers are read from their
transcript. The whole text comes again with the part, the item and the response, and replaces what stands. The end of a
response, or an error, closes what is open as it stands. Reasoning and the arguments of tools are not the answer.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, check_results, close_open
from consumers.formats.convert import convert
from consumers.formats.llm.event_stream import event_stream_line, unwrap_event
from consumers.formats.utterances import write_named
from stream.messages.types import Message, Update


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""
    transcript: str = ""


class _OutputItem(msgspec.Struct):
    type: str = ""
    id: str = ""
    content: list[_Part] = []


class _ModelResponse(msgspec.Struct):
    output: list[_OutputItem] = []


class _ResponsesEvent(msgspec.Struct):
    type: str = ""
    item_id: str = ""
    content_index: int = 0
    delta: str = ""
    text: str = ""
    refusal: str = ""
    transcript: str = ""
    part: _Part | None = None
    item: _OutputItem | None = None
    response: _ModelResponse | None = None


_TEXTS = ("output_text", "refusal", "output_audio_transcript", "audio_transcript", "audio.transcript", "text")
"""Kinds of text that are the answer, as `response.KIND.delta` and `.done` name them."""
_PARTS = ("output_text", "refusal", "text", "output_audio", "audio")
_WHOLE = ("response.content_part.done", "response.output_item.done")
_METADATA = (
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.content_part.added",
    "response.output_item.added",
)
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done", "error")
_SPOILT = ("response.incomplete", "response.failed", "error")


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    line = event_stream_line(value, list)
    if line is not None:
        return line
    kind = convert({"type": value.get("type")}, _ResponsesEvent).type
    if kind in _METADATA:
        return [Ignored("metadata")]
    if kind in _ENDS or kind in _WHOLE:
        return _write_whole(kind, convert(_without_others(value), _ResponsesEvent), context)
    text_kind, _, action = kind.removeprefix("response.").rpartition(".")
    if not kind.startswith("response.") or text_kind not in _TEXTS or action not in ("delta", "done"):
        return [Ignored("other_event" if kind else "unknown_shape")]
    event = convert(value, _ResponsesEvent)
    session, name = context.session_name(), _segment(event.item_id, event.content_index)
    existing = context.segments(session).get(name)
    if action == "done":
        text = event.text or event.refusal or event.transcript
        return _write_final(context, session, name, text)
    if existing is not None and existing.closed:
        return [Ignored("late")]
    if not event.delta:
        return [Ignored("no_text")]
    return [Update(session=session, segment=name, text=event.delta, mode="append")]


def _without_others(value: dict[str, Any]) -> dict[str, Any]:
    """Leave out the content of items that are no messages, which has other types."""
    if isinstance(item := value.get("item"), dict) and item.get("type") != "message":
        return value | {"item": None}
    response = value.get("response")
    if isinstance(response, dict) and isinstance(response.get("output"), list):
        messages = [x for x in response["output"] if isinstance(x, dict) and x.get("type") == "message"]
        return value | {"response": {"output": messages}}
    return value


def _write_whole(kind: str, event: _ResponsesEvent, context: FormatContext) -> list[Message | Ignored]:
    """Write the texts that an event has in full; the end of the response closes the others."""
    session = context.session_name()
    found: list[Message | Ignored] = []
    for name, text in _texts(event):
        found += _write_final(context, session, name, text)
    if kind in _ENDS:
        written = {name for name, _ in _texts(event)}
        found += [x for x in close_open(context, session) if getattr(x, "segment", None) not in written]
    if kind in _SPOILT:
        found.append(Ignored("error"))
    other = event.part is not None and event.part.type not in _PARTS
    return found or [Ignored("metadata" if kind in _ENDS else "other_event" if other or not event.item else "no_text")]


def _texts(event: _ResponsesEvent) -> Iterator[tuple[str, str]]:
    """Yield the segments and texts that an event has in full."""
    if event.part is not None and event.part.type in _PARTS:
        yield _segment(event.item_id, event.content_index), _text(event.part)
    items = [*([event.item] if event.item else []), *(event.response.output if event.response else [])]
    check_results(items)
    for item in items:
        check_results(item.content)
        for index, part in enumerate(item.content):
            if part.type in _PARTS:
                yield _segment(item.id, index), _text(part)


def _text(part: _Part) -> str:
    return part.text or part.refusal or part.transcript


def _segment(item: str, index: int) -> str:
    item = item or "output"
    return f"{item}/{index}" if index else item


def _write_final(context: FormatContext, session: str, name: str, text: str) -> list[Message | Ignored]:
    existing = context.segments(session).get(name)
    text = text or (existing.text if existing else "")
    if existing is not None and existing.closed and existing.text == text:
        return [Ignored("repeat")]
    return list(write_named(existing, Update(session=session, segment=name, text=text, final=True)))


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if not isinstance(kind, str) or "event_id" in value:  # events of the realtime API have one
        return False
    if kind == "error":
        return "sequence_number" in value
    return kind.startswith("response.") and not {"sequence_number", "item_id", "response", "item"}.isdisjoint(value)


FORMAT = Format("openai-responses", _read, _recognises, dict, prepare=unwrap_event)
