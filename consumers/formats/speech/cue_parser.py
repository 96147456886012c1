"""Parser of captions: WebVTT as its specification's parser reads it, SRT, and lines `[BEGIN --> END] TEXT`.

A value is a file, or one or several of its blocks. CR, LF and CRLF end a line. A block is a cue if its first or second
line has an arrow; a line with an arrow ends the block before it, also without an empty line between them, and ends the
header. Settings behind the times are skipped. Other blocks (NOTE, STYLE, REGION) have no text.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumers.formats.decode import BadInput
from consumers.formats.word_times import TimedText

_ARROW = "-->"
_CLOCK = r"(?:(\d{1,8}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?"
_TIMING = re.compile(rf"[ \t]*{_CLOCK}[ \t]*-->[ \t]*{_CLOCK}(?:[^0-9.,:].*)?")
_WHOLE = re.compile(rf"[ \t]*\[{_CLOCK} +--> +{_CLOCK}\](.*)")
_STAMP = re.compile(_CLOCK)
_HEADER = re.compile(r"WEBVTT(?:[ \t].*)?")
_NO_CUE = re.compile(r"(?:NOTE(?:[ \t].*)?|(?:STYLE|REGION)[ \t]*)")
_TAG = re.compile(r"<(/?[A-Za-z.][^<>]*|[0-9][0-9:.,]*|/)>|\{\\[^{}]*\}")
"""Tags of WebVTT and SRT, and times between words; `<3` is text, whatever follows."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One cue. Times are in seconds; each line is its pieces of text, blanks included, with their times and voices."""

    start: float
    end: float
    lines: tuple[tuple[TimedText, ...], ...]
    rolls_up: bool = True
    """Whether lines may repeat those of the cue before; lines that a program prints do not."""

    def line_texts(self) -> list[str]:
        """Text of each line, without blanks at its ends."""
        return ["".join(piece.text for piece in line).strip() for line in self.lines]


def parse_cues(value: str) -> list[Cue]:
    """Return the cues of a value; none if it has only a header, notes or styles.

    Raises:
        BadInput: a block is no caption, or its times are invalid.
    """
    text = value.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    rows = text.split("\n")
    if _HEADER.fullmatch(rows[0]):
        end = next((i for i, row in enumerate(rows) if i and (not row.strip() or _ARROW in row)), len(rows))
        rows = rows[end:]
    return [cue for block in _blocks(rows) if (cue := _parse_block(block)) is not None]


def is_caption(value: str) -> bool:
    """Whether the first line, or the times of a first cue, show that a value is of captions."""
    rows = value.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").lstrip("\n").split("\n")[:2]
    if _HEADER.fullmatch(rows[0]) or _WHOLE.fullmatch(rows[0]):
        return True
    return any(_TIMING.fullmatch(row) and _ARROW in row for row in rows)


def _blocks(rows: Sequence[str]) -> Iterator[list[str]]:
    """Split rows into blocks as the specification does."""
    block: list[str] = []
    seen_arrow = False
    for row in rows:
        if not row.strip():
            if block:
                yield block
            block, seen_arrow = [], False
            continue
        if (_ARROW in row and _begins_cue(row) and (seen_arrow or len(block) > 1)) or _WHOLE.fullmatch(row):
            identifier = block[-1:] if seen_arrow and len(block) > 2 and block[-1].strip().isdigit() else []
            if block[: len(block) - len(identifier)]:
                yield block[: len(block) - len(identifier)]
            block, seen_arrow = identifier, False
        block.append(row)
        seen_arrow = seen_arrow or _ARROW in row
    if block:
        yield block


def _begins_cue(row: str) -> bool:
    return _TIMING.fullmatch(row) is not None


def _parse_block(rows: Sequence[str]) -> Cue | None:
    if whole := _WHOLE.fullmatch(rows[0]):
        start, end = _seconds(whole.groups()[:4]), _seconds(whole.groups()[4:8])
        return Cue(start, end, tuple(_pieces([whole[9], *rows[1:]], start, end)), rolls_up=False)
    for number, row in enumerate(rows[:2]):  # an identifier may precede the times
        if (timing := _TIMING.fullmatch(row)) is not None:
            start, end = _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:8])
            return Cue(start, end, tuple(_pieces(rows[number + 1 :], start, end)))
    if any(_ARROW in row for row in rows[:2]):
        raise BadInput("invalid_message", "not the times of a caption (00:00:00.000 --> 00:00:00.000)")
    if _NO_CUE.fullmatch(rows[0]):
        return None
    raise BadInput("invalid_message", "not a caption: no line of times (BEGIN --> END)")


def _pieces(rows: Sequence[str], start: float, end: float) -> Iterator[tuple[TimedText, ...]]:
    """Return the words of each line with the times and voices marked in it."""
    at, voice = start, None
    for row in rows:
        line: list[TimedText] = []
        position = 0
        for tag in [*_TAG.finditer(row), None]:
            text = html.unescape(row[position : tag.start() if tag else len(row)])
            position = tag.end() if tag else len(row)
            line += [TimedText(x, at, end, voice) for x in re.findall(r"\s+|\S+", text)]
            mark = (tag[1] or "") if tag else ""
            if (stamp := _STAMP.fullmatch(mark)) is not None:
                at = _seconds(stamp.groups())
                line = [TimedText(x.text, x.start, min(at, x.end or at), x.speaker) for x in line]
            elif re.match(r"v[. \t]", mark):
                voice = html.unescape(mark.partition(" ")[2]).strip() or None
            elif mark == "/v":
                voice = None
        yield tuple(line)


def _seconds(clock: Sequence[str | None]) -> float:
    """Seconds of hours, minutes, seconds and a fraction.

    Raises:
        BadInput: there are 60 minutes or seconds, or more.
    """
    hours, minutes, seconds = (int(part or 0) for part in clock[:3])
    if minutes > 59 or seconds > 59:
        raise BadInput("invalid_message", "not a time of a caption: at most 59 minutes and 59 seconds")
    return hours * 3600 + minutes * 60 + seconds + float(f"0.{clock[3] or 0}")
