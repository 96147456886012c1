"""Discord messages, as the gateway sends them (`op`, `t`, `d`) or bare.

A session is a channel, a segment a message by its `id`. An update without `content` (such as a link preview) does not
change the text.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext
from consumers.formats.chat.base import ChatChannel, parse_timestamp
from stream.messages.types import Message


class _DiscordAuthor(msgspec.Struct):
    id: str | None = None


class _DiscordMessage(msgspec.Struct):
    id: str | None = None
    ids: list[str] = []
    channel_id: str | None = None
    content: str | None = None
    author: _DiscordAuthor | None = None
    timestamp: str | None = None
    edited_timestamp: str | None = None
    embeds: msgspec.Raw = msgspec.Raw()


class _DiscordValue(_DiscordMessage):
    op: int | None = None
    t: str | None = None
    d: msgspec.Raw = msgspec.Raw(b"null")
    """Other events have other types here."""


def _read(value: _DiscordValue, context: FormatContext) -> Iterable[Message]:
    message, kind = (value, _infer_type(value)) if value.op is None else (_unwrap(value), value.t)
    if message is None or message.channel_id is None:
        return ()
    chat = ChatChannel(context, context.session_name(message.channel_id))
    if kind in ("MESSAGE_CREATE", "MESSAGE_UPDATE"):
        if message.id is not None and message.content is not None:
            author = message.author.id if message.author else None
            chat.write(message.id, message.content, author, parse_timestamp(message.timestamp))
    elif kind == "MESSAGE_DELETE" and message.id is not None:
        chat.delete(message.id)
    elif kind == "MESSAGE_DELETE_BULK":
        for name in message.ids:
            chat.delete(name)
    return chat.messages()


def _unwrap(value: _DiscordValue) -> _DiscordMessage | None:
    if value.t not in ("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK"):
        return None
    return msgspec.json.decode(value.d, type=_DiscordMessage)


def _infer_type(message: _DiscordMessage) -> str:
    if message.content is not None:
        return "MESSAGE_CREATE"
    if message.ids:
        return "MESSAGE_DELETE_BULK"
    says_more = message.author or message.timestamp or message.edited_timestamp or bytes(message.embeds)
    return "" if says_more else "MESSAGE_DELETE"


def _recognises(value: dict[str, Any]) -> bool:
    if "op" in value:
        return isinstance(value["op"], int) and {"t", "d"} <= value.keys()
    if not isinstance(value.get("channel_id"), str):
        return False
    return not {"content", "ids"}.isdisjoint(value) or {"id", "channel_id"} <= value.keys() <= _DELETE_FIELDS


_DELETE_FIELDS = {"id", "channel_id", "guild_id"}


FORMAT = Format("discord", _read, _recognises, _DiscordValue, chat=True)
