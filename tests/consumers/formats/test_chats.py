"""Chats: whatever is written, edited and taken back, what stands is what people see; readers are told of the rest."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.consumers.formats.runs import Run

CHANNEL = "room"
Act = tuple[str, int, str]
"""What happens, to which message, and the text. The author of a message is its number modulo 3."""


def author(number: int) -> str:
    return f"person-{number % 3}"


def twitch(act: str, number: int, text: str) -> Any:
    about = {"broadcaster_user_id": CHANNEL, "message_id": f"{number}.5"}
    kinds = {
        "write": ("message", about | {"chatter_user_id": author(number), "message": {"text": text}}),
        "delete": ("message_delete", about | {"target_user_id": author(number)}),
        "ban": ("clear_user_messages", {"broadcaster_user_id": CHANNEL, "target_user_id": author(number)}),
        "clear": ("clear", {"broadcaster_user_id": CHANNEL}),
    }
    kind, event = kinds[act]
    return {"subscription": {"type": f"channel.chat.{kind}"}, "event": event}


def youtube(act: str, number: int, text: str) -> Any:
    base = {"liveChatId": CHANNEL, "authorChannelId": author(number)}
    kinds = {
        "write": {"type": "textMessageEvent", "textMessageDetails": {"messageText": text}},
        "delete": {"type": "messageDeletedEvent", "messageDeletedDetails": {"deletedMessageId": f"{number}.5"}},
        "ban": {"type": "userBannedEvent", "userBannedDetails": {"bannedUserDetails": {"channelId": author(number)}}},
    }
    name = f"{number}.5" if act == "write" else f"event-{number}"
    return {"id": name, "snippet": base | kinds[act]}


def slack(act: str, number: int, text: str) -> Any:
    message = {"type": "message", "user": author(number), "text": text, "ts": f"{number}.5"}
    kinds = {
        "write": message,
        "edit": {"type": "message", "subtype": "message_changed", "message": message, "ts": "99.5"},
        "delete": {"type": "message", "subtype": "message_deleted", "deleted_ts": f"{number}.5", "ts": "99.5"},
    }
    return {"type": "event_callback", "event": kinds[act] | {"channel": CHANNEL}}


def discord(act: str, number: int, text: str) -> Any:
    about = {"id": f"{number}.5", "channel_id": CHANNEL}
    names = {"write": "MESSAGE_CREATE", "edit": "MESSAGE_UPDATE", "delete": "MESSAGE_DELETE"}
    more = {} if act == "delete" else {"content": text, "author": {"id": author(number)}}
    return {"op": 0, "s": 1, "t": names[act], "d": about | more}


PLATFORMS: dict[str, tuple[Callable[[str, int, str], Any], list[str]]] = {
    "twitch": (twitch, ["write", "write", "delete", "ban", "clear"]),
    "youtube": (youtube, ["write", "write", "delete", "ban"]),
    "slack": (slack, ["write", "edit", "delete"]),
    "discord": (discord, ["write", "edit", "delete"]),
}
TEXTS = st.sampled_from(["anna met bob", "rome", "may said", "we met jordan"])


def apply(acts: list[Act]) -> dict[str, str]:
    """What people see in the end."""
    seen: dict[int, str] = {}
    for act, number, text in acts:
        if act in ("write", "edit"):
            seen[number] = text
        elif act == "delete":
            seen.pop(number, None)
        else:
            seen = {k: v for k, v in seen.items() if act == "ban" and author(k) != author(number)}
    return {f"{number}.5": text for number, text in seen.items()}


@pytest.mark.parametrize("name", PLATFORMS)
@given(data=st.data())
def test_what_stands_is_what_people_see(name: str, data: st.DataObject) -> None:
    make, kinds = PLATFORMS[name]
    act = st.tuples(st.sampled_from(kinds), st.integers(0, 6), TEXTS)
    acts: list[Act] = data.draw(st.lists(act, max_size=20))
    run = Run(name, session=None, coalesce=data.draw(st.booleans()), group=data.draw(st.integers(1, 3)))
    values = [json.dumps(make(*x)).encode() for x in acts]
    run.tell(values)
    assert not run.bad
    assert run.texts(CHANNEL) == apply(acts)
    run.die(data.draw(st.integers(0, len(run.log))))
    run.tell(values)
    assert run.texts(CHANNEL) == apply(acts)


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_reader_is_told_of_what_is_taken_back(name: str) -> None:
    make, kinds = PLATFORMS[name]
    acts: list[Act] = [("write", 1, "anna met bob"), ("write", 2, "rome"), ("delete", 1, "")]
    run = Run(name, session=None).tell([json.dumps(make(*x)).encode() for x in acts])
    first, second, last = run.revisions
    assert [x.text for x in first.spans] == ["anna", "bob"]
    assert first.final
    assert second.spans[0].speaker == author(2)
    assert last.spans == ()
    assert [(x.text, x.cause) for x in last.retracted] == [("anna", "delete"), ("bob", "delete")]
    if "edit" in kinds:
        run.tell([json.dumps(make("edit", 2, "paris")).encode()], first=3)
        assert [x.text for x in run.revisions[-1].spans] == ["paris"]
        assert run.revisions[-1].final


def test_a_list_of_youtube_messages_tells_the_last_of_each() -> None:
    items = [youtube("write", 1, "rome"), youtube("write", 2, "paris"), youtube("delete", 1, "")]
    run = Run("youtube", session=None).tell([json.dumps({"items": items}).encode()])
    assert run.texts(CHANNEL) == {"2.5": "paris"}
    over = {"id": "z", "snippet": {"type": "chatEndedEvent", "liveChatId": CHANNEL}}
    run.tell([json.dumps(over).encode()] * 2, first=1)
    assert run.texts(CHANNEL) == {}
    assert not run.bad


def test_the_key_is_the_session_where_there_is_one() -> None:
    run = Run("slack", session="mine").tell([json.dumps(slack("write", 1, "rome")).encode()])
    assert run.texts("mine") == {"1.5": "rome"}
    assert run.texts(CHANNEL) == {}
