"""Fates of published spans: what became of what readers were told while a segment was open.

Every span that is published before its segment closes has exactly one fate:

- *taken back* by the model: it was retracted (a span that gets another label is retracted, and published anew under
  that label), or it lost words that it had (what is left of it is published anew, under its old id);
- *stood*: it was there when its segment closed, whole; the model may have added words to it;
- *rewritten*: its source rewrote or removed the words under it, so the fate of the label is not known.

A span that only moves with its text, or grows, has no fate yet. Spans that first appear when their segment closes were
never at risk and have none; edits of closed segments and deletes give none.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from stream.messages.types import Changed, Retracted, Span


class PublishedChange(Protocol):
    """A revision, or the difference of which one is made."""

    @property
    def spans(self) -> Sequence[Span]:
        """Spans after the change."""

    @property
    def added(self) -> Sequence[int]:
        """Ids of the new ones."""

    @property
    def changed(self) -> Sequence[Changed]:
        """Spans that kept their id and changed."""

    @property
    def retracted(self) -> Sequence[Retracted]:
        """Spans that were removed."""


class SpanFates(NamedTuple):
    """Labels of the spans whose fate became known with one change, once for each span."""

    taken_back: Sequence[str] = ()
    stood: Sequence[str] = ()
    rewritten: Sequence[str] = ()


NO_FATES = SpanFates()


def find_fates(change: PublishedChange, closing: bool) -> SpanFates:
    """Return the fates that became known with a change of a segment that was open before it.

    Args:
        change: what readers were told.
        closing: whether the change closes the segment.
    """
    if not (closing or change.retracted or change.changed):
        return NO_FATES
    now = {span.id: span for span in change.spans}
    shortened = {
        x.id
        for x in change.changed
        if x.cause == "model" and not (now[x.id].start <= x.was.start and now[x.id].end >= x.was.end)
    }
    taken_back = [x.label for x in change.retracted if x.cause == "model"]
    taken_back += [now[number].label for number in sorted(shortened)]
    new = shortened.union(change.added)
    return SpanFates(
        taken_back,
        [x.label for x in change.spans if x.id not in new] if closing else (),
        [x.label for x in change.retracted if x.cause != "model"],
    )
