"""Log events are short stable keys, and docs/log-events.md lists all of them and no other."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
KEY = re.compile(r"[a-z][a-z0-9_]*")


def is_logger(node: ast.expr) -> bool:
    """`log`, or a call of `get_logger`."""
    called = node.func if isinstance(node, ast.Call) else node
    return (isinstance(called, ast.Name) and called.id in ("log", "logger")) or (
        isinstance(called, ast.Attribute) and called.attr == "get_logger"
    )


def logged() -> list[tuple[str, ast.expr, str]]:
    """Level, event and place of every logging call of the three rooms."""
    found = []
    for path in sorted(x for room in ("consumers", "stream", "encoder") for x in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in LEVELS and is_logger(called.value):
                assert isinstance(node, ast.Call)
                found.append((called.attr, node.args[0], f"{path.relative_to(ROOT)}:{node.lineno}"))
    return found


def listed() -> dict[str, set[str]]:
    """Levels of each event of the page's tables."""
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", (ROOT / "docs/log-events.md").read_text("utf-8"), re.M)
    return {name: set(levels.split(", ")) for names, levels in rows for name in re.findall(r"`(\w+)`", names)}


def test_events_are_short_keys() -> None:
    calls = logged()
    assert len(calls) > 30, "the search finds the calls"
    wrong = [
        where
        for _, event, where in calls
        if not (isinstance(event, ast.Constant) and isinstance(event.value, str) and KEY.fullmatch(event.value))
    ]
    assert not wrong, "an event is a constant in snake_case; details are fields"


def test_the_page_lists_the_events_that_exist() -> None:
    levels: dict[str, set[str]] = {}
    for level, event, _ in logged():
        assert isinstance(event, ast.Constant)
        levels.setdefault(str(event.value), set()).add(level)
    page = listed()
    assert page.keys() == levels.keys()
    assert not {name: found for name, found in levels.items() if not found <= page[name]}, "levels as the page says"
