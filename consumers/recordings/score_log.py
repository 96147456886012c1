"""Logs of Perspective's scores as CSV: texts or our scores, theirs, their threshold, perhaps decisions of people."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = {
    "text": ("text", "comment", "comment_text", "message"),
    "score": ("score", "ours", "hearken", "our_score", "hearken_score"),
    "perspective": ("perspective", "perspective_score", "toxicity", "theirs"),
    "threshold": ("threshold", "perspective_threshold"),
    "label": ("label", "decision", "toxic", "flagged", "removed"),
}
"""Names that each column may have; the first one is its usual name."""
_DECISIONS = {"1": True, "true": True, "yes": True, "toxic": True, "0": False, "false": False, "no": False}
_DECISIONS |= {"not_toxic": False, "1.0": True, "0.0": False}
MAX_FIELD = 1 << 20


class ScoreLogError(ValueError):
    """A log that cannot be used; the message names the line."""


class ScoreRow(NamedTuple):
    """One text of a log."""

    line: int
    text: str
    score: float | None
    """Ours, if the log has it."""
    flagged: bool
    """Whether Perspective's score reached its threshold."""
    decision: bool | None


def read_score_log(path: Path, threshold: float | None) -> list[ScoreRow]:
    """Read a log; columns are separated by commas, semicolons or tabs, and named in the first line.

    Args:
        path: UTF-8, with or without a byte order mark.
        threshold: Perspective's, for rows of a log without such a column.

    Raises:
        ScoreLogError: a line cannot be used, or a column is missing.
    """
    csv.field_size_limit(MAX_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
            rows = list(_read_rows(path, reader, threshold))
    except UnicodeDecodeError:
        raise ScoreLogError(f"{path}: line {_line_of_bad_bytes(path)} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ScoreLogError(f"{path} cannot be read: {error.strerror}") from error
    if not rows:
        raise ScoreLogError(f"{path}: there is no row after line 1, which names the columns")
    return rows


def _read_rows(path: Path, reader: Any, threshold: float | None) -> Iterator[ScoreRow]:
    line = 1
    try:
        places = _find_columns(path, next(reader, []), threshold)
        count = len(places.names)
        line = reader.line_num + 1
        for fields in reader:
            if any(x.strip() for x in fields):
                if len(fields) != count:
                    raise ScoreLogError(f"{path}: line {line} has {len(fields)} fields, and line 1 names {count}")
                yield _read_row(f"{path}: line {line}", line, places, fields, threshold)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ScoreLogError(f"{path}: line {line}: {error}; a quote in a text is written twice") from None


class _Places(NamedTuple):
    names: Sequence[str]
    text: int | None
    score: int | None
    perspective: int
    threshold: int | None
    label: int | None


def _find_columns(path: Path, names: Sequence[str], threshold: float | None) -> _Places:
    given = [x.strip().lower() for x in names]
    found: dict[str, int | None] = {}
    for column, known in COLUMNS.items():
        places = [i for i, name in enumerate(given) if name in known]
        if len(places) > 1:
            raise ScoreLogError(f"{path}: line 1 has two columns for `{column}`: {', '.join(names[i] for i in places)}")
        found[column] = places[0] if places else None
    perspective = found.pop("perspective")
    if perspective is None:
        raise ScoreLogError(f"{path}: line 1 must name a column `perspective`, with Perspective's score")
    if found["text"] is None and found["score"] is None:
        raise ScoreLogError(f"{path}: line 1 must name a column `text`, or `score` with our score")
    if found["threshold"] is None and threshold is None:
        raise ScoreLogError(f"{path}: give Perspective's threshold as --threshold, or as a column `threshold`")
    return _Places(names=names, perspective=perspective, **found)


def _read_row(where: str, line: int, places: _Places, fields: Sequence[str], threshold: float | None) -> ScoreRow:
    limit = threshold if places.threshold is None else _read_share(where, "threshold", fields[places.threshold])
    score = None if places.score is None else _read_share(where, "score", fields[places.score])
    text = "" if places.text is None else fields[places.text]
    if score is None and not text.strip():
        raise ScoreLogError(f"{where}: the text is empty; leave such rows out, Perspective refused them")
    assert limit is not None
    theirs = _read_share(where, "perspective", fields[places.perspective])
    decision = None if places.label is None else _read_decision(where, fields[places.label])
    return ScoreRow(line, text, score, theirs >= limit, decision)


def _read_share(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ScoreLogError(f"{where}: `{column}` must be a number from 0 to 1, such as 0.85")
    return value


def _read_decision(where: str, text: str) -> bool:
    decision = _DECISIONS.get(text.strip().lower())
    if decision is None:
        raise ScoreLogError(f"{where}: `label` must be 1 or 0 (or true and false, yes and no, toxic and not_toxic)")
    return decision


def _line_of_bad_bytes(path: Path) -> int:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return 1
