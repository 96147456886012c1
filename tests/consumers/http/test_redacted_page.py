"""The live page of a service that redacts, in a browser: what was released, what is withheld, raw text beside it."""

import pytest
from playwright.async_api import expect

from consumers.http.live.model import LiveModel
from stream.redaction.messages import RedactedOutput, RedactedPart, RedactedUpdate
from tests.consumers.http.conftest import OpenPage
from tests.consumers.http.pages import TAGGERS, Stage, page_site

pytestmark = pytest.mark.asyncio(loop_scope="module")


def released(stage: Stage, text: str, source: int, raw: str, **fields: object) -> RedactedOutput:
    """A message of the redacted stream: `text` stands for the first `source` characters of the raw text."""
    start = text.index("[") if "[" in text else len(text)
    parts = (RedactedPart(start=start, end=text.index("]") + 1, label="person"),) if "[" in text else ()
    shown = text + "".join("█" if x != " " else x for x in raw)
    message = RedactedUpdate(
        session=stage.session, segment="u1", text=shown, rev=1, offset=0, redactions=parts, **fields
    )
    return RedactedOutput(stage.session, message, "u1", len(text), source)


async def test_a_redacted_text_is_solid_where_it_was_released_and_blocks_where_not(open_page: OpenPage) -> None:
    stage = Stage(LiveModel(TAGGERS))
    stage.live.show_redacted(released(stage, "we met [PERSON] and", 0, " bob sm"))
    async with page_site(stage.live) as address:
        page = await open_page(address)
        solid, withheld = (
            page.locator(".words").first.locator(".settled"),
            page.locator(".words").first.locator(".withheld"),
        )
        await expect(solid).to_have_text("we met [PERSON] and")
        await expect(page.locator(".words").first.locator(".covered")).to_have_text("[PERSON]")
        await expect(withheld).to_have_text(" ███ ██", use_inner_text=False)
        color = "x => getComputedStyle(x).color"
        assert await solid.evaluate(color) != await withheld.evaluate(color)
        stage.say("we met anna and bob smi")  # the service may show raw texts, too
        stage.label({"anna": "person"})
        stage.live.show_redacted(released(stage, "we met [PERSON] and", 15, ""), beside=True)
        both = page.locator(".segment .words")
        await expect(both.first).to_have_text("we met anna and bob smi")
        await expect(both.first.locator(".first")).to_have_text("anna")
        await expect(both.nth(1)).to_have_text("we met [PERSON] and ███ ███", use_inner_text=False)
        left, right = await both.first.bounding_box(), await both.nth(1).bounding_box()
        assert left is not None
        assert right is not None
        assert left["x"] + left["width"] <= right["x"]
        stage.say("we met anna and bob smi", final=True)
        stage.live.show_redacted(released(stage, "we met [PERSON] and bob smi", 23, "", final=True), beside=True)
        await expect(both.nth(1)).to_have_text("we met [PERSON] and bob smi", use_inner_text=False)
        await expect(page.locator(".withheld")).to_have_count(0)
