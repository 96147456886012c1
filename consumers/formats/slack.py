"""Slack messages: as the Events API sends them (`event`), as socket mode does (`payload`), or the bare event.

A session is a channel, a segment a message by its `ts`. Slack writes `&`, `<` and `>` that people type as entities:
they are turned back, so that the text is what people see. Mentions and links (`<@U123>`) stay as sent: what they show
is only known to Slack.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Around, Format
from consumers.formats.chat import Chat
from stream.messages import Message


class _Message(msgspec.Struct):
    type: str = ""
    subtype: str | None = None
    channel: str | msgspec.Raw | None = None
    """An object in events about channels."""
    user: str | msgspec.Raw | None = None
    bot_id: str | None = None
    text: str | None = None
    ts: str | None = None
    deleted_ts: str | None = None


class _Event(_Message):
    message: _Message | None = None


class _Callback(msgspec.Struct):
    event: _Event | None = None


class _Value(_Event):
    event: _Event | None = None
    payload: _Callback | None = None


_WRITTEN = (None, "bot_message", "me_message", "thread_broadcast", "file_share")


def _read(value: _Value, around: Around) -> Iterable[Message]:
    event = value.event or (value.payload.event if value.payload else None) or value
    if event.type != "message" or not isinstance(event.channel, str):
        return ()
    chat = Chat(around, around.named(event.channel))
    if event.subtype == "message_deleted" and event.deleted_ts is not None:
        chat.delete(event.deleted_ts)
    elif event.subtype == "message_changed" and event.message is not None:
        _tell(event.message, chat)
    elif event.subtype in _WRITTEN:
        _tell(event, chat)
    return chat.messages()


def _tell(message: _Message, chat: Chat) -> None:
    if message.ts is None:
        return
    if message.subtype == "tombstone":  # a deleted message whose thread goes on
        chat.delete(message.ts)
        return
    author = message.user if isinstance(message.user, str) else message.bot_id
    chat.write(message.ts, _unescape(message.text or ""), author, float(message.ts))


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _recognises(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    payload = value.get("payload")
    for event in (value.get("event"), payload.get("event") if isinstance(payload, dict) else None, value):
        if isinstance(event, dict) and event.get("type") == "message" and "channel" in event:
            return True
    return value.get("type") == "event_callback"


FORMAT = Format("slack", _read, _recognises, _Value)
