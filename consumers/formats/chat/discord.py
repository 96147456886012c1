"""Discord messages, as the gateway sends them (`op`, `t`, `d`), bare, or as discord.js writes them (`channelId`).

A session is a channel, a segment a message by its `id`. Embeds, forwarded messages, polls and text components are read
with the content. An update without `content` (such as a link preview) does not change the text, but may add to it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, IgnoredReason
from consumers.formats.chat.base import ChatChannel, join_seen, parse_timestamp
from consumers.formats.convert import convert
from stream.messages.types import Message


class _DiscordAuthor(msgspec.Struct):
    id: str | None = None


class _EmbedField(msgspec.Struct):
    name: str | None = None
    value: str | None = None


class _EmbedPart(msgspec.Struct):
    name: str | None = None
    text: str | None = None


class _Embed(msgspec.Struct):
    author: _EmbedPart | None = None
    title: str | None = None
    description: str | None = None
    fields: list[_EmbedField] = []
    footer: _EmbedPart | None = None


class _Media(msgspec.Struct):
    text: str | None = None


class _Answer(msgspec.Struct):
    poll_media: _Media | None = None
    text: str | None = None


class _Poll(msgspec.Struct):
    question: _Media | None = None
    answers: list[_Answer] = []


class _Component(msgspec.Struct):
    content: str | None = None
    label: str | None = None
    description: str | None = None
    components: "list[_Component]" = []
    accessory: "_Component | None" = None


class _Snapshot(msgspec.Struct):
    message: "_DiscordMessage | None" = None


class _DiscordMessage(msgspec.Struct):
    id: str | None = None
    ids: list[str] = []
    channel_id: str | None = None
    content: str | None = None
    author: _DiscordAuthor | None = None
    author_id: str | None = None
    timestamp: str | None = None
    created_timestamp: float | None = None
    """Milliseconds since 1970."""
    edited_timestamp: Any = None
    embeds: list[_Embed] | None = None
    message_snapshots: list[_Snapshot] = []
    poll: _Poll | None = None
    components: list[_Component] = []


class _DiscordEvent(msgspec.Struct):
    op: int
    t: str | None = None
    d: Any = None
    """Other events have other types here."""


_KINDS = ("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK")
_CONTROL: dict[int, IgnoredReason] = {1: "keep_alive", 11: "keep_alive"}
"""Gateway operations; the others are about the connection."""


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    if value.get("op") is not None:
        event = convert(value, _DiscordEvent)
        if event.op != 0:
            return (Ignored(_CONTROL.get(event.op, "metadata")),)
        if event.t not in _KINDS:
            return (Ignored("metadata" if event.t in ("READY", "RESUMED") else "other_event"),)
        message, kind = convert({} if event.d is None else event.d, _DiscordMessage), event.t
    else:
        message = convert(value, _DiscordMessage)
        kind = _infer_type(message)
    if message.channel_id is None or not kind:
        return (Ignored("unknown_shape"),)
    chat = ChatChannel(context, context.session_name(message.channel_id))
    if kind in ("MESSAGE_CREATE", "MESSAGE_UPDATE"):
        if message.id is None:
            return (Ignored("unknown_shape"),)
        text = _text(message, chat.text_of(message.id) if message.content is None else message.content)
        if message.content is not None or text != chat.text_of(message.id):
            chat.write(message.id, text, _author(message), _time(message))
    elif kind == "MESSAGE_DELETE" and message.id is not None:
        chat.delete(message.id)
    elif kind == "MESSAGE_DELETE_BULK":
        for name in message.ids:
            chat.delete(name)
    return chat.messages(otherwise="no_text")


def _infer_type(message: _DiscordMessage) -> str:
    if message.content is not None or message.message_snapshots or message.poll or message.components:
        return "MESSAGE_CREATE"
    if message.ids:
        return "MESSAGE_DELETE_BULK"
    says_more = message.author or message.author_id or message.timestamp or message.edited_timestamp
    if says_more or message.embeds is not None:
        return "MESSAGE_UPDATE"
    return "MESSAGE_DELETE" if message.id is not None else ""


def _author(message: _DiscordMessage) -> str | None:
    return (message.author.id if message.author else None) or message.author_id


def _time(message: _DiscordMessage) -> float | None:
    if message.timestamp is None and message.created_timestamp is not None:
        return message.created_timestamp / 1000
    return parse_timestamp(message.timestamp)


def _text(message: _DiscordMessage, content: str) -> str:
    return join_seen(content, _parts(message))


def _parts(message: _DiscordMessage) -> Iterator[str | None]:
    for snapshot in message.message_snapshots:
        if snapshot.message is not None:
            yield snapshot.message.content
            yield from _parts(snapshot.message)
    for embed in message.embeds or ():
        yield embed.author.name if embed.author else None
        yield from (embed.title, embed.description)
        for field in embed.fields:
            yield from (field.name, field.value)
        yield embed.footer.text if embed.footer else None
    if message.poll is not None:
        yield message.poll.question.text if message.poll.question else None
        for answer in message.poll.answers:
            yield answer.poll_media.text if answer.poll_media else answer.text
    for component in message.components:
        yield from _component_parts(component)


def _component_parts(component: _Component) -> Iterator[str | None]:
    yield from (component.content, component.label, component.description)
    for inner in component.components:
        yield from _component_parts(inner)
    if component.accessory is not None:
        yield from _component_parts(component.accessory)


def _recognises(value: dict[str, Any]) -> bool:
    if "op" in value:
        return isinstance(value["op"], int) and {"t", "d"} <= value.keys()
    channel = "channel_id" if "channel_id" in value else "channelId"
    if not isinstance(value.get(channel), str):
        return False
    return not {"content", "ids"}.isdisjoint(value) or {"id", channel} <= value.keys() <= _DELETE_FIELDS


_DELETE_FIELDS = {"id", "channel_id", "guild_id", "channelId", "guildId"}


FORMAT = Format("discord", _read, _recognises, dict, chat=True)
