"""Messages of the redacted stream: normal form (`stream.messages.types`), with fields that readers of it may ignore."""

from typing import NamedTuple

import msgspec


class RedactedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A replacement in a redacted text; offsets are characters of the *redacted* text, end exclusive."""

    start: int
    end: int
    label: str


class RedactedUpdate(msgspec.Struct, frozen=True, kw_only=True, tag="update", omit_defaults=True):
    """The released text of one segment; replaces the one before."""

    session: str
    segment: str
    text: str
    final: bool = False
    speaker: str | None = None
    channel: str | None = None
    rev: int
    """Rises by one with each message of the session's redacted stream: readers drop repeats by (session, rev)."""
    offset: int
    """The input message that it answers."""
    redactions: tuple[RedactedPart, ...] = ()


class RedactedDelete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """Removal of a segment by its source."""

    session: str
    segment: str
    rev: int
    offset: int


class RedactedEnd(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """End of a session."""

    session: str
    rev: int
    offset: int


RedactedMessage = RedactedUpdate | RedactedDelete | RedactedEnd


class RedactedOutput(NamedTuple):
    """A message of the redacted stream, and the session that it is about."""

    session: str
    """Its id, also where the message has a hash of it."""
    message: RedactedMessage
    segment: str = ""
    """Id of the segment of an update, also where the message has a hash of it."""
    released: int = 0
    """Characters of an update's text that were released; those behind are blocks of what is withheld."""
    source: int = 0
    """Characters of the raw text that they stand for."""
