"""How recognisers rewrite: the rules that several vendors share. They differ in what names an utterance."""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from consumers.formats.base import FormatContext, OpenText, opening_offset
from consumers.formats.word_times import first_start, last_end
from stream.messages.types import Delete, Update

_RECENT = 4
"""Closed utterances among which a late interim result is looked for: older ones may be of an earlier connection, whose
clock began at the same 0."""


def write_named(existing: OpenText | None, update: Update) -> Iterator[Update | Delete]:
    """Write a snapshot of an utterance that its vendor names.

    An interim result that comes after the final one is late, and says nothing. An empty one opens nothing; an empty
    final one takes back what was taken for speech.
    """
    if existing is not None and existing.closed and not update.final:
        return
    if update.text.strip():
        yield update
    elif existing is not None and not existing.closed:
        yield Delete(session=update.session, segment=update.segment) if update.final else update


def timed_name(scope: str, start: float) -> str:
    """Name an utterance by where it begins."""
    return f"{scope}@{start:.3f}"


def write_timed(
    context: FormatContext, scope: str, update: Update, start: float, end: float
) -> Iterator[Update | Delete]:
    """Write a result of a vendor that names an utterance by where it begins, and has one open at a time.

    The open one stands for all that was said since the last final result. A result that begins elsewhere replaces it.

    Args:
        context: what stands.
        scope: what has one open at a time: a connection, a channel of it.
        update: the result, named by `timed_name`.
        start, end: its part of the audio, in seconds.
    """
    segments = context.segments(update.session)
    mine = {name: x for name, x in segments.items() if start_in_name(name, scope) is not None}
    if not update.final and is_late(mine, scope, start, end):
        return
    for name, existing in mine.items():
        behind = (start_in_name(name, scope) or 0.0) >= end
        if name != update.segment and not existing.closed and not (update.final and behind):
            yield Delete(session=update.session, segment=name)
    yield from write_named(segments.get(update.segment), update)


def is_late(mine: Mapping[str, OpenText], scope: str, start: float, end: float) -> bool:
    """Whether an interim result is, by the most part, of an utterance that has just closed."""
    for name, existing in [(name, x) for name, x in mine.items() if x.closed][-_RECENT:]:
        closed = start_in_name(name, scope) or 0.0, last_end(existing.times) or 0.0
        if min(end, closed[1]) - max(start, closed[0]) > max(end - start, 0.0) / 2:
            return True
    return False


def write_unnamed(context: FormatContext, scope: str, update: Update) -> Iterator[Update | Delete]:
    """Write a result of a vendor that names nothing: it is of the open utterance of its scope, or opens one.

    `update.time`, the end of its audio, tells a final result that is sent twice and a late interim one, where it is
    known; its `segment` is not looked at.
    """
    name = context.open_segment(update.session, scope)
    existing = context.segments(update.session).get(name)
    if existing is None or not existing.closed:
        last = last_closed(context, update.session, scope)
        if last is not None and _is_repeat_of(last, update):
            return
    yield from write_named(existing, replace(update, segment=name))


def last_closed(context: FormatContext, session: str, scope: str) -> OpenText | None:
    """Give the utterance that closed last, of those that nothing names and that opened before this message."""
    closed = [
        (at, name, x)
        for name, x in context.segments(session).items()
        if x.closed and (at := opening_offset(name, scope)) is not None and at < context.offset
    ]
    return max(closed, key=lambda row: row[:2])[2] if closed else None


def _is_repeat_of(last: OpenText, update: Update) -> bool:
    end, begin = last_end(last.times), first_start(last.times)
    said = update.words[-1].end if update.words else update.time
    if said is None or end is None or begin is None:
        return False
    if update.final:
        return last.text == update.text and abs(end - said) < 1e-3
    return begin <= said <= end


def start_in_name(name: str, scope: str) -> float | None:
    """Give the start in a name that `timed_name` made for a scope; None if it is another's."""
    head, _, start = name.rpartition("@")
    try:
        return float(start) if head == scope else None
    except ValueError:
        return None
