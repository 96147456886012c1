"""The client for TypeScript: it is built, tested in Node and in a browser, and the live page has what was built."""

import json
from pathlib import Path

import pytest

from tests.consumers.http.conftest import browser  # noqa: F401
from tests.node import PACKAGE, need_node
from tests.waiting import run

PAGE = Path(__file__).parents[2] / "consumers/http/live/page"
GOLDEN = Path(__file__).parents[1] / "golden"
ORIGIN = "http://localhost:1"


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the built modules."""
    need_node()
    done = run(["node", "node_modules/typescript/bin/tsc"], cwd=PACKAGE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return PACKAGE / "dist"


def test_in_node(built: Path) -> None:
    tests = sorted(str(x) for x in (PACKAGE / "test").glob("*.test.mjs"))
    done = run(["node", "--test", *tests], cwd=PACKAGE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert f"# pass {done.stdout.count('# Subtest')}" in done.stdout
    assert done.stdout.count("# Subtest") > 12


def test_the_page_uses_what_is_built(built: Path) -> None:
    """After a change: `cp clients/typescript/dist/text.js consumers/http/live/page/spans.js`."""
    assert (PAGE / "spans.js").read_text("utf-8") == (built / "text.js").read_text("utf-8")
    assert 'from "./spans.js"' in (PAGE / "text.js").read_text("utf-8")


def test_the_package_has_no_dependencies_and_locks_its_tools() -> None:
    package = json.loads((PACKAGE / "package.json").read_text("utf-8"))
    lock = json.loads((PACKAGE / "package-lock.json").read_text("utf-8"))
    assert "dependencies" not in package
    assert lock["packages"][""]["devDependencies"] == package["devDependencies"]
    assert all("integrity" in x for name, x in lock["packages"].items() if name)


REPLAY = """async ([steps, state]) => {
  const { EMPTY, apply, textOf, settledTextOf, sessionOf } = await import("/index.js");
  let now = EMPTY, wrong = [];
  steps.forEach(({ event, offset, seen }, i) => {
    now = apply(now, event, offset);
    const session = sessionOf(now, event.session);
    if (textOf(session) !== seen.text || settledTextOf(session) !== seen.settled) wrong.push(i);
  });
  return { wrong, sessions: [...now.sessions.keys()] };
}"""


@pytest.mark.asyncio(loop_scope="module")
async def test_in_a_browser(built: Path, browser: object) -> None:  # noqa: F811
    context = await browser.new_context()  # type: ignore[attr-defined]
    page = await context.new_page()

    async def serve(route: object) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")  # type: ignore[attr-defined]
        body = (built / name).read_text("utf-8") if name else "<!doctype html>"
        kind = "text/javascript" if name else "text/html"
        await route.fulfill(body=body, content_type=kind)  # type: ignore[attr-defined]

    await page.route(f"{ORIGIN}/**", serve)
    await page.goto(f"{ORIGIN}/")
    for name in ("random", "rewritten", "answered-late"):
        golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
        found = await page.evaluate(REPLAY, [golden["steps"], golden["state"]])
        assert found == {"wrong": [], "sessions": [*golden["state"]["sessions"]]}
    await context.close()
