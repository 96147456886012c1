"""The moderators' page: which messages are sent to it, and in a browser what is decided and exported."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from consumers.http.live.model import LiveModel
from consumers.http.live.queue import MAX_QUEUED, QueueRequest
from consumers.http.live.subscriber import Subscriber
from encoder.train.data.jsonl import read_lines
from stream.messages.types import Delete
from tests.consumers.http.conftest import OpenPage
from tests.consumers.http.pages import Stage, page_site
from tests.consumers.http.test_page_use import CONTRAST, PHONE

TOXIC = QueueRequest("moderation", 0.5, "toxicity")


def make_stage(session: str = "4021") -> Stage:
    thresholds = {"moderation": {"toxicity": 0.5, "insult": 0.5}}
    live = LiveModel(("ner", "moderation"), {"ner": ("person",), "moderation": ("toxic",)}, thresholds=thresholds)
    return Stage(live, session)


def judge(stage: Stage, segment: str, toxicity: float, *words: str, insult: float = 0.1, final: bool = True) -> None:
    scores = {"toxicity": toxicity, "insult": insult}
    stage.label(dict.fromkeys(words, "toxic"), segment, "moderation", final, scores=scores, score=0.9)


def write(stage: Stage, segment: str, text: str, toxicity: float, *words: str, insult: float = 0.1) -> None:
    stage.say(text, segment, final=True, speaker=f"author of {segment}")
    judge(stage, segment, toxicity, *words, insult=insult)


async def frames(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(x) for x in await subscriber.next_frames(0.0)]


async def test_closed_messages_over_the_threshold_are_sent_and_so_is_what_becomes_of_them() -> None:
    stage = make_stage()
    write(stage, "old", "you fool", 0.8, "fool")
    write(stage, "fine", "well played", 0.1)
    subscriber = stage.live.subscribe()
    subscriber.watch_queue(TOXIC)
    (snapshot,) = await frames(subscriber)
    assert [x["segment"] for x in snapshot["messages"]] == ["old"]
    assert (snapshot["messages"][0]["scores"], snapshot["left_out"]) == ({"toxicity": 0.8, "insult": 0.1}, 0)
    stage.say("you idi", "new")
    judge(stage, "new", 0.9, "idi", final=False)
    assert await frames(subscriber) == []  # it is being said
    write(stage, "new", "you idiot", 0.9, "idiot")
    (message,) = await frames(subscriber)
    assert (message["type"], message["session"], message["segment"]) == ("message", "4021", "new")
    assert (message["text"], message["spans"][0]["text"]) == ("you idiot", "idiot")
    stage.label({}, "new", "ner", final=True)
    assert await frames(subscriber) == []  # another tagger's
    write(stage, "new", "you dear", 0.2)
    write(stage, "new", "you dear friend", 0.1)
    (withdrawn,) = await frames(subscriber)  # once: below the threshold it is nobody's concern any more
    assert (withdrawn["text"], withdrawn["scores"]["toxicity"]) == ("you dear", 0.2)
    for segment in ("old", "fine"):
        stage.live.show_message(Delete(session="4021", segment=segment))
    assert await frames(subscriber) == [{"type": "removed", "session": "4021", "segment": "old"}]
    subscriber.watch("4021")
    write(stage, "more", "you idiot", 0.9, "idiot")
    assert "message" not in {x["type"] for x in await frames(subscriber)}


@pytest.mark.parametrize(
    ("request_", "segments"),
    [
        (QueueRequest("moderation", 0.5), ["insult", "both"]),
        (QueueRequest("moderation", 0.5, "insult"), ["insult", "both"]),
        (QueueRequest("moderation", 0.9, "toxicity"), []),
        (QueueRequest("moderation", 0.5, "toxic"), ["both"]),  # a label of words
        (QueueRequest("ner", 0.5), ["name"]),
        (QueueRequest("ner", 0.5, "place"), []),
        (QueueRequest("other", 0.0), []),
    ],
)
def test_a_queue_has_what_is_asked_for(request_: QueueRequest, segments: list[str]) -> None:
    stage = make_stage()
    write(stage, "insult", "you are not clever", 0.2, insult=0.7)
    write(stage, "both", "you idiot", 0.8, "idiot", insult=0.9)
    write(stage, "name", "bob played", 0.0)
    stage.label({"bob": "person"}, "name", final=True, score=0.6)
    assert [x["segment"] for x in stage.live.queue_snapshot(request_)["messages"]] == segments


def test_a_long_queue_begins_with_its_newest_messages_and_says_how_many_are_left_out() -> None:
    live, now = make_stage().live, 0.0
    live._clock = lambda: now
    stages = [Stage(live, f"room {i}") for i in range(20)]
    for number in range(MAX_QUEUED + 40):
        now += 1.0
        write(stages[number % 20], f"m{number}", "you idiot", 0.9, "idiot")
    frame = live.queue_snapshot(TOXIC)
    assert [x["segment"] for x in frame["messages"]] == [f"m{i}" for i in range(40, MAX_QUEUED + 40)]
    assert frame["left_out"] == 40
    assert [x["age"] for x in frame["messages"][-2:]] == [1.0, 0.0]


async def texts(page: Page) -> list[str]:
    return await page.locator(".message .words").all_inner_texts()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_moderator_works_through_the_queue_by_keyboard(open_page: OpenPage, tmp_path: Path) -> None:
    stage = make_stage()
    write(stage, "1", "you 👎 idiot", 0.9, "idiot", insult=0.8)
    write(stage, "2", "<b>silly</b> man", 0.6, "silly")
    write(stage, "3", "well played", 0.1)
    write(stage, "4", "nobody likes you", 0.7)
    async with page_site(stage.live) as address:
        page = await open_page(address + "/moderation")
        await expect(page.locator(".message .words")).to_have_text(
            ["you 👎 idiot", "<b>silly</b> man", "nobody likes you"]
        )
        mark = page.locator(".message .words mark")
        await expect(mark).to_have_text(["idiot", "silly"])
        await expect(mark.first).to_have_attribute("data-tag", "toxic 90 %")
        await expect(page.locator(".message").first.locator(".score")).to_have_text(["toxicity 90 %", "insult 80 %"])
        assert await page.evaluate(CONTRAST) == []
        await page.keyboard.press("n")
        await expect(page.locator(".message").first).to_be_focused()
        outline = "x => getComputedStyle(x).outlineStyle"
        assert await page.locator(".message").first.evaluate(outline) != "none"
        await page.keyboard.press("n")
        await page.keyboard.press("p")
        await page.keyboard.press("h")
        await expect(page.locator("#said")).to_contain_text("Hidden. 2 left")
        assert await texts(page) == ["<b>silly</b> man", "nobody likes you"]
        await expect(page.locator(".message").first).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("u")  # silly is back, and the one that the keys act on
        await expect(page.locator('.message[aria-current="true"] .words')).to_have_text("<b>silly</b> man")
        await page.keyboard.press("k")
        await page.keyboard.press("h")
        await expect(page.locator("#empty")).to_be_visible()
        async with page.expect_download() as saved:
            await page.keyboard.press("e")
        file = tmp_path / "decisions.jsonl"
        await (await saved.value).save_as(file)
        rows = [json.loads(x) for x in file.read_text("utf-8").splitlines()]
        assert rows == [
            {"text": "you 👎 idiot", "labels": {"toxicity": 1}},
            {"text": "<b>silly</b> man", "labels": {"toxicity": 0}},
            {"text": "nobody likes you", "labels": {"toxicity": 1}},
        ]
        assert [x.scores for x in read_lines(file)[0]] == [(("toxicity", x),) for x in (1.0, 0.0, 1.0)]

        # Retractions: what was hidden and is taken back has to be looked at again, and what is edited too.
        judge(stage, "1", 0.2)
        await expect(page.locator(".message .note")).to_have_text("you hid it; its labels were taken back")
        await page.keyboard.press("k")
        write(stage, "2", "you silly cow", 0.9, "silly cow")
        await expect(page.locator(".message .note")).to_have_text("edited since you decided")
        stage.live.show_message(Delete(session="4021", segment="2"))
        await expect(page.locator(".message")).to_have_count(0)
        await page.keyboard.press("d")
        await expect(page.locator(".message .note")).to_have_text(["kept", "hidden"])

        # The filter: words with a label, exported as spans. It stands in the address.
        await page.keyboard.press("d")
        await page.keyboard.press("f")
        await expect(page.locator("#attribute")).to_be_focused()
        assert await page.locator("#attribute optgroup").evaluate_all("all => all.map(x => x.label)") == [
            "ner",
            "moderation",
        ]
        await page.locator("#attribute").select_option(label="person")
        write(stage, "5", "👎 ann lost", 0.0)
        stage.label({"ann": "person"}, "5", final=True)
        await page.locator("#threshold").fill("90")
        await page.locator("#threshold").press("Escape")
        await expect(page.locator(".message .words")).to_have_text("👎 ann lost")
        await page.keyboard.press("h")
        assert "tagger=ner&name=person&threshold=0.9" in page.url
        async with page.expect_download() as saved:
            await page.keyboard.press("e")
        await (await saved.value).save_as(file)
        last = json.loads(file.read_text("utf-8").splitlines()[-1])
        assert last == {"text": "👎 ann lost", "spans": [[2, 5, "person"]]}

        # On a phone: nothing is wider than the screen, and a finger decides.
        phone = await open_page(address + "/moderation#tagger=moderation&name=insult&threshold=0.05", **PHONE)
        await expect(phone.locator("#at")).to_have_text("5 %")
        write(stage, "6", "antidisestablishmentarianism" * 6, 0.9)
        await expect(phone.locator(".message").last.locator(".words")).to_contain_text("antidis")
        assert await phone.evaluate("() => document.documentElement.scrollWidth") == 360
        assert await phone.locator("main").evaluate("x => x.scrollWidth <= x.clientWidth")
        there = await phone.locator(".message").count()
        await phone.locator(".message").nth(1).locator(".act-hide").tap()
        await expect(phone.locator(".message")).to_have_count(there - 1)
        await expect(phone.locator("#decided-count")).to_have_text("1")
