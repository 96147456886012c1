"""Messages in normal form: the types are the schema (docs/messages.md). Field names are a public contract."""

from typing import Literal

import msgspec


class WordTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """Start and end of one word, in seconds, and who said it, where that can change within a segment."""

    start: float
    end: float
    speaker: str | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """The text of one segment as it stands now (`replace`) or what comes after it (`append`)."""

    session: str
    segment: str
    text: str
    mode: Literal["replace", "append"] = "replace"
    final: bool = False
    time: float | None = None
    words: tuple[WordTime, ...] | None = None
    speaker: str | None = None
    """Who says or writes the segment."""
    channel: str | None = None
    """Where it comes from: a side of a call, a microphone."""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """The source takes a segment back."""

    session: str
    segment: str


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """The session is over; its open segments close."""

    session: str


Message = Update | Delete | End


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A labelled stretch of a segment's text; offsets are Unicode code points, end exclusive."""

    id: int
    start: int
    end: int
    label: str
    text: str
    stability: float
    """The probability that the span stands at the close; 1 in a final revision."""
    start_time: float | None = None
    end_time: float | None = None
    speaker: str | None = None
    """Who said its first word, where the input tells."""
    channel: str | None = None
    score: float | None = None
    """The label's probability, of the least probable word; says how sure the tagger is now, not if it will stay so."""


class Was(msgspec.Struct, frozen=True, kw_only=True):
    """What a changed span was in the revision before."""

    start: int
    end: int
    label: str


Cause = Literal["input", "model", "delete"]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A span that kept its id but not its extent or label."""

    id: int
    was: Was
    cause: Cause


class Retracted(msgspec.Struct, frozen=True, kw_only=True):
    """A span that no longer stands; `text` is the text that it stood on."""

    id: int
    start: int
    end: int
    label: str
    text: str
    cause: Cause


class Revision(msgspec.Struct, frozen=True, kw_only=True, tag="revision"):
    """All spans of one segment as they stand, and what changed since the segment's revision before."""

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
    """How probable it is that the segment has any label: of its most suspicious word. None where it has no word."""
