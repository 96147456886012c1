"""Rules shared by vendors for the rewriting of utterances. They differ in what identifies an utterance.

A vendor's clock or numbers may begin again in a session, when its connection was restarted. A result that then has the
place of an earlier utterance is told from a late or repeated result by its text: it is another utterance if it says
something else. It opens a new *stream* of its scope, which is part of the names of segments: `audio~2@0.500`.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from consumers.formats.base import FormatContext, Ignored, OpenText, opening_offset
from consumers.formats.similarity import begins_with, is_part_of, is_same_text
from consumers.formats.word_times import first_start, last_end
from stream.messages.types import Delete, Update

Result = Update | Delete | Ignored

_RECENT = 6
"""Number of recently closed utterances that a late or repeated result may belong to. Older ones may be of an earlier
connection, whose clock started at 0 too."""
_FAR_BACK = 30.0
"""Seconds before the last utterance at which a result must be of another stream, because none comes so late."""
_SAME_MOMENT = 0.05
"""Seconds by which the extents of a result and of its repetition may differ."""
_CLOCK_FELL = 0.5
"""Seconds by which the end of an open utterance may move back while its text is rewritten."""
_REWRITTEN = 0.3
"""Share of words that the text of an open utterance keeps when it is rewritten."""
_MOVED = 1.0
"""Seconds by which the start of an open utterance of a window may move."""
_ARRIVAL_FELL = 3.5
"""The same if only the times of results are known, which words keep that they arrived with."""
_CLOCK_FELL_FAR = 5.0
"""Seconds before the beginning of an open utterance at which no result of it can end, whatever it says."""


def write_named(existing: OpenText | None, update: Update) -> Iterator[Result]:
    """Yield the result of an utterance that its vendor names.

    An interim result after the final one is late and ignored. An empty result opens no segment; an empty final one
    deletes an open segment, because it was not speech.
    """
    if existing is not None and existing.closed and not update.final:
        yield Ignored("late")
    elif update.text.strip():
        yield update
    elif existing is not None and not existing.closed:
        yield Delete(session=update.session, segment=update.segment) if update.final else update
    else:
        yield Ignored("no_text")


def timed_name(scope: str, start: float) -> str:
    """Return the name of an utterance by its start time."""
    return f"{scope}@{start:.3f}"


class _Utterance(NamedTuple):
    """One utterance that stands."""

    stream: int
    """Number of its stream in the scope, from 1."""
    start: float
    name: str
    segment: OpenText
    is_numbered: bool

    @property
    def end(self) -> float:
        """End of its last word, as far as it is known; of a numbered one the next number."""
        return self.start + 1 if self.is_numbered else max(self.start, last_end(self.segment.times) or 0.0)

    def overlaps(self, start: float, end: float) -> float:
        return min(end, self.end) - max(start, self.start)


class _Timeline:
    """Utterances of one scope that stand, and the place of a new result among them."""

    def __init__(self, context: FormatContext, session: str, scope: str, separator: str = "@") -> None:
        self._offset = context.offset
        self._scope = scope
        self._separator = separator
        self.utterances = [
            _Utterance(*place, name, x, separator == "-")
            for name, x in context.segments(session).items()
            if (place := _place_in_name(name, scope, separator)) is not None
        ]
        self._recent = [x for x in self.utterances if x.segment.closed][-_RECENT:]

    def find(self, update: Update, start: float, end: float) -> tuple[int, str] | Ignored:
        """Return the stream and the name of the utterance that a result belongs to, which may be a new one."""
        start = float(f"{start:.3f}")  # as it is in names
        mine = [x for x in self.utterances if x.start == start]
        # Read again after a crash, a result finds the utterance that it was in.
        known = next((x for x in mine if x.segment.applied >= self._offset), None)
        known = known or next((x for x in reversed(mine) if not x.segment.closed), None)
        known = known or next((x for x in reversed(mine) if self._says_same(x, update)), None)
        if known is not None:
            return known.stream, known.name
        if not update.final and any(self._makes_late(x, update, start, end) for x in self._recent):
            return Ignored("late")
        stream = self._stream(update, start, end)
        return stream, self._name(stream, start)

    def _stream(self, update: Update, start: float, end: float) -> int:
        streams = [x.stream for x in self.utterances]
        rewritten = [x.stream for x in self.utterances if self._is_rewritten(x, start, end)]
        last = max(rewritten or streams, default=1)
        apart = any(self._is_elsewhere(x, update, start, end) for x in self.utterances if x.stream == last)
        apart = apart or any(self._covers(x, update, start, end) for x in self._recent if x.stream == last)
        return max(streams) + 1 if apart else last

    def _is_rewritten(self, x: _Utterance, start: float, end: float) -> bool:
        return self._separator == "@" and not x.segment.closed and x.overlaps(start, end) > 0

    def _is_elsewhere(self, x: _Utterance, update: Update, start: float, end: float) -> bool:
        """Whether an utterance and a result cannot be of the same stream."""
        if self._separator == "-":
            return x.start == start or x.start > start + _RECENT
        if not x.segment.closed:
            return not update.final and x.start >= end
        return x.start == start or x.start > start + _FAR_BACK

    def _covers(self, recent: _Utterance, update: Update, start: float, end: float) -> bool:
        """Whether a closed utterance has the time of a result that has a text of its own."""
        said_before = self._separator == "@" and recent.overlaps(start, end) > (end - start) / 2
        return said_before and bool(update.text.strip())

    def _makes_late(self, closed: _Utterance, update: Update, start: float, end: float) -> bool:
        if closed.overlaps(start, end) <= (end - start) / 2:
            return False
        return closed.segment.applied >= self._offset or is_part_of(update.text, closed.segment.text)

    def _says_same(self, closed: _Utterance, update: Update) -> bool:
        is_repeat = closed.segment.text == update.text and not is_other_speaker(closed.segment, update)
        return is_repeat or (any(closed is x for x in self._recent) and is_same_utterance(closed.segment, update))

    def _name(self, stream: int, start: float) -> str:
        scope = self._scope if stream == 1 else f"{self._scope}~{stream}"
        return timed_name(scope, start) if self._separator == "@" else f"{scope}-{start:.0f}"


@lru_cache(1 << 14)  # a segment is looked at with every message of its session
def _place_in_name(name: str, scope: str, separator: str) -> tuple[int, float] | None:
    """Return the stream and the start, or the number, in a name of a scope; None for other names."""
    if not name.startswith(scope):
        return None
    found = _PLACES[separator].fullmatch(name, len(scope))
    return None if found is None else (int(found[1] or 1), float(found[2]))


_PLACES = {x: re.compile(rf"(?:~([0-9]{{1,6}}))?{x}(-?[0-9]{{1,300}}(?:\.[0-9]{{3}})?)") for x in "@-"}
"""What follows the scope in a name: the number of the stream, and the start or number of the utterance."""


def is_same_utterance(closed: OpenText, update: Update) -> bool:
    """Whether a result at the place of a closed utterance is of that utterance: late, repeated or an edit of it."""
    if not update.final:
        return is_part_of(update.text, closed.text)
    if is_other_speaker(closed, update):
        return False
    return not update.text.strip() or is_same_text(update.text, closed.text) or _has_same_times(update, closed)


def is_other_speaker(closed: OpenText, update: Update) -> bool:
    """Whether a result and what stands have different speakers."""
    return None not in (update.speaker, closed.speaker) and update.speaker != closed.speaker


def _has_same_times(update: Update, segment: OpenText) -> bool:
    """Whether a result has the extent of what stands, so that only its spelling has changed."""
    begin, end = first_start(segment.times), last_end(segment.times)
    if not update.words or begin is None or end is None:
        return False
    return abs(update.words[0].start - begin) < _SAME_MOMENT and abs(update.words[-1].end - end) < _SAME_MOMENT


def write_timed(context: FormatContext, scope: str, update: Update, start: float, end: float) -> Iterator[Result]:
    """Yield the result of a vendor that identifies an utterance by its start, with one open utterance for each scope.

    The open utterance covers all speech since the last final result; a result with another start replaces it. One that
    lies wholly before it, and that no final result has covered, is of another stream; the open one stands.

    Args:
        scope: connection or channel.
        update: the result; its `segment` is ignored.
        start, end: time range of its audio in seconds.
    """
    end = max(start, end)
    timeline = _Timeline(context, update.session, scope)
    found = timeline.find(update, start, end)
    if isinstance(found, Ignored):
        yield found
        return
    stream, name = found
    existing = context.segments(update.session).get(name)
    if update.final or existing is None or not existing.closed:
        for x in timeline.utterances:
            if x.stream == stream and x.name != name and not x.segment.closed and x.start < end:
                yield Delete(session=update.session, segment=x.name)
    yield from write_named(existing, replace(update, segment=name))


def open_start(context: FormatContext, session: str, scope: str) -> float | None:
    """Return the start of a scope's open utterance, for a result without times, such as an empty one; None if none is.

    One that this message closed before a crash counts as open.
    """
    starts = (
        (x.applied == context.offset, place[1])
        for name, x in context.segments(session).items()
        if (not x.closed or x.applied == context.offset) and (place := _place_in_name(name, scope, "@")) is not None
    )
    return max(starts, default=(False, None))[1]


def write_windowed(
    context: FormatContext, scope: str, window: Sequence[tuple[Update, float, float]]
) -> Iterator[Result]:
    """Yield the results of a rolling window, which has all that its vendor still rewrites, identified by their start.

    An open utterance before the window has left it and closes as it stands; one whose time the window covers with
    others is deleted.

    Args:
        scope: connection.
        window: each result with the time range of its audio in seconds; its `segment` is ignored.
    """
    found: dict[str, Update] = {}
    unplaced: list[Ignored] = []
    moment = context
    for update, start, end in window:
        place = _Timeline(moment, update.session, scope).find(update, start, end)
        if isinstance(place, Ignored):
            unplaced.append(place)
        elif not (place[1] in found and found[place[1]].final):
            found[place[1]] = replace(update, segment=place[1])
            moment = context.after(found.values())
    session = window[0][0].session
    first, last = min(start for _, start, _ in window), max(end for *_, end in window)
    segments = context.segments(session)
    for x in _Timeline(context, session, scope).utterances:
        if not x.segment.closed and x.name not in found:
            near = [update.text for update, start, _ in window if start - x.start < _MOVED]
            moved = not x.segment.text.strip() or any(is_part_of(x.segment.text, text) for text in near)
            if x.start < first and x.end <= first and not moved:
                yield Update(session=session, segment=x.name, text=x.segment.text, final=True)
            elif x.start < last:
                yield Delete(session=session, segment=x.name)
    for name, update in found.items():
        existing = segments.get(name)
        if existing is not None and existing.closed and existing.text == update.text:
            yield Ignored("repeat")
        else:
            yield from write_named(existing, update)
    yield from unplaced


def write_numbered(
    context: FormatContext, scope: str, update: Update, number: int, edits: bool = True
) -> Iterator[Result]:
    """Yield the result of a vendor that numbers the utterances of a connection, from 0 or 1.

    Args:
        scope: name of the segments before their number.
        update: the result; its `segment` is ignored.
        number: number of the utterance.
        edits: whether a final result may change an utterance that has closed.
    """
    found = _Timeline(context, update.session, scope, "-").find(update, number, number + 1)
    if isinstance(found, Ignored):
        yield found
        return
    name = found[1]
    existing = context.segments(update.session).get(name)
    if existing is not None and existing.closed and not edits:
        yield Ignored("repeat" if update.final else "late")
        return
    yield from write_named(existing, replace(update, segment=name))


def write_unnamed(context: FormatContext, scope: str, update: Update) -> Iterator[Result]:
    """Yield the result of a vendor that names no utterances: it belongs to the scope's open utterance or opens one.

    `update.time`, the end of its audio, identifies repeated final results and late interim ones, if it is known, and
    tells when the vendor's clock has begun again: then the open utterance is closed as it stands. `update.segment` is
    ignored.
    """
    name = context.open_segment(update.session, scope)
    existing = context.segments(update.session).get(name)
    if existing is not None and _clock_fell(context, existing, update):
        if not existing.closed:
            yield Update(session=update.session, segment=name, text=existing.text, final=True)
        yield from write_named(None, replace(update, segment=f"{scope}:{context.offset}"))
        return
    if existing is None or not existing.closed:
        last = last_closed(context, update.session, scope)
        if last is not None and _is_repeat_of(last, update):
            yield Ignored("repeat" if update.final else "late")
            return
    yield from write_named(existing, replace(update, segment=name))


def _clock_fell(context: FormatContext, existing: OpenText, update: Update) -> bool:
    """Whether a result is of a stream that began after that of the open utterance."""
    begin, end, said = first_start(existing.times), last_end(existing.times), _end_of(update)
    if begin is None or end is None or said is None or not update.text.strip():
        return False
    if not existing.closed and existing.applied >= context.offset:
        return False  # read again after a crash
    if said < begin - _CLOCK_FELL_FAR:
        return True
    fell = said < end - (_CLOCK_FELL if update.words else _ARRIVAL_FELL)
    before, now = existing.text, update.text
    return fell and not is_part_of(now, before, _REWRITTEN) and not is_part_of(before, now, _REWRITTEN)


def last_closed(context: FormatContext, session: str, scope: str) -> OpenText | None:
    """Return the scope's most recently closed unnamed utterance that opened before this message."""
    name = last_closed_name(context, session, scope)
    return None if name is None else context.segments(session)[name]


def last_closed_name(context: FormatContext, session: str, scope: str) -> str | None:
    """Return the name of what `last_closed` returns."""
    closed = [
        (at, name)
        for name, x in context.segments(session).items()
        if x.closed and (at := opening_offset(name, scope)) is not None and at < context.offset
    ]
    return max(closed)[1] if closed else None


def _is_repeat_of(last: OpenText, update: Update) -> bool:
    end, begin, said = last_end(last.times), first_start(last.times), _end_of(update)
    if said is None or end is None or begin is None:
        return False
    if update.final:
        return last.text == update.text and abs(end - said) < 1e-3
    return begin <= said <= end and begins_with(last.text, update.text)


def _end_of(update: Update) -> float | None:
    return update.words[-1].end if update.words else update.time


def start_in_name(name: str, scope: str) -> float | None:
    """Return the start in a name made by `timed_name` for a scope; None for other names."""
    place = _place_in_name(name, scope, "@")
    return None if place is None else place[1]


def number_scope(name: str, scope: str) -> str | None:
    """Return the scope and stream in a name made by `write_numbered` for a scope; None for other names."""
    return name.rpartition("-")[0] if _place_in_name(name, scope, "-") is not None else None
