"""Rows of labelled texts, read from JSON lines: labels of the whole text, spans, session and speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.files import to_one_line
from encoder.model.config import ConfigError
from encoder.train.data.conll import read_utf8
from encoder.train.data.jsonl import one_word
from encoder.train.data.sequence import WORD
from stream.evaluation.replay.examples import EvaluationError
from stream.messages.errors import InputError
from stream.messages.validation import check_text

NOT = "not_"
"""`"label": "not_x"` says that label x does not fit."""
MAJORITY = 0.5
"""Share of annotators from which a label fits."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """One text and what is known of it."""

    text: str
    ends: NDArray[np.int32]  # (words,) end of each word in `text`, exclusive; at least one
    labels: Mapping[str, bool]
    """Whether each label fits the text; a label that is absent was not asked for."""
    spans: tuple[tuple[int, int, str], ...] | None
    """Start, end (exclusive) and label of its spans, in characters; None: they are not known."""
    session: str = ""
    """Name of its session (or document); empty: none."""
    speaker: str | None = None


class TextTable(NamedTuple):
    """The rows of a file."""

    rows: list[TextRow]
    marked: bool
    """Whether a row has spans."""
    without_words: int
    """Number of rows that were left out because they have no word."""


class _RawRow(msgspec.Struct):
    text: str
    spans: list[tuple[int, int, str]] | None = None
    labels: dict[str, float | bool | None] | None = None
    label: str | float | bool | None = None
    session: str | int | None = None
    document: str | int | None = None
    speaker: str | int | None = None


class _LabelFields(msgspec.Struct):
    labels: Any = None
    label: Any = None


def read_rows(path: Path, limit: int | None = None) -> TextTable:
    """Read a JSONL file of texts.

    `labels` says for each label whether it fits: 1, 0, or a share of annotators. Else `label` is one word: `x` (of
    several in the file: the others do not fit), `not_x` (x does not fit), or 1 or 0, which is label `label`. A row with
    spans and without labels is asked for every type of span in the file, and a type fits if the row has a span of it.
    Names are those that training gives a tagger: with `_` for white space.

    Args:
        path: the file.
        limit: maximum number of rows.

    Raises:
        ConfigError: the file cannot be read.
        EvaluationError: a line is malformed, or no row has a word; the message says what to do.
    """
    lines = [(n, line) for n, line in enumerate(read_utf8(path).split("\n"), 1) if line.strip()][:limit]
    raw = [(_decode_row(line, f"{path}, line {n}"), f"{path}, line {n}") for n, line in lines]
    classes = {one_word(row.label) for row, _ in raw if isinstance(row.label, str) and not row.label.startswith(NOT)}
    rows = [_make_row(row, classes, where) for row, where in raw]
    kept = [row for row in rows if len(row.ends)]
    if not kept:
        raise EvaluationError(f"{path} has no text with a word")
    kinds = {kind for row in kept for _, _, kind in row.spans or ()}
    kept = [row if row.labels or row.spans is None else _label_by_spans(row, kinds) for row in kept]
    return TextTable(kept, any(row.spans is not None for row in kept), len(rows) - len(kept))


def has_text_labels(path: Path) -> bool:
    """Tell whether a row of a JSONL file has labels of the whole text; a file that cannot be read has none."""
    try:
        lines = read_utf8(path).split("\n")
        return any(
            row.labels is not None or row.label is not None
            for line in lines
            if '"label' in line
            for row in [msgspec.json.decode(line, type=_LabelFields)]
        )
    except (ConfigError, msgspec.DecodeError, RecursionError):
        return False


def rename_labels(rows: Sequence[TextRow], rename: Mapping[str, str]) -> list[TextRow]:
    """Rename labels and types of spans; an empty name drops them. `read_rows` has put `_` for white space in them.

    Of several labels that become one, one that fits is enough.
    """
    renamed, rename = [], {one_word(old): new for old, new in rename.items()}
    for row in rows:
        labels: dict[str, bool] = {}
        for old, fits in row.labels.items():
            if name := rename.get(old, old):
                labels[name] = fits or labels.get(name, False)
        spans = row.spans
        if spans is not None:
            spans = tuple((start, end, name) for start, end, kind in spans if (name := rename.get(kind, kind)))
        renamed.append(replace(row, labels=labels, spans=spans))
    return renamed


def _decode_row(line: str, where: str) -> _RawRow:
    try:
        return msgspec.json.decode(line, type=_RawRow)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EvaluationError(
            f'{where}: {to_one_line(str(error))}; a row is {{"text": "...", "labels": {{"toxic": 1}}, '
            '"spans": [[start, end, "toxic"]]}'
        ) from error


def _make_row(row: _RawRow, classes: set[Any], where: str) -> TextRow:
    spans = None if row.spans is None else tuple((start, end, one_word(kind)) for start, end, kind in row.spans)
    for start, end, kind in spans or ():
        if not (0 <= start < end <= len(row.text) and kind):
            raise EvaluationError(
                f"{where}: span {[start, end, kind]} is not inside its text of {len(row.text)} characters (end is "
                "exclusive), or has no label"
            )
    try:
        check_text(row.text)
    except InputError as error:
        raise EvaluationError(f"{where}: {error}") from error
    name = row.document if row.session is None else row.session
    ends = np.array([m.end() for m in WORD.finditer(row.text)], np.int32)
    labels = _read_labels(row, classes, where)
    return TextRow(row.text, ends, labels, spans, _text_of(name) or "", _text_of(row.speaker))


def _read_labels(row: _RawRow, classes: set[Any], where: str) -> dict[str, bool]:
    if row.labels is not None and row.label is not None:
        raise EvaluationError(f"{where}: has 'labels' and 'label'; keep one of them")
    given: dict[str, Any] = row.labels or {}
    if isinstance(row.label, str):
        own = one_word(row.label)
        if own.startswith(NOT):
            return {own.removeprefix(NOT): False}
        return {name: name == own for name in sorted(classes)}
    if row.label is not None:
        given = {"label": row.label}
    asked = {one_word(name): value for name, value in given.items() if value is not None}
    for name, value in asked.items():
        if not (0 <= value <= 1 and name):
            raise EvaluationError(
                f"{where}: label {name!r} is {value}, but must be 1 (it fits), 0, or the share of annotators for whom "
                "it fits; leave out what was not asked"
            )
    return {name: value >= MAJORITY for name, value in asked.items()}


def _label_by_spans(row: TextRow, kinds: set[str]) -> TextRow:
    own = {kind for _, _, kind in row.spans or ()}
    return replace(row, labels={kind: kind in own for kind in sorted(kinds)})


def _text_of(name: str | int | None) -> str | None:
    return None if name is None else str(name)
