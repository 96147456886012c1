"""The live page in a browser: what is seen of labels, and that a transcript can do nothing but be read."""

import pytest
from playwright.async_api import Locator, Page, expect

from consumers.http.live.model import MAX_SEGMENTS, LiveModel
from stream.messages.types import Delete, End, Update
from stream.redaction.messages import RedactedOutput, RedactedPart, RedactedUpdate
from tests.consumers.http.conftest import OpenPage
from tests.consumers.http.pages import TAGGERS, Stage, page_site

pytestmark = pytest.mark.asyncio(loop_scope="module")


def words(page: Page, segment: str = "u1") -> Locator:
    return page.locator(f'.segment[data-segment="{segment}"] .words')


async def marked(page: Page, segment: str = "u1") -> list[list[str]]:
    """The words in each span that has begun, and its label, in order; of those that lie on one another, both."""
    found: list[list[str]] = await words(page, segment).evaluate(
        "x => [...x.querySelectorAll('.first:not(.gone)')].map(m => [m.span.text, m.dataset.tag])"
    )
    return found


async def passed(page: Page, kind: str) -> list[dict[str, str]]:
    """What was seen of that kind, once there was any; it need not be there any more."""
    await page.wait_for_function("kind => window.passed.some(x => x.kind === kind)", arg=kind)
    found: list[dict[str, str]] = await page.evaluate("kind => window.passed.filter(x => x.kind === kind)", kind)
    return found


def stage_of(*labels: str) -> Stage:
    return Stage(LiveModel(TAGGERS, {"ner": labels or ("person", "place"), "claims": ("claim",)}))


async def test_spans_are_on_their_words_also_behind_emoji_and_other_wide_characters(open_page: OpenPage) -> None:
    stage = stage_of()
    text = "👩‍👩‍👧 𝒽ello 🇩🇪 we met ms rice in rome 🎉"
    stage.say(text, speaker="agent", channel="left")
    stage.label({"ms rice": "person", "rome": "place", "𝒽ello": "person"})
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page)).to_have_text(text)
        assert await marked(page) == [["𝒽ello", "person"], ["ms rice", "person"], ["rome", "place"]]
        assert await words(page).locator(".first").all_inner_texts() == ["𝒽ello", "ms rice", "rome"]
        await expect(page.locator(".speaker")).to_have_text("agent")
        await expect(page.locator(".channel")).to_have_text("left")
        stage.say("𝒽ello we met bob 🎉 in rome")
        stage.label({"bob": "person", "rome": "place"})
        await expect(words(page)).to_have_text("𝒽ello we met bob 🎉 in rome")
        await expect(words(page).locator(".first:not(.gone)")).to_have_text(["bob", "rome"])


async def test_scores_of_the_text_are_shown_while_they_are_above_their_thresholds(open_page: OpenPage) -> None:
    stage = Stage(LiveModel(TAGGERS, thresholds={"ner": {"rude": 0.7, "<b>threat": 0.3}}))
    stage.say("bob in rome")
    stage.label({}, scores={"rude": 0.69, "<b>threat": 0.31})
    async with page_site(stage.live) as address:
        page = await open_page(address)
        shown = page.locator('.segment[data-segment="u1"] .score')
        await expect(shown).to_have_text(["<b>threat 31 %"])
        await expect(shown).to_have_css("border-top-style", "dashed")
        stage.label({"bob": "person"}, scores={"rude": 0.7, "<b>threat": 0.1}, final=True)
        await expect(shown).to_have_text(["rude 70 %"])
        await expect(shown).to_have_css("border-top-style", "solid")
        stage.label({"bob": "person"}, final=True)
        await expect(shown).to_have_count(0)


