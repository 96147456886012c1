"""The Python of docs/python.md and of the README runs, with the shipped taggers, and prints labels."""

import asyncio
import functools
import re
from pathlib import Path

import pytest

import hearken
from tests.hearken.test_client import site

ROOT = Path(__file__).parents[2]
BLOCKS = [
    block
    for page in ("docs/python.md", "README.md")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.S)
]
SERVED = [x for x in BLOCKS if "localhost:8477" in x]
ALONE = [x for x in BLOCKS if x not in SERVED]


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    load = functools.cache(lambda names, rest: hearken.model.load("english", taggers=list(names), **dict(rest)))
    once = lambda _, taggers, **more: load(tuple(taggers), tuple(more.items()))  # noqa: E731
    monkeypatch.setattr(hearken, "load", once)


def test_what_needs_no_server(loaded_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(ALONE) >= 6
    for block in ALONE:
        exec(compile(block, "docs/python.md", "exec"), {"__name__": "example"})
    said = capsys.readouterr().out
    assert said.count("ner [('person', 'anna rice'), ('place', 'rome')]") == 2
    assert "{'ner': 1}" in said
    assert "[PERSON_1]" in said
    assert "acted upon may be" in said


async def test_what_needs_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = SERVED
    async with site() as address:
        code = compile(block.replace("http://localhost:8477", address), "docs/python.md", "exec")
        await asyncio.to_thread(exec, code, {"__name__": "example"})
    assert "'anna rice', 'rome'" in capsys.readouterr().out
