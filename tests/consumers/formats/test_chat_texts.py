"""What people see of a chat message is its text: blocks, attachments, embeds, forwards and polls too, each once."""

import json
from typing import Any

import pytest

from tests.consumers.formats.runs import Run


def text_of(name: str, *values: Any) -> str:
    run = Run(name, "room").tell([json.dumps(x).encode() for x in values])
    assert not run.bad
    (text,) = run.texts("room").values()
    return text


def slack(**more: Any) -> Any:
    return {"type": "message", "channel": "C1", "user": "U1", "ts": "17.5"} | more


def block(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind} | more


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


SECTION = {
    "type": "rich_text_section",
    "elements": [
        {"type": "text", "text": "see "},
        {"type": "link", "url": "https://x.org"},
        {"type": "user", "user_id": "U7"},
    ],
}


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        ({"text": "", "blocks": [block("section", text=plain("go away"))]}, "go away"),
        ({"text": "new", "blocks": [block("section", text=plain("go away"))]}, "new\ngo away"),
        ({"text": "*go* away", "blocks": [block("rich_text", elements=[block("x", text="go away")])]}, "*go* away"),
        ({"blocks": [block("header", text=plain("a &lt; b")), block("divider")]}, "a < b"),
        ({"blocks": [block("section", fields=[plain("one"), plain("two")])]}, "one\ntwo"),
        ({"blocks": [block("context", elements=[plain("small print")])]}, "small print"),
        ({"blocks": [block("actions", elements=[block("button", text=plain("press"))])]}, "press"),
        ({"blocks": [block("image", title=plain("a cat"), alt_text="cat")]}, "a cat"),
        ({"blocks": [block("markdown", text="**loud**")]}, "**loud**"),
        (
            {"blocks": [block("rich_text", elements=[SECTION])]},
            "see https://x.org<@U7>",
        ),
        (
            {"blocks": [{"elements": [block("rich_text_list", elements=[SECTION])]}]},
            "see https://x.org<@U7>",
        ),
        ({"attachments": [{"fallback": "go away"}]}, "go away"),
        (
            {"attachments": [{"fallback": "-", "pretext": "go", "fields": [{"title": "a", "value": "way"}]}]},
            "go\na\nway",
        ),
        (
            {"attachments": [{"blocks": [block("section", text=plain("go away"))], "fallback": "-"}]},
            "go away",
        ),
        (
            {"attachments": [{"message_blocks": [{"message": {"blocks": [block("section", text=plain("shared"))]}}]}]},
            "shared",
        ),
        ({"subtype": "channel_topic", "text": "<@U1> set the topic: go away"}, "<@U1> set the topic: go away"),
    ],
)
def test_slack_shows_blocks_and_attachments(message: dict[str, Any], seen: str) -> None:
    assert text_of("slack", slack(**message)) == seen
    edit = slack(subtype="message_changed", message=slack(**(message | {"subtype": None})))
    assert text_of("slack", slack(text="before"), edit) == seen


@pytest.mark.parametrize("blocks", [5, "x", {}, [None, 7, [[]], {"type": 3}], [{"text": {"text": {"text": [1]}}}]])
def test_blocks_of_any_shape_are_read(blocks: Any) -> None:
    assert text_of("slack", slack(text="hello", blocks=blocks, attachments=blocks)).startswith("hello")


def test_blocks_without_end_are_read() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = {"text": [deep]}
    assert text_of("slack", slack(text="hello", blocks=[deep])) == "hello"


def discord(**more: Any) -> Any:
    return {"id": "7", "channel_id": "55", "author": {"id": "8"}, "content": ""} | more


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        ({"message_snapshots": [{"message": {"content": "go away", "embeds": [{"title": "now"}]}}]}, "go away\nnow"),
        (
            {"content": "look", "embeds": [{"description": "go", "footer": {"text": "away"}}]},
            "look\ngo\naway",
        ),
        ({"embeds": [{"author": {"name": "A"}, "fields": [{"name": "b", "value": "c"}]}]}, "A\nb\nc"),
        ({"content": "go away", "embeds": [{"description": "Go away!"}]}, "go away"),
        ({"poll": {"question": {"text": "who?"}, "answers": [{"poll_media": {"text": "you"}}]}}, "who?\nyou"),
        ({"components": [{"type": 17, "components": [{"type": 10, "content": "go away"}]}]}, "go away"),
        ({"components": [{"components": [{"type": 2, "label": "press"}], "accessory": {"label": "b"}}]}, "press\nb"),
    ],
)
def test_discord_shows_embeds_forwards_polls_and_components(message: dict[str, Any], seen: str) -> None:
    assert text_of("discord", discord(**message)) == seen
    event = {"op": 0, "t": "MESSAGE_CREATE", "s": 1, "d": discord(**message)}
    assert text_of("discord", event) == seen


def test_a_link_preview_is_added_to_what_was_written() -> None:
    preview = {
        "op": 0,
        "t": "MESSAGE_UPDATE",
        "s": 2,
        "d": {"id": "7", "channel_id": "55", "embeds": [{"title": "seen"}]},
    }
    assert text_of("discord", discord(content="look"), preview, preview) == "look\nseen"


def test_messages_as_discord_js_writes_them() -> None:
    written = {"id": "7", "channelId": "55", "content": "go away", "authorId": "8", "createdTimestamp": 1700000000000}
    run = Run("discord", None).tell([json.dumps(written).encode()])
    (heard,) = run.segments("55").values()
    assert (heard.text, heard.speaker) == ("go away", "8")
    assert heard.times[0] is not None
    assert heard.times[0].start == 1700000000.0
    run.tell([json.dumps({"id": "7", "channelId": "55", "guildId": "1"}).encode()], 1)
    assert run.texts("55") == {}


POLL = {"questionText": "who?", "options": [{"optionText": "me"}]}


def youtube(kind: str, **more: Any) -> Any:
    return {"id": "Y1", "snippet": {"type": kind, "liveChatId": "room"} | more}


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        (youtube("textMessageEvent", displayMessage="hello"), "hello"),
        (
            youtube("pollEvent", pollDetails={"metadata": POLL}),
            "who?\nme",
        ),
        (youtube("somethingNewEvent", displayMessage="hello"), "hello"),
        (youtube("superChatEvent", displayMessage="5 €", superChatDetails={"userComment": "hello"}), "hello"),
    ],
)
def test_youtube_shows_what_people_wrote(message: Any, seen: str) -> None:
    assert text_of("youtube", message) == seen


def test_what_twitch_sends_as_fragments_alone() -> None:
    fragments = [{"text": "hello "}, {"text": "Kappa"}]
    event = {"broadcaster_user_id": "room", "message_id": "1", "message": {"text": None, "fragments": fragments}}
    assert text_of("twitch", event) == "hello Kappa"
