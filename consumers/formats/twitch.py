"""Twitch chat (EventSub): messages, and what moderators take back.

A session is a broadcaster's channel, a segment a message. Read as the WebSocket sends it (`metadata`, `payload`), as a
webhook does (`subscription`, `event`), or as the bare event.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Around, Format
from consumers.formats.chat import Chat, seconds
from stream.messages import Message


class _Text(msgspec.Struct):
    text: str = ""


class _Event(msgspec.Struct):
    broadcaster_user_id: str | None = None
    chatter_user_id: str | None = None
    target_user_id: str | None = None
    message_id: str | None = None
    message: _Text | str | None = None
    """Some events, of other types, have a string."""


class _Subscription(msgspec.Struct):
    type: str = ""


class _Payload(msgspec.Struct):
    event: _Event | None = None
    subscription: _Subscription | None = None


class _Metadata(msgspec.Struct):
    subscription_type: str = ""
    message_timestamp: str | None = None


class _Value(_Event):
    metadata: _Metadata | None = None
    payload: _Payload | None = None
    subscription: _Subscription | None = None
    event: _Event | None = None


def _read(value: _Value, around: Around) -> Iterable[Message]:
    event, kind = _open(value)
    if event is None or event.broadcaster_user_id is None:
        return ()
    chat = Chat(around, around.named(event.broadcaster_user_id))
    if kind in ("channel.chat.message", "channel.chat.notification"):
        if event.message_id is not None and isinstance(event.message, _Text):
            stamp = value.metadata.message_timestamp if value.metadata else None
            chat.write(event.message_id, event.message.text, event.chatter_user_id, seconds(stamp))
    elif kind == "channel.chat.message_delete" and event.message_id is not None:
        chat.delete(event.message_id)
    elif kind == "channel.chat.clear_user_messages" and event.target_user_id is not None:
        chat.delete_of(event.target_user_id)
    elif kind == "channel.chat.clear":
        chat.clear()
    return chat.messages()


def _open(value: _Value) -> tuple[_Event | None, str]:
    """Take the event out of its envelope, and say of what type it is."""
    if value.metadata is not None:
        return value.payload.event if value.payload else None, value.metadata.subscription_type
    if value.subscription is not None:
        return value.event, value.subscription.type
    return value, _guess(value)


def _guess(event: _Event) -> str:
    """A bare event does not say its type, but each has fields that the others have not.

    A bare clear of the whole chat has nothing of its own, and is not told from events of other types: it is not read.
    """
    if isinstance(event.message, _Text):
        return "channel.chat.message"
    if event.target_user_id is None or event.message is not None:
        return ""
    return "channel.chat.clear_user_messages" if event.message_id is None else "channel.chat.message_delete"


def _recognises(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    metadata, subscription = value.get("metadata"), value.get("subscription")
    if isinstance(metadata, dict):
        return "message_type" in metadata and "payload" in value
    if isinstance(subscription, dict):
        return str(subscription.get("type")).startswith("channel.") and "event" in value
    return "broadcaster_user_id" in value and not {"message_id", "target_user_id"}.isdisjoint(value)


FORMAT = Format("twitch", _read, _recognises, _Value)
