"""What a format is: a vendor's messages, and the rule that makes updates in normal form of them.

A format keeps nothing of its own between messages. What it needs to know of those before (which segment is open) it
asks of the session as it was received, which is kept and restored with the rest: so a format goes on after a crash or
a rebalance as if nothing had been.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from consumers.intake import BadInput, check_utf8, shorten
from stream.messages import Message


class Standing(Protocol):
    """One segment as received so far; `stream.heard.Heard` is one."""

    text: str
    closed: bool
    applied: int
    """The last message that was in it when it was restored after a crash; -1 otherwise."""


Segments = Mapping[str, Standing]
"""Segments of one session by name: the open ones and the last closed ones."""


@dataclass(frozen=True, slots=True)
class Around:
    """What is known around one message of a vendor."""

    session: str | None
    """The session that it was sent for: the record's key, a flag, a query; None: the message must say."""
    offset: int
    """Its offset, line or frame number: rises within a session."""
    segments: Callable[[str], Segments]
    """The segments of a session as received before this message; empty for a session that is not known."""
    default: str | None = None
    """The session if neither anybody nor the message says: that of a file."""

    def named(self, own: str | None = None) -> str:
        """Give the session: the one it was sent for, else the vendor's own id of it, else the default.

        Raises:
            BadInput: there is neither.
        """
        known = (x for x in (self.session, own, self.default) if x is not None)
        session = next(known, None)
        if session is None:
            raise BadInput("no_session", "nothing says which session this is: key the records by session")
        return session

    def current(self, session: str, scope: str) -> str:
        """Name the open segment of a scope (`SCOPE:...`), for sources that do not name theirs; a new one if none is.

        A segment that this very message closed before a crash counts too, so that reading it again changes nothing.
        """
        for name, segment in self.segments(session).items():
            if name.startswith(f"{scope}:") and (not segment.closed or segment.applied >= self.offset):
                return name
        return f"{scope}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Format:
    """One vendor's format.

    `read` gives at most one message for each segment; none at all for messages that say nothing of text.
    """

    name: str
    """As in `--format`."""
    read: Callable[[Any, Around], Iterable[Message]]
    recognises: Callable[[Any], bool]
    """Whether a decoded JSON value (dict, list...), or a `str` for a format of lines, can only be of this format."""
    type: Any = None
    """What msgspec decodes a value to for `read`; None: `read` gets the value as `str`."""
    blocks: bool = False
    """In files, messages are not lines but stretches between empty lines."""


def decode(format: Format, value: bytes | None) -> Any:
    """Decode one value of a format; unknown fields are ignored.

    Raises:
        BadInput: it is not one; nothing of its text is in the error.
    """
    if not value:
        raise BadInput("empty", "a message without a value")
    check_utf8(value)
    if format.type is None:
        return value.decode()
    try:
        return msgspec.json.decode(value, type=format.type)
    except msgspec.ValidationError as error:
        raise BadInput("invalid_message", shorten(str(error))) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("invalid_json", shorten(str(error))) from None
