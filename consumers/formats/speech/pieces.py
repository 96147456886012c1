"""Rule of vendors that confirm an utterance piece by piece; the interim text behind what is confirmed is replaced.

How much of an open segment is confirmed is kept with it (`Update.confirmed`), so that pieces are joined in the right
place after a crash, too. A segment is named by the message that opened it (`audio:7`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from consumers.formats.base import FormatContext, Ignored, OpenText
from consumers.formats.similarity import is_part_of
from consumers.formats.utterances import Result, last_closed_name, write_named
from consumers.formats.word_times import TimedText, add_word_times, first_start, last_end
from stream.messages.types import Update
from stream.messages.word_times import Times

MAX_PIECES_CHARACTERS = 1000
"""Confirmed characters after which a segment closes with the next sentence end, although its vendor does not end it."""
_MAX_UNENDED = 4000
"""The same without a sentence end."""
_SENTENCE_ENDS = ".?!…。？！"
_CLOCK_FELL = 1.0
"""Seconds by which a piece must begin before the last confirmed word to be of another connection."""
_CLOCK_FELL_BEFORE = 5.0
"""The same before the beginning of what is interim."""
_SAME_MOMENT_OF_PIECE = 1e-3
_REWRITTEN = 0.3


@dataclass(frozen=True, slots=True)
class Piece:
    """What one message says of the open utterance: new confirmed text, and all interim text behind it."""

    confirmed: str = ""
    interim: str = ""
    confirmed_words: Sequence[TimedText] = ()
    """Words, or parts of words, of the confirmed text."""
    interim_words: Sequence[TimedText] = ()
    ends: bool = False
    """Whether the utterance ends behind it."""

    @property
    def begin(self) -> float | None:
        """Start of its first word with a known time, in seconds."""
        return next((x.start for x in (*self.confirmed_words, *self.interim_words) if x.start is not None), None)

    @property
    def confirmed_end(self) -> float | None:
        """End of its confirmed text in seconds, which tells a piece that is sent twice."""
        return next((x.end for x in reversed(self.confirmed_words) if x.end is not None and x.text.strip()), None)


def write_pieces(
    context: FormatContext, session: str, scope: str, pieces: Sequence[Piece], channel: str | None = None
) -> Iterator[Result]:
    """Yield the updates of a scope's utterances; each piece but the last must end one."""
    moment, opened = context, 0
    for piece in pieces:
        found = list(_write_piece(moment, context, session, scope, piece, channel, opened))
        opened += sum(isinstance(x, Update) and x.final for x in found)
        moment = moment.after(found)
        yield from found


def _write_piece(
    moment: FormatContext,
    context: FormatContext,
    session: str,
    scope: str,
    piece: Piece,
    channel: str | None,
    opened: int,
) -> Iterator[Result]:
    """Yield the updates of one piece; `moment` has the segments as the pieces before it in this message leave them."""
    if _is_repeat_of_closed(context, session, scope, piece):
        yield Ignored("repeat")
        return
    name = _next_name(scope, context.offset, opened) if opened else context.open_segment(session, scope)
    existing = moment.segments(session).get(name)
    if existing is not None and _is_new_stream(context, existing, piece):
        if not existing.closed and existing.text.strip():
            yield Update(session=session, segment=name, text=existing.text, final=True, confirmed=existing.confirmed)
        name, existing = _next_name(scope, context.offset, opened + 1), None
    base = existing.text[: existing.confirmed] if existing else ""
    if existing is not None and _is_repeat(existing, base, piece):
        piece = replace(piece, confirmed="", confirmed_words=())
    confirmed = base + piece.confirmed
    update = Update(
        session=session,
        segment=name,
        text=confirmed + piece.interim,
        confirmed=len(confirmed),
        final=piece.ends or _is_long(confirmed, piece),
        channel=channel,
    )
    known = _known_words(existing, base, piece) if existing else []
    yield from write_named(existing, add_word_times(update, [*known, *piece.confirmed_words, *piece.interim_words]))


def _next_name(scope: str, offset: int, opened: int) -> str:
    """Return the name of a segment that opens behind others in one message."""
    return f"{scope}:{offset}.5" if opened == 1 else f"{scope}:{offset}.5{opened - 1:02}"


def _known_words(existing: OpenText, base: str, piece: Piece) -> list[TimedText]:
    """Return the words of the confirmed text with their times; the last may be a part of a word."""
    times: Times = existing.times
    known = [
        TimedText(word) if x is None else TimedText(word, x.start, x.end, x.speaker or existing.speaker)
        for word, x in zip_longest(base.split(), times[: len(base.split())])
    ]
    if known and not base[-1:].isspace() and existing.text[len(base) : len(base) + 1].strip() and known[-1].end:
        # the time of this word was that of its interim rest, too
        begin = known[-1].end if piece.begin is None else piece.begin
        known[-1] = replace(known[-1], end=max(known[-1].start or 0.0, min(known[-1].end, begin)))
    return known


def _is_long(confirmed: str, piece: Piece) -> bool:
    if piece.interim.strip() or len(confirmed) < MAX_PIECES_CHARACTERS:
        return False
    return len(confirmed) >= _MAX_UNENDED or confirmed.rstrip().endswith(tuple(_SENTENCE_ENDS))


def _is_repeat(existing: OpenText, base: str, piece: Piece) -> bool:
    """Whether the confirmed text of a piece was read already: it is at the end of what is confirmed, at the same time.

    A piece that begins in the middle of a word is compared by its end, the others by their start: the end of a word may
    be that of the interim text behind it.
    """
    if not piece.confirmed.strip() or not base.endswith(piece.confirmed):
        return False
    before, count = base[: len(base) - len(piece.confirmed)], len(base.split())
    times = existing.times[:count]
    if before[-1:].strip() and piece.confirmed[0].strip():
        known, said = last_end(times), piece.confirmed_end
    else:
        known, said = first_start(times[count - len(piece.confirmed.split()) :]), piece.begin
    return known is not None and said is not None and abs(known - said) < _SAME_MOMENT_OF_PIECE


def _is_repeat_of_closed(context: FormatContext, session: str, scope: str, piece: Piece) -> bool:
    name = last_closed_name(context, session, scope)
    if name is None or not piece.ends:
        return False
    closed = context.segments(session)[name]
    return closed.applied < context.offset and _is_repeat(closed, closed.text, piece)


def _is_new_stream(context: FormatContext, existing: OpenText, piece: Piece) -> bool:
    """Whether a piece is of a connection that began after that of the open segment: its clock has begun again.

    A segment that has this message already, which is read again after a crash, can have been closed for this reason.
    """
    begin, base = piece.begin, existing.text[: existing.confirmed]
    if begin is None or existing.applied > context.offset:
        return False
    if _is_repeat(existing, base, piece) or (existing.applied == context.offset and not existing.closed):
        return False
    if base.strip():
        last = next((x.start for x in reversed(existing.times[: len(base.split())]) if x is not None), None)
        return last is not None and begin < last - _CLOCK_FELL
    first, now = first_start(existing.times), piece.confirmed + piece.interim
    if first is None or begin >= first - _CLOCK_FELL_BEFORE:
        return False
    return not is_part_of(now, existing.text, _REWRITTEN) and not is_part_of(existing.text, now, _REWRITTEN)