async def test_settled_text_of_an_open_segment_is_solid_and_the_rest_is_lighter(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("bob met anna in rome")
    stage.label({"bob": "person", "anna": "person"}, settled=8)
    async with page_site(stage.live) as address:
        page = await open_page(address)
        solid = words(page).locator(".settled")
        await expect(solid).to_have_text(["bob", " met "])
        color = "x => getComputedStyle(x).color"
        assert await solid.last.evaluate(color) != await words(page).evaluate(color)
        await expect(words(page)).to_have_text("bob met anna in rome")
        stage.say("bob met anna in rome so")
        await expect(solid).to_have_text(["bob", " met "])
        stage.say("rob met anna in rome so")
        await expect(solid).to_have_count(0)
        stage.label({"rob": "person"}, settled=21)
        await expect(solid).to_have_text(["rob", " met anna in rome "])
        stage.say("rob met anna in rome so", final=True)
        stage.label({"rob": "person"}, settled=23, final=True)
        await expect(solid).to_have_count(0)


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
    stage = stage_of()
    stage.live.show_redacted(released(stage, "we met [PERSON] and", 0, " bob sm"))
    async with page_site(stage.live) as address:
        page = await open_page(address)
        solid, withheld = words(page).locator(".settled"), words(page).locator(".withheld")
        await expect(solid).to_have_text("we met [PERSON] and")
        await expect(words(page).locator(".covered")).to_have_text("[PERSON]")
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


async def test_provisional_spans_are_faint_and_final_ones_are_not(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("bob in rome")
    stage.label({"bob": "person"}, stability=0.1)
    stage.say("anna", "u2", final=True)
    stage.label({"anna": "person"}, "u2", final=True)
    async with page_site(stage.live) as address:
        page = await open_page(address)
        faint, full = words(page).locator(".span"), words(page, "u2").locator(".span")
        await expect(faint).to_have_css("border-bottom-style", "dashed")
        await expect(full).to_have_css("border-bottom-style", "solid")
        alpha = "x => parseFloat(getComputedStyle(x).borderBottomColor.match(/[/,] ([0-9.]+)\\)$/)?.[1] ?? 1)"
        first = await faint.evaluate(alpha)
        assert first < 0.5
        assert await full.evaluate(alpha) == 1
        stage.label({"bob": "person"}, stability=0.9)
        await expect(faint).to_have_css("border-bottom-style", "dashed")
        await page.wait_for_function("() => document.querySelector('.soft').span.stability === 0.9")
        assert first < await faint.evaluate(alpha) < 1
        await expect(page.locator(".segment.open")).to_have_count(1)
        stage.say("bob in rome", final=True)
        stage.label({"bob": "person"}, final=True)
        await expect(faint).to_have_css("border-bottom-style", "solid")
        await expect(page.locator(".segment.open")).to_have_count(0)


async def test_a_flip_is_seen_for_a_moment_and_says_from_what_to_what(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("we met jordan")
    stage.label({"jordan": "place"})
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page).locator(".first")).to_have_attribute("data-tag", "place")
        await expect(words(page).locator(".flip")).to_have_count(0)
        stage.say("we met jordan rivers")
        stage.label({"jordan rivers": "person"})
        (flip, *_) = await passed(page, "flip")
        assert (flip["text"], flip["tag"], flip["animationName"]) == ("jordan rivers", "place → person", "flip")
        await expect(words(page).locator(".flip")).to_have_count(0)
        await expect(words(page).locator(".first")).to_have_attribute("data-tag", "person")


async def test_a_span_that_goes_on_with_new_words_is_no_flip(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("we met jordan")
    stage.label({"jordan": "person"})
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page).locator(".first")).to_have_text("jordan")
        stage.say("we met jordan rice and")
        stage.label({"jordan rice": "person"})
        await expect(words(page).locator(".first")).to_have_text("jordan rice")
        stage.say("we met jordan rice and bob")
        await expect(words(page)).to_have_text("we met jordan rice and bob")
        stage.label({"jordan rice and": "person"})  # "and" stood there without a label
        assert [x["text"] for x in await passed(page, "flip")] == ["jordan rice and"]


async def test_with_reduced_motion_a_flip_is_seen_and_does_not_move(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("we met jordan")
    stage.label({"jordan": "place"})
    async with page_site(stage.live) as address:
        page = await open_page(address, reduced_motion="reduce")
        await expect(words(page).locator(".first")).to_have_attribute("data-tag", "place")
        stage.label({"jordan": "person"})
        (flip, *_) = await passed(page, "flip")
        assert flip["animationName"] == "none"
        assert flip["boxShadow"] != "none"


async def test_what_is_taken_back_is_struck_through_for_a_moment(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("we met rice in rome")
    stage.label({"rice": "person", "rome": "place"})
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page).locator(".first")).to_have_count(2)
        stage.label({"rome": "place"})  # the words stand, the label does not
        (gone, *_) = await passed(page, "gone")
        assert (gone["text"], gone["tag"]) == ("rice", "person")
        assert "line-through" in gone["struck"]
        await expect(words(page).locator(".gone")).to_have_count(0)
        await expect(words(page)).to_have_text("we met rice in rome")
        stage.say("we met rice in romania")  # the words went with the label
        stage.label({})
        (ghost, *_) = await passed(page, "ghost")
        assert (ghost["text"], ghost["tag"]) == ("rome", "place")
        assert "line-through" in ghost["struck"]
        await expect(words(page).locator(".ghost")).to_have_count(0)
        await expect(words(page)).to_have_text("we met rice in romania")


