"""Slack messages, as the Events API sends them (`event`), as socket mode does (`payload`), or the bare event.

A session is a channel, a segment a message by its `ts`. Slack sends typed `&`, `<` and `>` as entities, which are
unescaped, so that the text is what people see. Mentions and links (`<@U123>`) stay as sent, because only Slack knows
their displayed text. Blocks and attachments are read with the text.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason
from consumers.formats.chat.base import ChatChannel, join_seen
from consumers.formats.chat.slack_text import attachment_texts, block_texts, unescape
from consumers.formats.convert import convert
from stream.messages.types import Message


class _SlackMessage(msgspec.Struct):
    subtype: str | None = None
    user: str | None = None
    bot_id: str | None = None
    text: str | None = None
    ts: str | None = None
    blocks: Any = None
    attachments: Any = None


class _SlackEvent(_SlackMessage):
    channel: str | None = None
    deleted_ts: str | None = None
    message: _SlackMessage | None = None


class _SlackValue(msgspec.Struct):
    type: str = ""
    event: Any = None
    payload: Any = None


_TEXT_SUBTYPES = (
    None,
    "bot_message",
    "me_message",
    "thread_broadcast",
    "reply_broadcast",
    "file_share",
    "channel_topic",
    "channel_purpose",
    "channel_name",
    "group_topic",
    "group_purpose",
    "group_name",
)
"""What people write: messages, and topics, purposes and names of channels."""
_CONTROL: dict[str, IgnoredReason] = {
    "ping": "keep_alive",
    "pong": "keep_alive",
    "hello": "metadata",
    "disconnect": "metadata",
    "url_verification": "metadata",
    "app_rate_limited": "metadata",
}


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    found = _unwrap(value)
    if isinstance(found, Ignored):
        return (found,)
    event = convert(found, _SlackEvent)
    if event.channel is None:
        return (Ignored("unknown_shape"),)
    chat = ChatChannel(context, context.session_name(event.channel))
    if event.subtype == "message_deleted" and event.deleted_ts is not None:
        chat.delete(event.deleted_ts)
    elif event.subtype == "message_changed" and event.message is not None:
        _apply(event.message, chat)
    elif event.subtype in _TEXT_SUBTYPES:
        if event.ts is None:
            return (Ignored("unknown_shape"),)
        _apply(event, chat)
    return chat.messages(otherwise="other_event")


def _unwrap(value: dict[str, Any]) -> dict[str, Any] | Ignored:
    """Return the message of an envelope; other events, whose fields may have other types, are ignored."""
    envelope = convert(value, _SlackValue)
    payload = envelope.payload if isinstance(envelope.payload, dict) else {}
    inner = payload.get("event") if payload else envelope.event
    if inner is None:
        if envelope.type == "message":
            return value
        return Ignored(_CONTROL.get(envelope.type, "other_event" if envelope.type else "unknown_shape"))
    if isinstance(inner, dict) and inner.get("type") == "message":
        return inner
    return Ignored("other_event")


def _apply(message: _SlackMessage, chat: ChatChannel) -> None:
    if message.ts is None:
        return
    if message.subtype == "tombstone":  # a deleted message whose thread goes on
        chat.delete(message.ts)
        return
    parts = [*block_texts(message.blocks), *attachment_texts(message.attachments)]
    text = join_seen(unescape(message.text or ""), parts)
    chat.write(message.ts, text, message.user or message.bot_id, float(message.ts))


def _recognises(value: dict[str, Any]) -> bool:
    payload = value.get("payload")
    for event in (value.get("event"), payload.get("event") if isinstance(payload, dict) else None, value):
        if isinstance(event, dict) and event.get("type") == "message" and "channel" in event:
            return True
    return value.get("type") == "event_callback"


FORMAT = Format("slack", _read, _recognises, dict, chat=True)
