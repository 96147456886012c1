"""Captions with labels, SRT or WebVTT, of the segments of one session.

Captions stand in the order of their times, so they are written when the input ends. A word has the times that the
input gives it, or those of the messages with which it came. Spans are `[words](label)` in SRT, which has no labels of
its own, and class spans with a colour for each label in WebVTT.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from consumers.formats.base import Segments
from stream.messages.types import Delete, End, Message, Revision, Span, Update
from stream.messages.word_times import Times, word_extents
from stream.sentences.split import MARKS, PUNCTUATION

LINE_CHARACTERS = 42
CUE_LINES = 2
CUE_MS = 7000
PAUSE_MS = 1500
"""A pause after which a new cue begins."""
SHORTEST_MS = 1000
CHARACTER_MS = 66
"""Reading time of one character, for words of which only their arrival is known."""
CLOCK_SECONDS = 1e6
"""Times from here on are clock times (seconds since 1970); cues then count from the first one."""
_MARKED = re.compile(r"[.,;:!?…]\W*$")
COLOURS = ("cyan", "lime", "magenta", "yellow", "orange", "deepskyblue", "pink", "white")


@dataclass(slots=True)
class _CaptionSegment:
    """A segment as it stands."""

    text: str = ""
    times: Times = ()
    speaker: str | None = None
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    """By tagger, of its newest revision."""


@dataclass(slots=True)
class _TimedWord:
    """A word as it is written, with its place in the text and its times in milliseconds."""

    written: str
    at: int
    end: int
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class _CaptionCue:
    words: list[_TimedWord]
    spans: list[Span]
    speaker: str | None
    end_ms: int

    @property
    def start_ms(self) -> int:
        return self.words[0].start_ms

    @property
    def length(self) -> int:
        return sum(len(x.written) + 1 for x in self.words)


class CaptionOutput:
    """Collects segments with their labels and writes them as captions at the end of the input.

    Args:
        form: what is written.
        segments: returns the segments of a session as received, which must be those that the revisions answer.

    Attributes:
        problems: what has no caption, for the user.
    """

    def __init__(self, form: Literal["srt", "vtt"], segments: Callable[[str], Segments]) -> None:
        self._form = form
        self._received = segments
        self._session: str | None = None
        self._others: set[str] = set()
        self._ended = False
        self._current: dict[str, _CaptionSegment] = {}
        self._past: list[_CaptionSegment] = []
        """Of lives of the session that have ended, in which a name may be used again."""
        self.problems: list[str] = []

    def hear(self, message: Message) -> None:
        """Take the text of a message that the engine has accepted."""
        self._session = self._session or message.session
        if message.session != self._session:
            self._refuse_session(message.session)
        elif isinstance(message, End):
            self._ended = True
        elif isinstance(message, Delete):
            self._current.pop(message.segment, None)
        else:
            self._hear_update(message)

    def see(self, revision: Revision) -> None:
        """Take a revision."""
        segment = self._current.get(revision.segment)
        if revision.session == self._session and segment is not None:
            segment.spans[revision.tagger] = revision.spans

    def write_closed(self) -> Iterator[bytes]:
        """Nothing is written before the end."""
        return iter(())

    def finish(self) -> Iterator[bytes]:
        """Yield the captions."""
        segments = [*self._past, *self._current.values()]
        cues = [cue for segment in segments for cue in self._cut(segment)]
        cues.sort(key=lambda cue: cue.start_ms)
        origin = cues[0].start_ms if cues and cues[0].start_ms >= 1000 * CLOCK_SECONDS else 0
        _end_cues(cues)
        if self._form == "vtt":
            yield _write_header(cues)
        speaker = None
        for number, cue in enumerate(cues, 1):
            start, end = cue.start_ms - origin, cue.end_ms - origin
            if self._form == "vtt":
                yield f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_write_vtt(cue)}\n\n".encode()
            else:
                who = f"{_one_line(cue.speaker)}: " if cue.speaker and cue.speaker != speaker else ""
                yield f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{who}{_write_srt(cue)}\n\n".encode()
            speaker = cue.speaker

    def _hear_update(self, update: Update) -> None:
        if self._ended:
            self._past += self._current.values()
            self._current, self._ended = {}, False
        received = self._received(update.session)[update.segment]
        segment = self._current.setdefault(update.segment, _CaptionSegment())
        segment.text, segment.times, segment.speaker = received.text, received.times, received.speaker

    def _refuse_session(self, session: str) -> None:
        if session not in self._others:
            self._others.add(session)
            self.problems.append(
                f"captions are of one session, here {self._session!r}: {session!r} is left out; give them apart"
            )

    def _cut(self, segment: _CaptionSegment) -> Iterator[_CaptionCue]:
        """Yield the cues of a segment; their end is that of their last word."""
        words = _time_words(segment)
        if words is None:
            self.problems.append(f"a segment has no times, so it has no caption: {segment.text[:40]!r}")
            return
        spans = [x for tagger, found in segment.spans.items() if tagger != PUNCTUATION for x in found]
        spans = [x for x in spans if segment.text[x.start : x.end] == x.text]
        cue: list[_TimedWord] = []
        for word in [x for x in words if _plain(x.written).strip()]:
            if cue and _begins_cue(cue, word):
                yield _CaptionCue(cue, spans, segment.speaker, cue[-1].end_ms)
                cue = []
            cue.append(word)
        if cue:
            yield _CaptionCue(cue, spans, segment.speaker, cue[-1].end_ms)


def _begins_cue(cue: Sequence[_TimedWord], word: _TimedWord) -> bool:
    """Whether a word does not belong to the cue before it."""
    length = sum(len(x.written) + 1 for x in cue)
    return (
        length + len(word.written) > CUE_LINES * LINE_CHARACTERS
        or word.start_ms - cue[-1].end_ms > PAUSE_MS
        or word.end_ms - cue[0].start_ms > CUE_MS
        or (length > LINE_CHARACTERS and cue[-1].written.endswith((".", "?", "!")))
    )


def _time_words(segment: _CaptionSegment) -> list[_TimedWord] | None:
    """Return the words of a segment; None if no time of any is known. Times never go back."""
    extents = word_extents(segment.text)
    known = list(segment.times) + [None] * (len(extents) - len(segment.times))
    first = next((x for x in known if x is not None), None)
    if first is None:
        return None if extents else []
    marks = segment.spans.get(PUNCTUATION, ())
    words: list[_TimedWord] = []
    start, end = first.start, first.end
    for (at, stop), timing in zip(extents, known, strict=False):
        if timing is not None:
            start, end = max(start, timing.start), max(end, timing.end)
        label = next((x.label for x in marks if at < x.end <= stop and segment.text[x.start : x.end] == x.text), "")
        word = segment.text[at:stop]
        written = word if _MARKED.search(word) else word + MARKS.get(label, "")
        begin = max(0, round(1000 * start))
        words.append(_TimedWord(written, at, stop, begin, max(begin, round(1000 * end))))
    if marks and words:
        _capitalise(words)
    return words


def _capitalise(words: Sequence[_TimedWord]) -> None:
    """Write the first letters of sentences as capitals, where that keeps the length of the word."""
    for before, word in zip([None, *words], words, strict=False):
        capital = word.written[:1].upper()
        if len(capital) == 1 and (before is None or before.written.endswith((".", "?", "!"))):
            word.written = capital + word.written[1:]


def _end_cues(cues: Sequence[_CaptionCue]) -> None:
    """Give each cue time to be read, up to the next one, and never none."""
    for cue, following in pairwise([*cues, None]):
        assert cue is not None
        wanted = cue.start_ms + max(SHORTEST_MS, CHARACTER_MS * cue.length)
        if following is not None and following.start_ms > cue.start_ms:
            wanted = min(wanted, following.start_ms)
        if cue.end_ms - cue.start_ms < SHORTEST_MS:
            cue.end_ms = max(cue.end_ms, wanted)
        cue.end_ms = max(cue.end_ms, cue.start_ms + 1)


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"


def _pieces(cue: _CaptionCue, word: _TimedWord) -> Iterator[tuple[str, list[Span]]]:
    """Yield the parts of a word between the edges of spans, with the spans that cover them."""
    extra = len(word.written) - (word.end - word.at)  # marks behind the word, which belong to no span
    inside = [x for x in cue.spans if x.start < word.end and x.end > word.at]
    edges = {word.at, word.end, *(min(word.end, max(word.at, y)) for x in inside for y in (x.start, x.end))}
    for start, end in pairwise(sorted(edges)):
        covering = [x for x in inside if x.start <= start and x.end >= end]
        yield word.written[start - word.at : end - word.at], covering
    if extra > 0:
        yield word.written[-extra:], []


def _runs(cue: _CaptionCue) -> list[tuple[str, list[Span]]]:
    """Return the text of a cue, in lines, cut where any span begins or ends, with the spans that cover each part."""
    runs: list[tuple[str, list[Span]]] = []

    def add(text: str, covering: list[Span]) -> None:
        if runs and runs[-1][1] == covering:
            text = runs.pop()[0] + text
        runs.append((text, covering))

    length, lines, before = 0, 1, None
    for word in cue.words:
        if before is not None:
            wraps = length + 1 + len(word.written) > LINE_CHARACTERS and lines < CUE_LINES
            lines, length = (lines + 1, 0) if wraps else (lines, length + 1)
            add("\n" if wraps else " ", [x for x in cue.spans if x.start < before.end and x.end > word.at])
        for text, covering in _pieces(cue, word):
            add(text, covering)
        length += len(word.written)
        before = word
    return runs


def _write_srt(cue: _CaptionCue) -> str:
    parts: list[str] = []
    begun: list[Span] = []
    for text, covering in [*_runs(cue), ("", [])]:
        parts += [f"]({_one_line(x.label)})" for x in reversed(begun) if x not in covering]
        parts += ["[" for x in covering if x not in begun]
        parts.append(_plain(text))
        begun = covering
    return _no_arrow("".join(parts))


def _write_vtt(cue: _CaptionCue) -> str:
    parts = []
    for text, covering in _runs(cue):
        names = "".join(f".{x}" for x in dict.fromkeys(_class_name(x.label) for x in covering))
        parts.append(f"<c{names}>{_escape(text)}</c>" if names else _escape(text))
    who = f"<v {_escape(_one_line(cue.speaker))}>" if cue.speaker and cue.speaker.strip() else ""
    return who + "".join(parts)


def _write_header(cues: Sequence[_CaptionCue]) -> bytes:
    """Return the header of a WebVTT file, with a colour for each label."""
    labels = sorted({x.label for cue in cues for x in cue.spans})
    colours = {_class_name(label): COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    style = "".join(f"::cue(.{name}) {{ color: {colour} }}\n" for name, colour in colours.items())
    return f"WEBVTT\n\n{f'STYLE{chr(10)}{style}{chr(10)}' if style else ''}".encode()


def _class_name(label: str) -> str:
    """Return a label as a name that both WebVTT and CSS take."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", label)
    return name if re.match(r"[A-Za-z_]", name) else f"l_{name}"


def _plain(text: str | None) -> str:
    """Return text without control characters other than the ends of lines."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text or "")


def _one_line(name: str) -> str:
    return _no_arrow(" ".join(_plain(name).split()))


def _no_arrow(text: str) -> str:
    """Return text that cannot be read as the times of a caption."""
    return text.replace("-->", "-- >")


def _escape(text: str) -> str:
    """Return text that a reader of WebVTT shows as it is."""
    return _plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
