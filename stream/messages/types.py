"""Message types in normal form (docs/messages.md). The types are the schema; field names are a public contract."""

from typing import Literal

import msgspec


class WordTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """Start and end of one word, in seconds, and its speaker, if the segment has several."""

    start: float
    end: float
    speaker: str | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """New text of one segment: the whole text (`replace`) or an addition to its end (`append`)."""

    session: str
    segment: str
    text: str
    mode: Literal["replace", "append"] = "replace"
    final: bool = False
    time: float | None = None
    words: tuple[WordTime, ...] | None = None
    speaker: str | None = None
    """Speaker or author of the segment."""
    channel: str | None = None
    """Audio channel or source of the segment, such as one side of a call."""
    confirmed: int | None = None
    """Characters at the beginning of the segment that its source will not rewrite while it is open. None: with `append`
    as before, with `replace` none. It changes no label; sources that send pieces continue there after a crash."""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """Removal of a segment by its source."""

    session: str
    segment: str


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """End of a session; its open segments close."""

    session: str


Message = Update | Delete | End


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A labelled part of a segment's text; offsets are Unicode code points, end exclusive."""

    id: int
    start: int
    end: int
    label: str
    text: str
    stability: float
    """Probability that the span is unchanged when the segment closes; 1 in a final revision."""
    start_time: float | None = None
    end_time: float | None = None
    speaker: str | None = None
    """Speaker of its first word, if the input names one."""
    channel: str | None = None
    score: float | None = None
    """Lowest label probability among its words: how certain the tagger is now, not whether the label will last."""


class Was(msgspec.Struct, frozen=True, kw_only=True):
    """Extent and label of a changed span in the previous revision."""

    start: int
    end: int
    label: str


Cause = Literal["input", "model", "delete"]
ClosedBy = Literal["open_segments"]
"""`open_segments`: the session opened more segments than can be open, and this was the oldest."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A span that kept its id while its extent or label changed."""

    id: int
    was: Was
    cause: Cause


class Retracted(msgspec.Struct, frozen=True, kw_only=True):
    """A span that was removed; `text` is the text that it covered."""

    id: int
    start: int
    end: int
    label: str
    text: str
    cause: Cause


class Revision(msgspec.Struct, frozen=True, kw_only=True, tag="revision"):
    """All current spans of one segment, and the changes since its previous revision."""

    tagger: str
    session: str
    segment: str
    rev: int
    offset: int
    final: bool
    spans: tuple[Span, ...]
    added: tuple[int, ...] = ()
    changed: tuple[Changed, ...] = ()
    retracted: tuple[Retracted, ...] = ()
    score: float | None = None
    """Probability that the segment has any label: the highest of its words. None if it has no word."""
    closed_by: ClosedBy | msgspec.UnsetType = msgspec.UNSET
    """Why the service closed the segment although its source did not; absent in all other revisions."""
    scores: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    """Probability of each label that the tagger gives a text, of the segment as it stands; absent if it gives none, or
    the segment has no word."""
    crossed: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """Names of the scores that are on the other side of their threshold than in the segment's previous revision (below
    it, if there was none, or it had no such score); absent if there are none."""
    settled: int = 0
    """Offset in the text: what is before it may be acted upon now (`stream.revisions.settled`); the length of the text
    when the segment is closed, 0 when it is deleted."""
    settled_cause: Cause | msgspec.UnsetType = msgspec.UNSET
    """Why `settled` is lower than in the segment's previous revision; absent if it is not."""
