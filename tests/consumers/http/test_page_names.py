"""Names of labels on the live page: none lies on another, and none is cut off by the edge of the text."""

import pytest
from playwright.async_api import Page, expect

from consumers.http.live.model import LiveModel
from tests.consumers.http.conftest import OpenPage
from tests.consumers.http.pages import Stage, page_site
from tests.consumers.http.test_page import words

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = """() => [...document.querySelectorAll(".first")].map((mark) => {
  const style = getComputedStyle(mark, "::before");
  const { left, top } = mark.getClientRects()[0];
  const at = { left: left + parseFloat(style.left), top: top + parseFloat(style.top) };
  const [width, height] = [parseFloat(style.width), parseFloat(style.fontSize)];
  return { tag: mark.dataset.tag, ...at, right: at.left + width, bottom: at.top + height };
})"""


async def collisions(page: Page) -> list[str]:
    """Pairs of names of labels that lie on one another, and names that reach beyond the text."""
    names = await page.evaluate(NAMES)
    edge = await page.locator(".words").first.evaluate("x => x.getBoundingClientRect().right")
    below = await page.locator(".segment").last.evaluate("x => x.getBoundingClientRect().bottom")
    found = [x["tag"] for x in names if x["right"] > edge + 1 or x["bottom"] > below + 1]
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            beside = one["right"] <= other["left"] + 0.5 or other["right"] <= one["left"] + 0.5
            if not (beside or one["bottom"] <= other["top"] + 1 or other["bottom"] <= one["top"] + 1):
                found.append(f"{one['tag']} {other['tag']}")
    return found


async def test_names_of_labels_do_not_lie_on_one_another(open_page: OpenPage) -> None:
    taggers = ("ner", "rude", "claims", "pii", "marks")
    stage = Stage(LiveModel(taggers))
    text = "al bo and cy go to us in la ii iii call me on one two three because we do it so it is so ok al"
    stage.say(text, final=True)
    short = {
        "al": "organization",
        "bo": "person",
        "cy": "organization",
        "us": "place",
        "la": "place",
        "iii": "quantity",
    }
    stage.label(short, final=True)
    stage.label({"call me": "toxic", "do": "identity_attack"}, "u1", "rude", True)
    stage.label({"because we do it": "premise", "it is so ok": "claim"}, "u1", "claims", True)
    stage.label({"one two three": "telephone_number"}, "u1", "pii", True)
    stage.label({"me": "comma", "three": "comma", "so": "period", "ok": "question"}, "u1", "marks", True)
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page).locator(".first")).to_have_count(15)
        assert await collisions(page) == []
        await page.set_viewport_size({"width": 340, "height": 700})
        await expect(page.locator("#side")).not_to_be_in_viewport()
        await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert await collisions(page) == []
        stage.label(short | {"bo": "organization"}, final=True)  # a change names both labels where there is room
        await expect(words(page).locator(".flip.first")).to_have_attribute("data-tag", "organization")
        assert await collisions(page) == []
