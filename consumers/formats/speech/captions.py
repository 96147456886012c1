"""Captions (WebVTT or SRT): a cue is a closed segment, named by its start.

A value is one or several cues, separated by empty lines as in files (`consumers.formats.speech.cue_parser`). Roll-up
captions repeat the lines that are still on the screen; repeated lines are dropped, unless another voice says them.
Cues may be sent again, as in live segments of a stream; a cue with changed text replaces the earlier one, and one that
begins at the same time and says something else is a cue of its own.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from consumers.formats.base import Format, FormatContext, Ignored, Segments, WrittenText
from consumers.formats.similarity import is_same_text
from consumers.formats.speech.cue_parser import Cue, is_caption, parse_cues
from consumers.formats.utterances import is_other_speaker, start_in_name, timed_name
from consumers.formats.word_times import TimedText, add_word_times, last_end
from stream.messages.types import Message, Update

_CONTINUES_WITHIN = 0.1
"""A cue that repeats the previous text within this time (seconds) after its end continues it."""
_SCREEN_CUES = 4
"""Number of previous cues whose lines may still be on the screen."""
_CORRECTED = 0.5
"""Share of words that a cue which is sent again with another text has in common with the earlier one."""
_SAME_START = 16
"""Cues with one start that a cue is compared with."""
_SCOPE = "cue"

_Line = tuple[str, str | None]
"""Text of a line and its voice."""


def _read(value: str, context: FormatContext) -> Iterator[Message | Ignored]:
    session = context.session_name()
    cues = parse_cues(value)
    if not cues:
        yield Ignored("metadata")
        return
    screen = _Screen(context.segments(session))
    updates: dict[str, Update] = {}
    for cue in cues:
        start = float(f"{cue.start:.3f}")  # as it is in names
        new = _drop_repeats(cue, *screen.lines_before(start)) if cue.rolls_up else _filled(cue)
        text = "\n".join("".join(piece.text for piece in line).strip() for line in new)
        update = Update(session=session, segment="", text=text, final=True, time=cue.end)
        update = add_word_times(update, [piece for line in new for piece in line])
        name = screen.find(update, start)
        if text or name in screen.segments:
            updates[name] = replace(update, segment=name)
            screen.write(updates[name], start)
        else:
            yield Ignored("repeat" if any(cue.line_texts()) else "no_text")
    yield from updates.values()


class _Screen:
    """Cues that stand, those of the same value included, in order of their starts."""

    def __init__(self, segments: Segments) -> None:
        self.segments = dict(segments)
        starts = ((start_in_name(name, _SCOPE), name) for name in segments)
        self._order = sorted((start, name) for start, name in starts if start is not None)
        self._numbers = Counter(start for start, _ in self._order)

    def find(self, update: Update, start: float) -> str:
        """Return the name of the cue that an update writes: one that stands with this start and text, or a new one."""
        number = self._numbers[start]
        for name in [_numbered(x, start) for x in range(max(1, number - _SAME_START), number + 1)]:
            standing = self.segments.get(name)
            if standing is None or not standing.text.strip():
                return name
            if is_same_text(update.text, standing.text, _CORRECTED) and not is_other_speaker(standing, update):
                return name
        return _numbered(number + 1, start)

    def write(self, update: Update, start: float) -> None:
        """Write a cue."""
        if update.segment not in self.segments:
            insort(self._order, (start, update.segment))
            self._numbers[start] += 1
        self.segments[update.segment] = WrittenText.of(update, closed=True)

    def lines_before(self, start: float) -> tuple[list[_Line], float | None]:
        """Return the lines of the last cues before a time, and the end of the last one."""
        end = bisect_left(self._order, (start,))
        earlier = [name for _, name in self._order[max(0, end - _SCREEN_CUES) : end]]
        lines = [line for name in earlier for line in _lines_of(self.segments, name)]
        return lines, last_end(self.segments[earlier[-1]].times) if earlier else None


def _numbered(number: int, start: float) -> str:
    return timed_name(_SCOPE if number == 1 else f"{_SCOPE}~{number}", start)


def _lines_of(segments: Segments, name: str) -> Iterator[_Line]:
    segment = segments[name]
    word = 0
    for line in segment.text.split("\n"):
        time = segment.times[word] if word < len(segment.times) else None
        word += len(line.split())
        if line:
            yield line, (time.speaker if time is not None else None) or segment.speaker


def _drop_repeats(cue: Cue, shown: Sequence[_Line], end: float | None) -> Sequence[tuple[TimedText, ...]]:
    filled = _filled(cue)
    lines = [("".join(x.text for x in line).strip(), _voice(line)) for line in filled]
    for count in range(min(len(lines), len(shown)), 0, -1):
        goes_on = len(lines) > 1 or (end is not None and cue.start - end <= _CONTINUES_WITHIN)
        if goes_on and all(_repeats(*pair) for pair in zip(lines, shown[-count:], strict=False)):
            return filled[count:]
    return filled


def _repeats(line: _Line, shown: _Line) -> bool:
    return line[0] == shown[0] and (None in (line[1], shown[1]) or line[1] == shown[1])


def _filled(cue: Cue) -> Sequence[tuple[TimedText, ...]]:
    return [line for line, text in zip(cue.lines, cue.line_texts(), strict=True) if text]


def _voice(line: Sequence[TimedText]) -> str | None:
    return next((x.speaker for x in line if x.text.strip()), None)


FORMAT = Format("captions", _read, is_caption, blocks=True)
