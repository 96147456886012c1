"""Anthropic messages, streamed: a delta appends to its content block, which `content_block_stop` closes.

Only `message_start` names the message, so a segment is a block, named by its index and the event that opened it:
`block-1:7`. What is open when the next message starts, or when an error comes, behind which nothing closes, keeps its
text and is closed. Thinking, signatures, citations and the input of tools are not the answer.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason, close_open
from consumers.formats.convert import convert
from consumers.formats.llm.event_stream import event_stream_line, unwrap_event
from stream.messages.types import End, Message, Update


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _AnthropicEvent(msgspec.Struct):
    type: str = ""
    index: int = 0
    content_block: _Block | None = None
    delta: _Block | None = None


_SCOPE = "block-"
_CONTROL: dict[str, IgnoredReason] = {
    "message_start": "metadata",
    "message_delta": "metadata",
    "message_stop": "metadata",
    "ping": "keep_alive",
    "error": "error",
}
_ENDS = ("message_start", "message_stop", "error")
"""Events behind which no delta of an open block comes."""


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    line = event_stream_line(value, list)
    if line is not None:
        return line
    kind = convert({"type": value.get("type")}, _AnthropicEvent).type
    if kind in _CONTROL:
        closed = close_open(context, context.session_name(), _SCOPE) if kind in _ENDS else []
        return [*closed, Ignored(_CONTROL[kind])]
    if not kind.startswith("content_block_"):
        return [Ignored("other_event" if kind else "unknown_shape")]
    event = convert(value, _AnthropicEvent)
    session, scope = context.session_name(), f"{_SCOPE}{event.index}"
    if kind == "content_block_start":
        return _start(event, context, session, scope)
    if kind == "content_block_delta":
        return _append(event.delta, context, session, scope, "text_delta")
    closed = close_open(context, session, f"{scope}:")
    return closed or [Ignored("metadata" if kind == "content_block_stop" else "other_event")]


def _start(event: _AnthropicEvent, context: FormatContext, session: str, scope: str) -> list[Message | Ignored]:
    """A block with the index of an open one is of another message, whose start was not received."""
    closed = close_open(context, session, f"{scope}:")
    names = {x.segment for x in closed if not isinstance(x, Ignored | End)}
    return [*closed, *_append(event.content_block, context, session, scope, "text", names)]


def _append(
    block: _Block | None, context: FormatContext, session: str, scope: str, kind: str, closed: Iterable[str] = ()
) -> list[Message | Ignored]:
    if block is None or not block.type:
        return [Ignored("unknown_shape")]
    if block.type != kind:
        return [Ignored("other_event")]
    if not block.text:
        return [Ignored("no_text")]
    name = context.open_segment(session, scope)
    if name in closed:
        name = f"{scope}:{context.offset}"
    return [Update(session=session, segment=name, text=block.text, mode="append")]


_TYPES = ("message_start", "message_delta", "message_stop", "content_block_delta", "content_block_stop")


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if kind == "content_block_start":
        return isinstance(value.get("content_block"), dict)
    if kind == "error":
        error = value.get("error")
        return isinstance(error, dict) and str(error.get("type")).endswith("_error") and "request_id" in value
    return kind in _TYPES and (kind == "message_stop" or not {"message", "delta", "index"}.isdisjoint(value))


FORMAT = Format("anthropic", _read, _recognises, dict, prepare=unwrap_event)
