"""What a format is: a vendor's messages, and the rule that makes updates in normal form of them.

A format keeps nothing of its own between messages. What it needs to know of those before (which segment is open) it
asks of the session as it was received, which is kept and restored with the rest: so a format goes on after a crash or
a rebalance as if nothing had been.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import msgspec

from consumers.formats.decode import BadInput, check_value, decode_json, shorten
from stream.messages.types import Delete, End, Message
from stream.messages.validation import check_message
from stream.messages.word_times import Times


class OpenText(Protocol):
    """One segment as received so far; `stream.ingest.received.Heard` is one."""

    text: str
    closed: bool
    times: Times
    speaker: str | None
    applied: int
    """The last message that was in it when it was restored after a crash; -1 otherwise."""


Segments = Mapping[str, OpenText]
"""Segments of one session by name: the open ones and the last closed ones."""


@dataclass(frozen=True, slots=True)
class FormatContext:
    """What is known around one message of a vendor."""

    session: str | None
    """The session that it was sent for: the record's key, a flag, a query; None: the message must say."""
    offset: int
    """Its offset, line or frame number: rises within a session."""
    segments: Callable[[str], Segments]
    """The segments of a session as received before this message; empty for a session that is not known."""
    default: str | None = None
    """The session if neither anybody nor the message says: that of a file."""

    def session_name(self, own: str | None = None) -> str:
        """Give the session: the one it was sent for, else the vendor's own id of it, else the default.

        Raises:
            BadInput: there is neither.
        """
        known = (x for x in (self.session, own, self.default) if x is not None)
        session = next(known, None)
        if session is None:
            raise BadInput("no_session", "nothing says which session this is: key the records by session")
        return session

    def end_session(self, own: str | None = None) -> list[Message]:
        """End the session, if anything stands of it: the vendor's connection is over, or a new one begins."""
        known = [x for x in (self.session, own, self.default) if x is not None]
        return [End(session=known[0])] if known and self.segments(known[0]) else []

    def open_segment(self, session: str, scope: str) -> str:
        """Name the open segment of a scope, for sources that do not name theirs; a new one if none is.

        Names are `SCOPE:OFFSET` of the message that opened. Of those opened up to this message the last counts: later
        ones are known only because this message is read again after a crash. So is one that this message, or a later
        one, closed before the crash; reading them again changes nothing.
        """
        segments = self.segments(session)
        opened = [
            (at, name) for name in segments if (at := opening_offset(name, scope)) is not None and at <= self.offset
        ]
        if opened:
            _, name = max(opened)
            if not segments[name].closed or segments[name].applied >= self.offset:
                return name
        return f"{scope}:{self.offset}"


def opening_offset(name: str, scope: str) -> float | None:
    """Give the offset in a name that `FormatContext.current` made for a scope; None if it is another's."""
    begin, _, offset = name.rpartition(":")
    return float(offset) if begin == scope and _OFFSET.fullmatch(offset) else None


_OFFSET = re.compile(r"[0-9]{1,19}(\.5)?")
"""A half is a segment that opened behind one that the same message closed."""


@dataclass(frozen=True, slots=True)
class Format:
    """One vendor's format.

    `read` gives at most one message for each segment; none at all for messages that say nothing of text.
    """

    name: str
    """As in `--format`."""
    read: Callable[[Any, FormatContext], Iterable[Message]]
    recognises: Callable[[Any], bool]
    """Whether a decoded JSON value (dict, list...), or a `str` for a format of lines, can only be of this format."""
    type: Any = None
    """What msgspec decodes a value to for `read`; None: `read` gets the value as `str`."""
    blocks: bool = False
    """In files, messages are not lines but stretches between empty lines."""
    chat: bool = False
    """Messages are edited and deleted long after."""


def decode(format: Format, value: bytes | None) -> Any:
    """Decode one value of a format; unknown fields are ignored.

    Raises:
        BadInput: it is not one; nothing of its text is in the error.
    """
    if format.type is None:
        return check_value(value).decode()
    return decode_json(value, _decoder(format.type))


@cache
def _decoder(type: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(type)


def read_value(format: Format, value: bytes | None, context: FormatContext) -> list[Message]:
    """Read one value: what it means in normal form, each message checked, so that all of it can be applied or none.

    Raises:
        BadInput: it is no value of that format.
        InputError: a text, a time or a name of it cannot be used.
    """
    decoded = decode(format, value)
    try:
        messages = list(format.read(decoded, context))
    except BadInput:
        raise
    except msgspec.DecodeError as error:
        raise BadInput("invalid_message", shorten(str(error))) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except (ValueError, OverflowError):
        raise BadInput("invalid_message", "a number or a time that is none") from None
    for message in messages:
        check_message(message)
    return messages


def delete_segment(context: FormatContext, session: str, segment: str) -> list[Message]:
    """Take a segment back, if it stands."""
    return [Delete(session=session, segment=segment)] if segment in context.segments(session) else []
