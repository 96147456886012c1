"""Slack messages, as the Events API sends them (`event`), as socket mode does (`payload`), or the bare event.

A session is a channel, a segment a message by its `ts`. Slack sends typed `&`, `<` and `>` as entities, which are
unescaped, so that the text is what people see. Mentions and links (`<@U123>`) stay as sent, because only Slack knows
their displayed text.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.chat.base import ChatChannel
from stream.messages.types import Message


class _SlackMessage(msgspec.Struct):
    subtype: str | None = None
    user: str | None = None
    bot_id: str | None = None
    text: str | None = None
    ts: str | None = None


class _SlackEvent(_SlackMessage):
    channel: str | None = None
    deleted_ts: str | None = None
    message: _SlackMessage | None = None


class _Callback(msgspec.Struct):
    event: msgspec.Raw = msgspec.Raw()


class _SlackValue(msgspec.Struct):
    type: str = ""
    event: msgspec.Raw = msgspec.Raw()
    payload: _Callback | None = None


_TEXT_SUBTYPES = (None, "bot_message", "me_message", "thread_broadcast", "file_share")


def _read(value: msgspec.Raw, context: FormatContext) -> Iterable[Message]:
    event = _unwrap(value)
    if event is None or event.channel is None:
        return ()
    chat = ChatChannel(context, context.session_name(event.channel))
    if event.subtype == "message_deleted" and event.deleted_ts is not None:
        chat.delete(event.deleted_ts)
    elif event.subtype == "message_changed" and event.message is not None:
        _apply(event.message, chat)
    elif event.subtype in _TEXT_SUBTYPES:
        _apply(event, chat)
    return chat.messages()


def _unwrap(value: msgspec.Raw) -> _SlackEvent | None:
    """Return the message of an envelope; None for other events, whose fields may have other types."""
    envelope = msgspec.json.decode(value, type=_SlackValue)
    inner = bytes(envelope.payload.event) if envelope.payload else bytes(envelope.event)
    kind = msgspec.json.decode(inner, type=_SlackValue).type if inner else envelope.type
    return msgspec.json.decode(inner or value, type=_SlackEvent) if kind == "message" else None


def _apply(message: _SlackMessage, chat: ChatChannel) -> None:
    if message.ts is None:
        return
    if message.subtype == "tombstone":  # a deleted message whose thread goes on
        chat.delete(message.ts)
        return
    chat.write(message.ts, _unescape(message.text or ""), message.user or message.bot_id, float(message.ts))


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _recognises(value: dict[str, Any]) -> bool:
    payload = value.get("payload")
    for event in (value.get("event"), payload.get("event") if isinstance(payload, dict) else None, value):
        if isinstance(event, dict) and event.get("type") == "message" and "channel" in event:
            return True
    return value.get("type") == "event_callback"


FORMAT = Format("slack", _read, _recognises, msgspec.Raw, chat=True)
