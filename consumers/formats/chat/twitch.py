"""Twitch chat (EventSub): messages and their deletion by moderators.

A session is a broadcaster's channel, a segment a message. Values have the shape of the WebSocket (`metadata`,
`payload`), of a webhook (`subscription`, `event`), or are bare events.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.chat.base import ChatChannel, parse_timestamp
from stream.messages.types import Message


class _TwitchText(msgspec.Struct):
    text: str = ""


class _TwitchEvent(msgspec.Struct):
    broadcaster_user_id: str | None = None
    chatter_user_id: str | None = None
    target_user_id: str | None = None
    message_id: str | None = None
    message: _TwitchText | None = None


class _Subscription(msgspec.Struct):
    type: str = ""


class _Payload(msgspec.Struct):
    event: msgspec.Raw = msgspec.Raw()


class _TwitchMetadata(msgspec.Struct):
    subscription_type: str = ""
    message_timestamp: str | None = None


class _TwitchValue(msgspec.Struct):
    metadata: _TwitchMetadata | None = None
    payload: _Payload | None = None
    subscription: _Subscription | None = None
    event: msgspec.Raw = msgspec.Raw()


_PREFIX = "channel.chat."


def _read(value: msgspec.Raw, context: FormatContext) -> Iterable[Message]:
    envelope = msgspec.json.decode(value, type=_TwitchValue)
    event, kind = _unwrap(value, envelope)
    if event is None or event.broadcaster_user_id is None:
        return ()
    chat = ChatChannel(context, context.session_name(event.broadcaster_user_id))
    if kind in ("message", "notification"):
        if event.message_id is not None and event.message is not None:
            stamp = envelope.metadata.message_timestamp if envelope.metadata else None
            chat.write(event.message_id, event.message.text, event.chatter_user_id, parse_timestamp(stamp))
    elif kind == "message_delete" and event.message_id is not None:
        chat.delete(event.message_id)
    elif kind == "clear_user_messages" and event.target_user_id is not None:
        chat.delete_by_author(event.target_user_id)
    elif kind == "clear":
        chat.delete_all()
    return chat.messages()


def _unwrap(value: msgspec.Raw, envelope: _TwitchValue) -> tuple[_TwitchEvent | None, str]:
    """Return the event of an envelope and its type; None for events that are not of chat."""
    if envelope.metadata is not None:
        inner, kind = envelope.payload.event if envelope.payload else msgspec.Raw(), envelope.metadata.subscription_type
    elif envelope.subscription is not None:
        inner, kind = envelope.event, envelope.subscription.type
    else:
        event = msgspec.json.decode(value, type=_TwitchEvent)
        return event, _infer_type(event)
    if not bytes(inner) or not kind.startswith(_PREFIX):
        return None, ""
    return msgspec.json.decode(inner, type=_TwitchEvent), kind.removeprefix(_PREFIX)


def _infer_type(event: _TwitchEvent) -> str:
    """Infer the type of a bare event from its fields.

    A bare clear of the whole chat has no field of its own and cannot be distinguished from other events: it is ignored.
    """
    if event.message is not None:
        return "message"
    if event.target_user_id is None:
        return ""
    return "clear_user_messages" if event.message_id is None else "message_delete"


def _recognises(value: dict[str, Any]) -> bool:
    metadata, subscription = value.get("metadata"), value.get("subscription")
    if isinstance(metadata, dict):
        return "message_type" in metadata and "payload" in value
    if isinstance(subscription, dict):
        return str(subscription.get("type")).startswith("channel.") and "event" in value
    return "broadcaster_user_id" in value and not {"message_id", "target_user_id"}.isdisjoint(value)


FORMAT = Format("twitch", _read, _recognises, msgspec.Raw, chat=True)
