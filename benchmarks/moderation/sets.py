"""The texts that are measured: our own in `sets/`, and public ones where their folder is given.

`harmless_groups` has sentences about groups of people, `hateful` those that functional tests of hate speech detection
have (Röttger et al., HateCheck, 2021), `pairs` both with the same words, `harmless_chat` messages with words that are
rude elsewhere, `rude_chat` messages that insult or threaten.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from encoder.files import read_text_file
from encoder.model.config import ConfigError

_Row = TypeVar("_Row")
FOLDER = Path(__file__).parent / "sets"
IRC_LINE = re.compile(r"\[\d\d:\d\d\] <[^>]+> (.*)")
"""A message; joins, parts and actions begin otherwise."""
TRANSCRIBER = re.compile(r"\{\w+\}")
"""Marks of a transcriber, such as {vocalsound}."""


class MeasuredText(msgspec.Struct, frozen=True):
    """One text of a set of our own."""

    text: str
    kind: str = ""
    identity: str = ""
    swear: bool = False


class ContrastPair(msgspec.Struct, frozen=True):
    """A harmless and a hateful text of the same words."""

    kind: str
    harmless: str
    hateful: str


class LabelledComment(NamedTuple):
    """A comment of a public set."""

    text: str
    toxic: bool


class SpanComment(msgspec.Struct, frozen=True):
    """A comment with toxic spans in characters, end exclusive."""

    text: str
    spans: list[tuple[int, int, str]]


class _Comment(msgspec.Struct):
    text: str
    label: str


class _Turn(msgspec.Struct):
    text: str
    is_final: bool = True


@cache
def read_texts(name: str) -> tuple[MeasuredText, ...]:
    """Read a set of our own."""
    return tuple(msgspec.json.decode(x, type=MeasuredText) for x in _lines(FOLDER / f"{name}.jsonl"))


@cache
def read_pairs() -> tuple[ContrastPair, ...]:
    """Read the pairs."""
    return tuple(msgspec.json.decode(x, type=ContrastPair) for x in _lines(FOLDER / "pairs.jsonl"))


def read_talk(folder: Path, limit: int) -> list[str]:
    """Read harmless talk: IRC logs (`*.raw.txt`), or turns of which the final ones count (`*.jsonl`), from all files.

    Returns:
        At most `limit` messages of at least two words; none if the folder is missing.
    """
    files = [x for x in sorted(folder.rglob("*")) if x.name.endswith((".raw.txt", ".jsonl"))]
    found: list[str] = []
    for number, path in enumerate(files):
        if path.suffix == ".jsonl":
            texts = [turn.text for turn in (_decode(x, _Turn, path) for x in _lines(path)) if turn.is_final]
        else:
            texts = [match[1] for x in _lines(path) if (match := IRC_LINE.fullmatch(x))]
        texts = [x for x in (" ".join(TRANSCRIBER.sub(" ", text).split()) for text in texts) if " " in x]
        share = (limit * (number + 1)) // len(files) - (limit * number) // len(files)
        found += texts[:: max(1, len(texts) // share)][:share] if share else []
    return found


def read_comments(path: Path) -> list[LabelledComment]:
    """Read comments with a `label` toxic or not_toxic.

    Raises:
        ConfigError: the file cannot be read, or has another label.
    """
    rows = [_decode(x, _Comment, path) for x in _lines(path)]
    strange = {x.label for x in rows} - {"toxic", "not_toxic"}
    if strange or not rows:
        raise ConfigError(f"{path}: every `label` must be toxic or not_toxic, found {sorted(strange) or 'no comment'}")
    return [LabelledComment(x.text, x.label == "toxic") for x in rows]


def read_span_comments(path: Path) -> list[SpanComment]:
    """Read comments with `spans`.

    Raises:
        ConfigError: the file cannot be read.
    """
    return [_decode(x, SpanComment, path) for x in _lines(path)]


def _lines(path: Path) -> list[str]:
    try:
        return [x for x in read_text_file(path).split("\n") if x.strip()]
    except OSError as error:
        raise ConfigError(f"moderation: {error}") from error


def _decode(line: str, kind: type[_Row], path: Path) -> _Row:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise ConfigError(f"moderation: {path}: {error}") from error
