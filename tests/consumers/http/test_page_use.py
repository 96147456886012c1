"""The live page in the hand: keyboard, phone, colours of the night, connections that break."""

import re

import pytest
from playwright.async_api import Page, expect

from consumers.http.live.model import LiveModel
from tests.consumers.http.conftest import OpenPage
from tests.consumers.http.pages import TAGGERS, Stage, page_site
from tests.consumers.http.sites import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


def three_calls() -> tuple[LiveModel, list[Stage]]:
    live = LiveModel(TAGGERS, {"ner": ("organization", "person", "place", "time"), "claims": ("claim", "premise")})
    stages = [Stage(live, name) for name in ("first call", "second call", "third")]
    for stage in stages:
        stage.say(f"bob is in the {stage.session}", final=True)
        stage.label({"bob": "person"}, final=True)
    return live, stages


async def shown(page: Page, name: str) -> None:
    await expect(page.locator("#name")).to_have_text(name)
    await expect(page.locator(".words")).to_have_text(f"bob is in the {name}")
    await expect(page.locator('.session[aria-selected="true"] .name')).to_have_text(name)


async def test_all_of_it_is_there_for_the_keyboard(open_page: OpenPage) -> None:
    live, _ = three_calls()
    async with page_site(live) as address:
        page = await open_page(address)
        await shown(page, "third")  # the newest, unless somebody chose
        await expect(page.locator(".session .name")).to_have_text(["third", "second call", "first call"])
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await expect(page.locator(".cursor .name")).to_have_text("first call")
        await shown(page, "third")  # moving is not choosing
        active = await page.locator("#list").get_attribute("aria-activedescendant")
        assert active == await page.locator(".cursor").get_attribute("id")
        await page.keyboard.press("ArrowUp")
        await page.keyboard.press("Enter")
        await shown(page, "second call")
        assert await page.evaluate("() => location.hash") == "#session=second%20call"
        await page.keyboard.press("/")
        await page.keyboard.type("FIRST")
        await expect(page.locator(".session .name")).to_have_text(["first call"])
        await expect(page.locator("#count")).to_have_text("1 of 3")
        await page.keyboard.press("Enter")
        await shown(page, "first call")
        await page.keyboard.press("Escape")
        await expect(page.locator(".session")).to_have_count(3)
        await expect(page.locator("#list")).to_be_focused()
        await page.keyboard.press("?")
        await expect(page.locator("#help")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#help")).to_be_hidden()


async def test_the_focus_can_be_seen_wherever_it_goes(open_page: OpenPage) -> None:
    live, _ = three_calls()
    async with page_site(live) as address:
        page = await open_page(address)
        await shown(page, "third")
        seen = []
        for _ in range(7):
            await page.keyboard.press("Tab")
            at = "() => [document.activeElement.id || document.activeElement.localName, "
            at += "getComputedStyle(document.activeElement).outlineStyle]"
            name, outline = await page.evaluate(at)
            seen.append(name)
            assert outline != "none", name
        assert seen == ["help-open", "filter", "list", "a", "button", "button", "view"]


async def test_a_transcript_says_nothing_aloud_by_itself(open_page: OpenPage) -> None:
    live, stages = three_calls()
    async with page_site(live) as address:
        page = await open_page(address)
        await shown(page, "third")
        aloud = page.locator("[aria-live], [role=log], [role=alert], [role=status]")
        await expect(aloud).to_have_count(1)
        await expect(aloud).to_have_text("Connected")
        stages[2].say("more and more", "u2")
        await expect(page.locator(".words")).to_have_count(2)
        await expect(aloud).to_have_text("Connected")


async def test_an_address_names_its_session(open_page: OpenPage) -> None:
    live, _ = three_calls()
    odd = Stage(live, "100 % a+b & <c>#1")
    odd.say("bob is in the " + odd.session)
    async with page_site(live) as address:
        page = await open_page(address)
        await shown(page, odd.session)
        link = await page.evaluate("() => location.hash")
        newer = Stage(live, "newer")
        newer.say("bob is in the newer")
        await page.goto("about:blank")
        await page.goto(address + link)
        await shown(page, odd.session)


async def test_on_a_phone_the_list_is_a_drawer_and_nothing_is_wider_than_the_screen(open_page: OpenPage) -> None:
    live, stages = three_calls()
    stages[2].say("antidisestablishmentarianism" * 6, "long", speaker="somebody with a very long name indeed")
    async with page_site(live) as address:
        page = await open_page(address, **PHONE)
        await expect(page.locator("#name")).to_have_text("third")
        await expect(page.locator(".words")).to_have_count(2)
        assert await page.evaluate("() => document.documentElement.scrollWidth") == 360
        assert await page.locator("#view").evaluate("x => x.scrollWidth <= x.clientWidth")
        right = "x => [...x.querySelectorAll('*')].every(y => y.getBoundingClientRect().right <= 360.5)"
        assert await page.locator(".strip").evaluate(right)
        await expect(page.locator("#side")).not_to_be_in_viewport()
        assert await page.locator("#side").evaluate("x => x.inert")
        await page.locator("#drawer").tap()
        await expect(page.locator("#side")).to_be_in_viewport()
        await expect(page.locator("#drawer")).to_have_attribute("aria-expanded", "true")
        await page.locator(".session", has_text="first call").tap()
        await expect(page.locator("#side")).not_to_be_in_viewport()
        await shown(page, "first call")
        await page.locator(".words .first").tap(position={"x": 4, "y": 12})
        await expect(page.locator("#tip")).to_contain_text("person")
        box = await page.locator("#tip").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


CONTRAST = """() => {
  const channels = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => rgb.slice(0, 3).map((x) => x / 255)
    .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const over = (top, under) => under.map((x, i) => (i < 3 ? x + (top[i] - x) * top[3] / 255 : 255));
  const ground = (element) => {
    const above = [];
    for (let x = element; x; x = x.parentElement) above.push(channels(getComputedStyle(x).backgroundColor));
    return above.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 255]);
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((x) => x.nodeType === 3 && x.data.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true })) continue;
    const ratio = contrast(channels(getComputedStyle(element).color), ground(element));
    if (ratio < 4.5) low.push([element.className || element.localName, element.textContent.slice(0, 30), ratio]);
  }
  for (const mark of document.querySelectorAll(".first")) {
    const ratio = contrast(channels(getComputedStyle(mark, "::before").color), ground(mark.closest(".words")));
    if (ratio < 4.5) low.push(["tag", mark.dataset.tag, ratio]);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_can_be_told_from_its_ground_by_day_and_by_night(open_page: OpenPage, scheme: str) -> None:
    labels = [f"kind{i}" for i in range(9)]
    live = LiveModel(("ner", "claims"), {"ner": tuple(labels), "claims": ()})
    stage = Stage(live)
    stage.say(" and ".join(f"word{i}" for i in range(9)))
    stage.label({f"word{i}": label for i, label in enumerate(labels)}, stability=0.2)
    stage.say(" and ".join(f"name{i}" for i in range(9)), "u2", final=True)
    stage.label({f"name{i}": label for i, label in enumerate(labels)}, "u2", final=True)
    async with page_site(live) as address:
        page = await open_page(address, color_scheme=scheme)
        await expect(page.locator(".words .first")).to_have_count(18)
        slots = await page.locator(".words .first").evaluate_all("all => new Set(all.map(x => x.dataset.slot)).size")
        assert slots == 9
        ground = await page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) < 150) == (scheme == "dark")
        assert await page.evaluate(CONTRAST) == []
        await page.keyboard.press("?")
        assert await page.evaluate(CONTRAST) == []


async def test_a_lost_connection_is_said_and_comes_back_by_itself(open_page: OpenPage) -> None:
    live, stages = three_calls()
    async with page_site(live) as address:
        page = await open_page(address)
        await shown(page, "third")
        await expect(page.locator("#state")).to_have_text("live")
    await expect(page.locator("#state")).to_contain_text("lost, again in")
    await expect(page.locator("#said")).to_have_text("Connection lost")
    await expect(page.locator(".words")).to_have_text("bob is in the third")  # what was read can still be read
    stages[2].say("meanwhile", "u2")
    async with page_site(live, port=int(address.rpartition(":")[2])):
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator(".words")).to_have_text(["bob is in the third", "meanwhile"])
        await expect(page.locator("#said")).to_have_text("Connected")


async def test_with_a_token_the_page_is_behind_the_login(open_page: OpenPage) -> None:
    live, _ = three_calls()
    async with page_site(live, token=TOKEN) as address:
        page = await open_page(address)
        assert page.url == address + "/login"
        await page.locator("#token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await shown(page, "third")
        await expect(page.locator("#state")).to_have_text("live")
