"""Comparison of a revision that begins anew with what a reader was told: one revision that follows the other."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from hearken.messages import Changed, Retracted, Revision, Span, Was


def match_spans(old: Sequence[Span], new: Sequence[Span]) -> dict[int, Span]:
    """Return the old span that each new one continues, by the new one's id.

    Spans of one label that overlap are one; of several pairs, those that share most characters are matched first.
    """
    pairs = [
        (min(a.end, b.end) - max(a.start, b.start), a, b)
        for b in new
        for a in old
        if a.label == b.label and min(a.end, b.end) > max(a.start, b.start)
    ]
    kept: dict[int, Span] = {}
    taken: set[int] = set()
    for _, a, b in sorted(pairs, key=lambda pair: -pair[0]):
        if b.id not in kept and a.id not in taken:
            kept[b.id] = a
            taken.add(a.id)
    return kept


def follow(revision: Revision, told: Revision, moved: Mapping[int, Span], above: frozenset[str]) -> Revision:
    """Return a revision with the lists of what changed since the one that was told.

    Args:
        revision: with the ids that the reader knows; its lists are not read.
        told: the segment's revision that the reader has.
        moved: spans of `told` by id, where they lie on the text of `revision`; those that were rewritten are missing.
        above: text scores that the reader takes to be above their thresholds.
    """
    before, after = {x.id: x for x in told.spans}, {x.id: x for x in revision.spans}
    crossed = tuple(sorted(above ^ set(revision.crossed or ())))
    return replace(
        revision,
        added=tuple(x for x in after if x not in before),
        changed=tuple(
            _change(old, after[i], moved.get(i)) for i, old in before.items() if _is_moved(old, after.get(i))
        ),
        retracted=tuple(retract_all([x for x in told.spans if x.id not in after], moved)),
        crossed=crossed or msgspec.UNSET,
        settled_cause="input" if revision.settled < told.settled else msgspec.UNSET,
    )


def follow_delete(told: Revision, rev: int, offset: int, above: frozenset[str]) -> Revision:
    """Return the revision that answers the delete of a segment of which a reader was told."""
    return replace(
        told,
        rev=rev,
        offset=offset,
        final=True,
        spans=(),
        added=(),
        changed=(),
        retracted=tuple(replace(x, cause="delete") for x in retract_all(told.spans, {})),
        score=None,
        scores=msgspec.UNSET,
        crossed=tuple(sorted(above)) or msgspec.UNSET,
        closed_by=msgspec.UNSET,
        settled=0,
        settled_cause="delete" if told.settled else msgspec.UNSET,
    )


def retract_all(spans: Sequence[Span], moved: Mapping[int, Span]) -> list[Retracted]:
    """Return the records of spans that are gone: by their source, unless their text still stands."""
    return [
        Retracted(
            id=x.id, start=x.start, end=x.end, label=x.label, text=x.text, cause="model" if x.id in moved else "input"
        )
        for x in spans
    ]


def _is_moved(old: Span, new: Span | None) -> bool:
    return new is not None and (old.start, old.end, old.text) != (new.start, new.end, new.text)


def _change(old: Span, new: Span, moved: Span | None) -> Changed:
    by_input = moved is None or (moved.start, moved.end) == (new.start, new.end)
    was = Was(start=old.start, end=old.end, label=old.label)
    return Changed(id=new.id, was=was, cause="input" if by_input else "model")
