"""YouTube live chat: `liveChatMessage` resources, single or in the API's list (`items`).

A session is a live chat, a segment a message. Comments with a payment or a membership are read too, without the text
that YouTube adds.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.chat.base import ChatChannel, join_seen, parse_timestamp
from stream.messages.types import End, Message


class _YoutubeText(msgspec.Struct, rename="camel"):
    message_text: str | None = None


class _Comment(msgspec.Struct, rename="camel"):
    user_comment: str | None = None


class _PollOption(msgspec.Struct, rename="camel"):
    option_text: str | None = None


class _PollMetadata(msgspec.Struct, rename="camel"):
    question_text: str | None = None
    options: list[_PollOption] = []


class _PollDetails(msgspec.Struct, rename="camel"):
    metadata: _PollMetadata | None = None


class _Deleted(msgspec.Struct, rename="camel"):
    deleted_message_id: str | None = None
    retracted_message_id: str | None = None


class _User(msgspec.Struct, rename="camel"):
    channel_id: str | None = None


class _Banned(msgspec.Struct, rename="camel"):
    banned_user_details: _User | None = None


class _Snippet(msgspec.Struct, rename="camel"):
    type: str = ""
    live_chat_id: str | None = None
    author_channel_id: str | None = None
    published_at: str | None = None
    display_message: str | None = None
    text_message_details: _YoutubeText | None = None
    super_chat_details: _Comment | None = None
    fan_funding_event_details: _Comment | None = None
    member_milestone_chat_details: _Comment | None = None
    poll_details: _PollDetails | None = None
    message_deleted_details: _Deleted | None = None
    message_retracted_details: _Deleted | None = None
    user_banned_details: _Banned | None = None


class _YoutubeValue(msgspec.Struct, rename="camel"):
    id: str | None = None
    snippet: _Snippet | None = None
    author_details: _User | None = None
    items: "list[_YoutubeValue] | None" = None


def _read(value: _YoutubeValue, context: FormatContext) -> Iterator[Message | Ignored]:
    if value.items is None and (value.id is None or value.snippet is None):
        yield Ignored("unknown_shape")
        return
    chats: dict[str, ChatChannel] = {}
    ended = set()
    for item in [value] if value.items is None else value.items:
        if item.id is None or item.snippet is None:
            yield Ignored("unknown_shape")
            continue
        session = context.session_name(item.snippet.live_chat_id)
        _apply(item.id, item, item.snippet, chats.setdefault(session, ChatChannel(context, session)))
        if item.snippet.type == "chatEndedEvent":
            ended.add(session)
    for session, chat in chats.items():
        messages = chat.messages(otherwise="metadata" if session in ended else "other_event")
        yield from messages
        if session in ended and (not isinstance(messages[0], Ignored) or context.segments(session)):
            yield End(session=session)


def _apply(name: str, item: _YoutubeValue, snippet: _Snippet, chat: ChatChannel) -> None:
    for deleted_id in _deleted_ids(name, snippet):
        chat.delete(deleted_id)
    if snippet.type == "userBannedEvent":
        user = snippet.user_banned_details.banned_user_details if snippet.user_banned_details else None
        if user is not None and user.channel_id is not None:
            chat.delete_by_author(user.channel_id)
    if (text := _text(snippet)) is not None:
        author = snippet.author_channel_id or (item.author_details.channel_id if item.author_details else None)
        chat.write(name, text, author, parse_timestamp(snippet.published_at))


_ACTIONS = (
    "messageDeletedEvent",
    "messageRetractedEvent",
    "userBannedEvent",
    "chatEndedEvent",
    "sponsorOnlyModeStartedEvent",
    "sponsorOnlyModeEndedEvent",
)


def _deleted_ids(name: str, snippet: _Snippet) -> Iterable[str]:
    """Return the id of the message that an item deletes; a tombstone replaces the message itself."""
    deleted, retracted = snippet.message_deleted_details, snippet.message_retracted_details
    names = {
        "tombstone": name,
        "messageDeletedEvent": deleted.deleted_message_id if deleted else None,
        "messageRetractedEvent": retracted.retracted_message_id if retracted else None,
    }
    deleted_id = names.get(snippet.type)
    return () if deleted_id is None else (deleted_id,)


_ADDED = ("newSponsorEvent", "membershipGiftingEvent", "giftMembershipReceivedEvent", "superStickerEvent", "giftEvent")
"""Events that are shown with a text of YouTube's own."""


def _text(snippet: _Snippet) -> str | None:
    """Return what people wrote; None if an event has no such text."""
    if snippet.type == "textMessageEvent":
        text = snippet.text_message_details.message_text if snippet.text_message_details else None
        return text or snippet.display_message or ""
    comments = {
        "superChatEvent": snippet.super_chat_details,
        "fanFundingEvent": snippet.fan_funding_event_details,
        "memberMilestoneChatEvent": snippet.member_milestone_chat_details,
    }
    if snippet.type in comments:
        comment = comments[snippet.type]
        return (comment.user_comment if comment else None) or ""
    if snippet.type == "pollEvent":
        poll = (snippet.poll_details.metadata if snippet.poll_details else None) or _PollMetadata()
        return join_seen(poll.question_text or "", (x.option_text for x in poll.options))
    is_message = snippet.type.endswith("Event") or not snippet.type
    return snippet.display_message if is_message and snippet.type not in (*_ADDED, *_ACTIONS) else None


def _recognises(value: dict[str, Any]) -> bool:
    if str(value.get("kind")).startswith("youtube#liveChatMessage"):
        return True
    snippet = value.get("snippet")
    return isinstance(snippet, dict) and not {"liveChatId", "live_chat_id"}.isdisjoint(snippet)


FORMAT = Format("youtube", _read, _recognises, _YoutubeValue, chat=True)