async def test_a_deleted_message_is_struck_through_and_goes(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("we met bob", final=True)
    stage.say("fine", "u2", final=True)
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(page.locator(".segment")).to_have_count(2)
        stage.live.show_message(Delete(session=stage.session, segment="u1"))
        (removed, *_) = await passed(page, "removed")
        assert "line-through" in removed["struck"]
        await expect(page.locator(".segment")).to_have_count(1)
        stage.live.show_message(End(session=stage.session))
        await expect(page.locator("#about")).to_contain_text("ended")
        await expect(page.locator(".session .age")).to_have_text("ended")


async def test_several_taggers_lie_on_the_same_words_and_can_be_turned_off(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("bob said it is in rome so there")
    stage.label({"bob": "person", "rome": "place"})
    stage.label({"it is in rome so": "claim"}, tagger="claims")
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page).locator(".first")).to_have_count(3)
        assert await marked(page) == [["bob", "person"], ["it is in rome so", "claim"], ["rome", "place"]]
        await expect(words(page).locator(".below .track0")).to_have_text("rome")
        names = ["nerpersonplace", "claimsclaim"]
        await expect(page.locator("#legend button")).to_have_text(names)
        await page.locator("#legend button", has_text="claims").click()
        await expect(words(page).locator(".first")).to_have_text(["bob", "rome"])
        await page.keyboard.press("1")
        await expect(words(page).locator(".first")).to_have_count(0)
        await expect(page.locator('#legend [aria-pressed="false"]')).to_have_count(2)
        await page.keyboard.press("2")
        await expect(words(page).locator(".first")).to_have_text(["it is in rome so"])
        await expect(words(page)).to_have_text("bob said it is in rome so there")


