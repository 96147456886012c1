"""README and docs as a reader works through them: what to type, and what to save first, in the order of each page."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.S | re.M)
_SAVED = re.compile(r"\b[Ss]ave(?: it)? as\s+`([\w.]+)`")


@dataclass(frozen=True, slots=True)
class Saved:
    """A file that the page says to save."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a shell block, continuation lines joined, comments gone."""

    text: str

    @property
    def words(self) -> list[str]:
        """As a shell splits them."""
        return shlex.split(self.text)


def read_page(page: Path) -> list[Saved | Command]:
    """The steps of a page. A block of data, settings or Python after "Save as `NAME`" is that file."""
    text = page.read_text("utf-8")
    steps: list[Saved | Command] = []
    told = 0
    for fence in _FENCE.finditer(text):
        kind, body = fence.groups()
        names = _SAVED.findall(text, told, fence.start())
        told = fence.end()
        if kind == "sh":
            steps += [Command(line) for line in _lines(body)]
        elif names and kind in ("jsonl", "python", "toml", "text"):
            steps.append(Saved(names[-1], body))
    return steps


def _lines(body: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", body).splitlines()
    lines = [re.sub(r"(^|\s+)# .*", "", line).strip() for line in joined]
    return [line for line in lines if line]
