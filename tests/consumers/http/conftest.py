"""A Chromium for the tests of the live page: one for all of them, and a page of its own for each."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.browser import ARGUMENTS, find_browser, required, why_not
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

PATIENCE_MS = 1000 * PATIENCE
"""Milliseconds after which a test gives up: far more than anything here takes."""
LOST = "net::ERR_CONNECTION_REFUSED"
"""What browsers write to the console when the server has gone."""

WITNESS = """
window.violations = [];
window.passed = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.blockedURI));
const note = (mark) => {
  const { animationName, textDecorationLine, boxShadow } = getComputedStyle(mark);
  const line = (mark.querySelector(".words") ? getComputedStyle(mark.querySelector(".words")) : { textDecorationLine });
  passed.push({
    kind: [...mark.classList].find((x) => ["ghost", "gone", "flip", "removed"].includes(x)),
    text: mark.textContent, tag: mark.dataset.tag, animationName, struck: line.textDecorationLine, boxShadow,
  });
};
new MutationObserver((records) => {
  for (const { type, target, addedNodes } of records) {
    if (type === "attributes") target.matches(".removed") && note(target);
    for (const node of addedNodes) {
      if (node.nodeType !== 1 || !node.closest(".words")) continue;
      for (const mark of [node, ...node.querySelectorAll("*")]) mark.matches(".flip.first, .gone") && note(mark);
    }
  }
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
"""
"""Keeps what is seen for a moment only, in `passed`: a slow machine may come too late to see it itself."""

OpenPage = Callable[..., Coroutine[Any, Any, "Page"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator["Browser"]:
    """The browser; without one the test is skipped, unless `HEARKEN_REQUIRE_BROWSER` says that there has to be one."""
    if (reason := why_not()) and required():
        pytest.fail(f"HEARKEN_REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    if reason:
        pytest.skip(f"browser: {reason}")
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: "Browser") -> AsyncIterator[OpenPage]:
    """Opens a page at an address; afterwards it must have been quiet: no error, no dialog, no address but its own."""
    opened = []
    wrong: list[str] = []

    def heed(kind: str, text: str) -> None:
        if kind in ("error", "warning") and LOST not in text:
            wrong.append(f"console: {text}")

    async def open_one(address: str, **options: Any) -> "Page":
        home = "/".join(address.split("/")[:3])
        context = await browser.new_context(**{"viewport": {"width": 1180, "height": 760}} | options)
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: request.url.startswith((home, "data:", f"blob:{home}")) or wrong.append(request.url),
        )
        page.on("console", lambda said: heed(said.type, said.text))
        await page.add_init_script(WITNESS)
        await page.goto(address)
        return page

    yield open_one
    for context in opened:
        for page in context.pages:
            wrong += [f"policy: {x}" for x in await page.evaluate("window.violations")]
        await context.close()
    assert wrong == []
