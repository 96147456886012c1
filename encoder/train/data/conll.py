"""Reading column files of any common form into IOB2: tabs or spaces, two or more columns, IOB1, IOB2, BIOES or BILOU.

Ambiguous files are refused with the line and the remedy; `encoder.train.data.text` then reads only the strict form.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from encoder.files import read_text_file, to_one_line
from encoder.model.config import ConfigError
from encoder.train.data.sequence import TextSequence

MARKS = {"B": "B", "I": "I", "E": "I", "L": "I", "S": "B", "U": "B"}
"""Prefixes of all tagging schemes, and their IOB2 prefix inside a span."""
GOES_ON = "BI"
"""Marks after which a span may go on; E and L end it, S and U are whole spans."""
_MARKED = re.compile(r"[BIELSU]-\S+")
_ODD = re.compile(r"[bielsu]-\S+|\S+-[BIELSU]")


class ConllRow(NamedTuple):
    """One word of a file: where it stands, and its tag as it is there."""

    line: int
    word: str
    tag: str


class ConllSequence(NamedTuple):
    """One sequence of a file."""

    document: str
    rows: list[ConllRow]


def read_columns(path: Path) -> tuple[list[TextSequence], list[str]]:
    """Read a file; gives its sequences, and notes for the user on how it was read.

    Raises:
        ConfigError: it is malformed; the message names the line and what to do.
    """
    blocks = list(_blocks(path))
    rows = [row for block in blocks for row in block.rows]
    marked = _is_marked(path, rows)
    notes = [f"{path.name}: tags have no B- and I-: each tagged word is a span of its own"] if not marked else []
    if any(row.tag[0] in "ELSU" for row in rows if marked and row.tag != "O"):
        notes.append(f"{path.name}: BIOES (or BILOU) tags, read as spans")
    sequences, begun = [], 0
    for document, members in blocks:
        raw = [row.tag for row in members]
        tags, strays = to_iob2(raw) if marked else (["O" if tag == "O" else f"B-{tag}" for tag in raw], 0)
        begun += strays
        sequences.append(TextSequence(document, tuple(row.word for row in members), tuple(tags)))
    if begun:
        notes.append(f"{path.name}: {begun} spans begin with I-, as in IOB1: read as spans")
    return sequences, notes


def to_iob2(tags: Iterable[str]) -> tuple[list[str], int]:
    """Write tags of any scheme as IOB2; also how many spans began with I-, E- or L-."""
    shown, strays = [], 0
    before, kind_before = "O", ""
    for tag in tags:
        mark, _, kind = tag.partition("-")
        if mark == "O":
            shown.append("O")
        else:
            inside = MARKS[mark] == "I" and before in GOES_ON and kind == kind_before
            strays += MARKS[mark] == "I" and not inside
            shown.append(f"{'I' if inside else 'B'}-{kind}")
        before, kind_before = mark, kind
    return shown, strays


def read_utf8(path: Path) -> str:
    """Read a file of UTF-8, with or without a byte order mark.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        return read_text_file(path).replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise ConfigError(str(error)) from error


def _blocks(path: Path) -> Iterator[ConllSequence]:
    """Part a file at its empty lines. A document is named by `# doc = name`, or begins at `-DOCSTART-`."""
    document, begun, rows = "", 0, list[ConllRow]()
    for number, line in enumerate([*read_utf8(path).split("\n"), ""], 1):
        comment = re.fullmatch(r"# *(\S+) = (.*)", line) if not rows else None
        if comment:
            if comment[1] in ("doc", "document", "newdoc_id"):
                document = f"{path.name}:{comment[2].strip()}"
        elif line.startswith("-DOCSTART-"):
            begun += 1
            document = f"{path.name}:{begun}"
        elif line.strip():
            rows.append(_row(path, number, line))
        elif rows:
            yield ConllSequence(document, rows)
            rows = []


def _row(path: Path, number: int, line: str) -> ConllRow:
    cells = [cell.strip() for cell in line.split("\t")] if "\t" in line.strip() else line.split()
    if len(cells) == 10 and cells[0].replace(".", "").replace("-", "").isdigit():
        raise ConfigError(f"{path}, line {number}: this is CoNLL-U; keep its word and the column of your tags")
    if len(cells) < 2 or not cells[0] or not re.fullmatch(r"\S+", cells[-1]):
        raise ConfigError(
            f"{path}, line {number}: expected a word and its tag, separated by a tab or spaces (the last column is the "
            f"tag), found {to_one_line(repr(line))}"
        )
    return ConllRow(number, cells[0], cells[-1])


def _is_marked(path: Path, rows: list[ConllRow]) -> bool:
    """Whether tags have marks (B-, I-, ...); all of a file do, or none.

    Raises:
        ConfigError: some have, or marks look as no scheme has them.
    """
    tagged = [row for row in rows if row.tag != "O"]
    marked = sum(bool(_MARKED.fullmatch(row.tag)) for row in tagged)
    wrong = next((row for row in tagged if not _MARKED.fullmatch(row.tag)), None)
    if wrong and marked:
        raise ConfigError(
            f"{path}, line {wrong.line}: tag {wrong.tag!r} is neither O nor B-type or I-type, as others of the file are"
        )
    if wrong and _ODD.fullmatch(wrong.tag):
        raise ConfigError(f"{path}, line {wrong.line}: write tags as B-type and I-type, not as {wrong.tag!r}")
    return wrong is None
