"""Captions (WebVTT or SRT): a cue is a closed segment, named by its start.

A value is one or several cues, separated by empty lines as in files. Roll-up captions repeat the lines that are still
on the screen; repeated lines are dropped. Cues may be sent again, as in live segments of a stream; a cue with changed
text replaces the earlier one.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from consumers.formats.base import Format, FormatContext, OpenText
from consumers.formats.decode import BadInput
from consumers.formats.utterances import start_in_name, timed_name
from consumers.formats.word_times import TimedText, add_word_times, last_end
from stream.messages.types import Message, Update

_TIMING = re.compile(r"[ \t]*(\S+)[ \t]+-->[ \t]+(\S+)")
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{2}):(\d{2})[.,](\d{3})")
_HEADER = re.compile(r"\ufeff?(WEBVTT|NOTE|STYLE|REGION)\b")
_EMPTY = re.compile(r"\n[ \t]*\n")
_TAG = re.compile(r"<([^<>]*)>|\{\\[^{}]*\}")
_CONTINUES_WITHIN = 0.1
"""A cue that repeats the previous text within this time (seconds) after its end continues it."""
_SCREEN_CUES = 4
"""Number of previous cues whose lines may still be on the screen."""
_SCOPE = "cue"


@dataclass(frozen=True, slots=True)
class _Cue:
    start: float
    end: float
    lines: tuple[tuple[TimedText, ...], ...]

    def texts(self) -> list[str]:
        return ["".join(piece.text for piece in line).strip() for line in self.lines]


def _read(value: str, context: FormatContext) -> Iterator[Message]:
    session = context.session_name()
    updates: dict[str, tuple[_Cue, Update]] = {}
    for block in _EMPTY.split(value.replace("\r\n", "\n").strip("\n")):
        cue = _parse(block)
        if cue is None:
            continue
        segment = timed_name(_SCOPE, cue.start)
        shown = _lines_on_screen(context.segments(session), {name: x for name, (_, x) in updates.items()}, cue.start)
        new = _drop_repeats(cue, *shown)
        text = "\n".join("".join(piece.text for piece in line).strip() for line in new)
        if text or segment in context.segments(session):
            update = Update(session=session, segment=segment, text=text, final=True, time=cue.end)
            updates[segment] = cue, add_word_times(update, [piece for line in new for piece in line])
    for _, update in updates.values():
        yield update


def _lines_on_screen(
    existing: Mapping[str, OpenText], updates: Mapping[str, Update], before: float
) -> tuple[list[str], float | None]:
    """Return the lines of the last cues before a time, and the end of the last one."""
    cues = {name: (x.text, last_end(x.times)) for name, x in existing.items()}
    cues |= {name: (x.text, x.time) for name, x in updates.items()}
    begun = {start: told for name, told in cues.items() if (start := start_in_name(name, _SCOPE)) is not None}
    earlier = [begun[start] for start in sorted(begun) if start < before][-_SCREEN_CUES:]
    lines = [line for text, _ in earlier for line in text.split("\n") if line]
    return lines, earlier[-1][1] if earlier else None


def _drop_repeats(cue: _Cue, shown: Sequence[str], end: float | None) -> Sequence[tuple[TimedText, ...]]:
    filled = [line for line, text in zip(cue.lines, cue.texts(), strict=True) if text]
    texts = [text for text in cue.texts() if text]
    for count in range(min(len(texts), len(shown)), 0, -1):
        goes_on = len(texts) > 1 or (end is not None and cue.start - end <= _CONTINUES_WITHIN)
        if goes_on and texts[:count] == list(shown[-count:]):
            return filled[count:]
    return filled


def _parse(block: str) -> _Cue | None:
    """Return the cue of a block; None for a header, a note or a style."""
    if not block.strip() or _HEADER.match(block):
        return None
    rows = block.split("\n")
    for number, row in enumerate(rows[:2]):  # an identifier may precede the times
        if (timing := _TIMING.match(row)) is not None:
            start, end = _seconds(timing[1]), _seconds(timing[2])
            return _Cue(start, end, tuple(_pieces(rows[number + 1 :], start, end)))
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
            if _CLOCK.fullmatch(mark):
                at = _seconds(mark)
                line = [TimedText(x.text, x.start, min(at, x.end or at), x.speaker) for x in line]
            elif mark[:2] in ("v ", "v."):
                voice = html.unescape(mark.partition(" ")[2]).strip() or None
            elif mark == "/v":
                voice = None
        yield tuple(line)


def _seconds(clock: str) -> float:
    parts = _CLOCK.fullmatch(clock)
    if parts is None:
        raise BadInput("invalid_message", "not a time of a caption (00:00:00.000)")
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000


def _recognises(value: str) -> bool:
    return _HEADER.match(value) is not None or any(_TIMING.match(row) for row in value.split("\n")[:3])


FORMAT = Format("captions", _read, _recognises, blocks=True)
