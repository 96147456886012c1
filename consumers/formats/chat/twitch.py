"""Twitch chat (EventSub): messages and their deletion by moderators.

A session is a broadcaster's channel, a segment a message. Values have the shape of the WebSocket (`metadata`,
`payload`), of a webhook (`subscription`, `event`), or are bare events.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason
from consumers.formats.chat.base import ChatChannel, parse_timestamp
from consumers.formats.convert import convert
from stream.messages.types import Message


class _Fragment(msgspec.Struct):
    text: str = ""


class _TwitchText(msgspec.Struct):
    text: str | None = None
    fragments: list[_Fragment] = []


class _TwitchEvent(msgspec.Struct):
    broadcaster_user_id: str | None = None
    chatter_user_id: str | None = None
    target_user_id: str | None = None
    message_id: str | None = None
    message: _TwitchText | None = None


class _Subscription(msgspec.Struct):
    type: str = ""


class _Payload(msgspec.Struct):
    event: Any = None


class _TwitchMetadata(msgspec.Struct):
    message_type: str = ""
    subscription_type: str = ""
    message_timestamp: str | None = None


class _TwitchValue(msgspec.Struct):
    metadata: _TwitchMetadata | None = None
    payload: _Payload | None = None
    subscription: _Subscription | None = None
    event: Any = None
    challenge: Any = None


_PREFIX = "channel.chat."
_CONTROL: dict[str, IgnoredReason] = {
    "session_keepalive": "keep_alive",
    "session_welcome": "metadata",
    "session_reconnect": "metadata",
    "revocation": "metadata",
}


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    envelope = convert(value, _TwitchValue)
    found = _unwrap(value, envelope)
    if isinstance(found, Ignored):
        return (found,)
    event, kind = found
    if event.broadcaster_user_id is None or not kind:
        return (Ignored("unknown_shape"),)
    chat = ChatChannel(context, context.session_name(event.broadcaster_user_id))
    if kind in ("message", "notification"):
        if event.message_id is None or event.message is None:
            return (Ignored("unknown_shape" if kind == "message" else "no_text"),)
        stamp = envelope.metadata.message_timestamp if envelope.metadata else None
        text = event.message.text or "".join(x.text for x in event.message.fragments)
        chat.write(event.message_id, text, event.chatter_user_id, parse_timestamp(stamp))
    elif kind == "message_delete" and event.message_id is not None:
        chat.delete(event.message_id)
    elif kind == "clear_user_messages" and event.target_user_id is not None:
        chat.delete_by_author(event.target_user_id)
    elif kind == "clear":
        chat.delete_all()
    return chat.messages(otherwise="nothing_to_delete" if kind.startswith("clear") else "other_event")


def _unwrap(value: dict[str, Any], envelope: _TwitchValue) -> tuple[_TwitchEvent, str] | Ignored:
    """Return the event of an envelope and its type; events that are not of chat are ignored."""
    if envelope.metadata is not None:
        kind = envelope.metadata.subscription_type
        inner = envelope.payload.event if envelope.payload else None
        if envelope.metadata.message_type in _CONTROL:
            return Ignored(_CONTROL[envelope.metadata.message_type])
    elif envelope.subscription is not None:
        inner, kind = envelope.event, envelope.subscription.type
        if envelope.challenge is not None:
            return Ignored("metadata")
    else:
        event = convert(value, _TwitchEvent)
        return event, _infer_type(event)
    if inner is None or not kind.startswith(_PREFIX):
        return Ignored("other_event" if kind else "unknown_shape")
    return convert(inner, _TwitchEvent), kind.removeprefix(_PREFIX)


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
    if {"broadcaster_user_id", "broadcasterUserId"}.isdisjoint(value):
        return False
    return not {"message_id", "target_user_id", "messageId", "targetUserId"}.isdisjoint(value)


FORMAT = Format("twitch", _read, _recognises, dict, chat=True)