HOSTILE = [
    '<img src=x onerror="alert(1)"><script>alert(2)</script>',
    "</p></li><iframe src='javascript:alert(3)'></iframe><style>*{display:none}</style>",
    "{{constructor.constructor('alert(4)')()}} ${alert(5)} &lt;b&gt; &#60;i&#62;",
    "x" * 10_000,
    "z" + "\u0301\u0316\u0489" * 500 + " end",
    "المتحدث قال hello world في بيروت",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_text_is_only_text(open_page: OpenPage, text: str) -> None:
    name = text[:250]
    stage = Stage(LiveModel(TAGGERS), name)
    stage.say(text, text[:250], speaker=text[:300], channel=text[:300])
    stage.label({text: text[:300]}, text[:250], tagger=text[:300], stability=0.5)
    async with page_site(stage.live) as address:
        page = await open_page(address)
        paragraph = page.locator(".segment .words")
        await expect(paragraph).to_have_text(text, use_inner_text=False)
        await expect(page.locator("#name")).to_have_text(name)
        await page.locator(".words .first").first.hover(position={"x": 4, "y": 4})
        await page.locator(".words .first").first.hover(position={"x": 5, "y": 5})  # the first one may have scrolled
        await expect(page.locator("#tip")).to_be_visible()
        stage.label({}, text[:250], tagger=text[:300])
        assert (await passed(page, "gone"))[0]["text"] == text
        kinds = "() => [...document.querySelectorAll('main *, nav :not(.other), #tip *')].map(x => x.localName)"
        allowed = {"div", "h2", "p", "button", "b", "span", "ol", "ul", "li", "mark", "del", "input", "dl", "dt", "dd"}
        assert set(await page.evaluate(kinds)) <= allowed
        assert await page.evaluate("() => document.querySelectorAll('script').length") == 1
        wide = "() => document.documentElement.scrollWidth <= innerWidth && document.body.scrollHeight <= innerHeight"
        assert await page.evaluate(wide)
        inside = "x => x.getBoundingClientRect().right <= innerWidth"
        for part in ("#name", ".session .name", ".words", ".speaker", "#legend button"):
            assert await page.locator(part).first.evaluate(inside), part


async def test_signs_that_cannot_be_seen_or_turn_text_around_are_named_and_do_nothing(open_page: OpenPage) -> None:
    stage = stage_of()
    text = "pay \u202eecilA\u202c the \u200bbill of bob\ufeff now"
    stage.say(text)
    stage.label({"bob": "person"})
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(words(page)).to_have_text("pay ecilA the bill of bob now", use_inner_text=False)
        codes = "x => [...x.querySelectorAll('.unseen-sign')].map(y => y.dataset.code)"
        assert await words(page).evaluate(codes) == ["U+202E", "U+202C", "U+200B", "U+FEFF"]
        assert await marked(page) == [["bob", "person"]]


async def test_a_span_tells_what_is_known_of_it_under_the_pointer_and_with_the_focus(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.say("we met bob in rome")
    stage.label({"bob": "person", "rome": "place"}, stability=0.93, score=0.88, start_time=61.5, end_time=62.0)
    async with page_site(stage.live) as address:
        page = await open_page(address)
        tip = page.locator("#tip")
        await words(page).locator(".first").first.hover(position={"x": 4, "y": 12})
        for known in ("person", "ner", "93 % stable", "88 %", "1:01.5 – 1:02.0"):
            await expect(tip).to_contain_text(known)
        await page.mouse.move(600, 700)
        await expect(tip).to_be_hidden()
        await page.locator("#view").focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        await expect(words(page).locator(":focus")).to_have_text("rome")
        await expect(tip).to_contain_text("place")
        stage.say("we met bob in rome today")  # drawn again: focus and tip stay where they were
        await expect(words(page)).to_have_text("we met bob in rome today")
        await expect(words(page).locator(":focus")).to_have_text("rome")
        await expect(tip).to_contain_text("place")
        await page.keyboard.press("ArrowLeft")
        await expect(words(page).locator(":focus")).to_have_text("bob")


async def test_the_page_never_grows_and_follows_the_end_unless_somebody_reads(open_page: OpenPage) -> None:
    stage = stage_of()
    async with page_site(stage.live) as address:
        page = await open_page(address)
        for i in range(3 * MAX_SEGMENTS):
            stage.say(f"this is number {i} of many", f"u{i}", final=True)
        last = 3 * MAX_SEGMENTS - 1
        await expect(words(page, f"u{last}")).to_be_in_viewport()
        await expect(page.locator(".segment")).to_have_count(MAX_SEGMENTS)
        assert await page.evaluate("() => document.querySelectorAll('*').length") < 1000
        await expect(page.locator("#jump")).to_be_hidden()
        await page.locator("#view").hover()
        await page.mouse.wheel(0, -600)
        await expect(page.locator("#jump")).to_be_visible()
        stage.say("and one more", "more", final=True)
        await expect(page.locator("#jump")).to_have_text("Jump to live · 1 new")
        await expect(words(page, "more")).not_to_be_in_viewport()
        await page.locator("#jump").click()
        await expect(words(page, "more")).to_be_in_viewport()
        await expect(page.locator("#jump")).to_be_hidden()


async def test_text_that_grows_and_goes_does_not_look_like_a_reader(open_page: OpenPage) -> None:
    stage = stage_of()
    async with page_site(stage.live) as address:
        page = await open_page(address, viewport={"width": 360, "height": 400})
        for i in range(MAX_SEGMENTS + 15):
            stage.say("this is a long one " * (1 + i % 7), f"u{i}", final=True)
            await expect(words(page, f"u{i}")).to_have_count(1)
            stage.say("this is a long one " * (5 + i % 7), f"u{i}", final=True)
        await expect(page.locator("#jump")).to_be_hidden()
        await expect(words(page, f"u{MAX_SEGMENTS + 14}")).to_be_in_viewport()


async def test_the_strip_has_the_figures(open_page: OpenPage) -> None:
    stage = stage_of()
    stage.live.show_message(Update(session="a", segment="u", text="hello"))
    async with page_site(stage.live) as address:
        page = await open_page(address)
        await expect(page.locator("#state")).to_have_text("live")
        await expect(page.locator("#words")).to_have_text("0.0")
        await expect(page.locator("#lag")).to_have_text("–")
        await expect(page.locator(".session .counts")).to_have_text("1 word · 0 spans")
