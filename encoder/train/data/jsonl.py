"""Reading JSON lines, `text` with spans in characters or `labels` of the whole text, into words with IOB2 tags."""

import re
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from encoder.files import to_one_line
from encoder.model.config import ConfigError
from encoder.train.data.conll import read_utf8
from encoder.train.data.sequence import WORD, TextSequence

SPANS = ("spans", "entities", "labels", "label")
"""Fields that annotation tools keep spans in; a line has one of them at most."""
SCORES = "labels"
"""Field of the labels of the whole text, if it is an object: {"spam": 1, "urgent": 0}."""
LONGEST_NAME = 200
_START, _END, _LABEL = ("start", "start_offset"), ("end", "end_offset"), ("label", "type")


class AnnotatedSpan(NamedTuple):
    """A labelled stretch of a text, in characters, end exclusive."""

    start: int
    end: int
    label: str


def read_lines(path: Path) -> tuple[list[TextSequence], list[str]]:
    """Read a file; gives its sequences, and notes for the user on how it was read.

    Raises:
        ConfigError: it is malformed; the message names the line and what to do.
    """
    sequences, spaced = [], set()
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _decode(line, where)
        spans = sorted(_span(x, len(row["text"]), where) for x in _spans_of(row, where))
        spaced |= {x.label for x in spans if re.search(r"\s", x.label)}
        words, tags = _tag(row["text"], spans, where)
        if words:
            name = row.get("document") or row.get("doc") or ""
            scores = _scores(row, where)
            sequences.append(TextSequence(f"{path.name}:{name}" if name else "", words, tags, scores=scores))
    notes = [f"{path.name}: label {x!r} is written {one_word(x)!r}" for x in sorted(spaced)]
    return sequences, notes


def _decode(line: str, where: str) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: {to_one_line(str(error))}; each line must be one JSON object") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ConfigError(
            f'{where}: expected an object with "text" and "spans": [[start, end, "label"], ...], or "labels": '
            '{"name": 1, ...} of the whole text'
        )
    return row


def _scores(row: dict[str, Any], where: str) -> tuple[tuple[str, float], ...] | None:
    """Read the labels of the whole text, from 0 (does not fit) to 1; one that is missing or null is not known."""
    given = row.get(SCORES)
    if not isinstance(given, dict):
        return None
    for name, value in given.items():
        if not name.strip() or len(name) > LONGEST_NAME:
            raise ConfigError(f"{where}: a label of the text needs a name of 1 to {LONGEST_NAME} characters")
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
            raise ConfigError(
                f"{where}: label {to_one_line(name)!r} of the text must be a number from 0 to 1, or true or false, not "
                f"{to_one_line(repr(value))}"
            )
    return tuple((one_word(name), float(value)) for name, value in given.items() if value is not None) or None


def _spans_of(row: dict[str, Any], where: str) -> list[Any]:
    fields = [name for name in SPANS if row.get(name) is not None and not isinstance(row[name], dict)]
    if len(fields) > 1:
        raise ConfigError(f"{where}: has {' and '.join(map(repr, fields))}: keep the one that holds the spans")
    found = row[fields[0]] if fields else []
    if not isinstance(found, list):
        raise ConfigError(
            f'{where}: {fields[0]!r} must be a list of [start, end, "label"], not {to_one_line(repr(found))}'
        )
    return found


def _span(raw: Any, length: int, where: str) -> AnnotatedSpan:
    """Read `[start, end, label]` or an object; check that it lies in the text."""
    parts = raw
    if isinstance(raw, dict):
        parts = [next((raw[key] for key in keys if key in raw), None) for keys in (_START, _END, _LABEL)]
    if not (
        isinstance(parts, list) and len(parts) == 3 and [type(x) for x in parts] == [int, int, str] and parts[2].strip()
    ):
        raise ConfigError(
            f'{where}: span {to_one_line(repr(raw))} must be [start, end, "label"] or {{"start", "end", "label"}}, in '
            "characters"
        )
    span = AnnotatedSpan(*parts)
    if not 0 <= span.start < span.end <= length:
        raise ConfigError(f"{where}: span {raw!r} is not inside its text of {length} characters (end is exclusive)")
    return span


def _tag(text: str, spans: list[AnnotatedSpan], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = list(WORD.finditer(text))
    starts, ends = [m.start() for m in words], [m.end() for m in words]
    tags = ["O"] * len(words)
    for span in spans:
        inside = range(bisect_right(ends, span.start), bisect_left(starts, span.end))
        if not inside:
            raise ConfigError(f"{where}: span {list(span)} holds no word: {text[span.start : span.end]!r}")
        taken = next((i for i in inside if tags[i] != "O"), None)
        if taken is not None:
            raise ConfigError(
                f"{where}: span {list(span)} shares {words[taken].group()!r} with another; a word has one label, so "
                f"keep one of the two"
            )
        for i in inside:
            tags[i] = ("B-" if i == inside[0] else "I-") + one_word(span.label)
    return tuple(m.group() for m in words), tuple(tags)


def one_word(label: str) -> str:
    """Return the name that a label gets in a tagger: without white space."""
    return re.sub(r"\s+", "_", label.strip())
