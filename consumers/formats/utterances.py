"""Rules shared by vendors for the rewriting of utterances. They differ in what identifies an utterance."""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from consumers.formats.base import FormatContext, OpenText, opening_offset
from consumers.formats.word_times import first_start, last_end
from stream.messages.types import Delete, Update

_RECENT = 4
"""Number of recently closed utterances that a late interim result may belong to. Older ones may be of an earlier
connection, whose clock started at 0 too."""


def write_named(existing: OpenText | None, update: Update) -> Iterator[Update | Delete]:
    """Yield the result of an utterance that its vendor names.

    An interim result after the final one is late and ignored. An empty result opens no segment; an empty final one
    deletes an open segment, because it was not speech.
    """
    if existing is not None and existing.closed and not update.final:
        return
    if update.text.strip():
        yield update
    elif existing is not None and not existing.closed:
        yield Delete(session=update.session, segment=update.segment) if update.final else update


def timed_name(scope: str, start: float) -> str:
    """Return the name of an utterance by its start time."""
    return f"{scope}@{start:.3f}"


def write_timed(
    context: FormatContext, scope: str, update: Update, start: float, end: float
) -> Iterator[Update | Delete]:
    """Yield the result of a vendor that identifies an utterance by its start, with one open utterance for each scope.

    The open utterance covers all speech since the last final result; a result with another start replaces it.

    Args:
        context: of the vendor message.
        scope: connection or channel.
        update: the result, named by `timed_name`.
        start, end: time range of its audio in seconds.
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
    """Whether an interim result mostly overlaps an utterance that has recently closed."""
    for name, existing in [(name, x) for name, x in mine.items() if x.closed][-_RECENT:]:
        closed = start_in_name(name, scope) or 0.0, last_end(existing.times) or 0.0
        if min(end, closed[1]) - max(start, closed[0]) > max(end - start, 0.0) / 2:
            return True
    return False


def write_unnamed(context: FormatContext, scope: str, update: Update) -> Iterator[Update | Delete]:
    """Yield the result of a vendor that names no utterances: it belongs to the scope's open utterance or opens one.

    `update.time`, the end of its audio, identifies repeated final results and late interim ones, if it is known.
    `update.segment` is ignored.
    """
    name = context.open_segment(update.session, scope)
    existing = context.segments(update.session).get(name)
    if existing is None or not existing.closed:
        last = last_closed(context, update.session, scope)
        if last is not None and _is_repeat_of(last, update):
            return
    yield from write_named(existing, replace(update, segment=name))


def last_closed(context: FormatContext, session: str, scope: str) -> OpenText | None:
    """Return the scope's most recently closed unnamed utterance that opened before this message."""
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
    """Return the start in a name made by `timed_name` for a scope; None for other names."""
    head, _, start = name.rpartition("@")
    try:
        return float(start) if head == scope else None
    except ValueError:
        return None
