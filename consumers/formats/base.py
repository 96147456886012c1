"""Interface of a format: converts a vendor's messages to messages in normal form.

A format has no state between messages. What it must know of earlier ones (such as which segment is open) it reads from
the session as received, which is saved and restored with the session: so formats survive crashes and rebalances.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import msgspec

from consumers.common.json_wrapping import NAN_DETAIL, has_nan
from consumers.formats.decode import BadInput, check_no_nan, check_value, decode_json, explain_type_error
from stream.messages.types import Delete, End, Message
from stream.messages.validation import check_message
from stream.messages.word_times import Times


class OpenText(Protocol):
    """One segment as received so far, such as `stream.ingest.received.ReceivedSegment`."""

    text: str
    closed: bool
    times: Times
    speaker: str | None
    applied: int
    """Offset of the last message in its text when it was restored after a crash; -1 otherwise."""


Segments = Mapping[str, OpenText]
"""Segments of one session by name: the open ones and the most recently closed ones."""


@dataclass(frozen=True, slots=True)
class FormatContext:
    """Context of one vendor message: its offset, its session and that session's segments."""

    session: str | None
    """Session given by the record's key, a flag or a query; None: the message must name it."""
    offset: int
    """Offset, line or frame number of the message; rises within a session."""
    segments: Callable[[str], Segments]
    """Returns the segments of a session as received before this message; empty for an unknown session."""
    default: str | None = None
    """Session used if nothing else names one, such as that of a file."""

    def session_name(self, own: str | None = None) -> str:
        """Return the session: the given one, else the vendor's own id, else the default.

        Raises:
            BadInput: there is none of them.
        """
        known = (x for x in (self.session, own, self.default) if x is not None)
        session = next(known, None)
        if session is None:
            raise BadInput("no_session", "nothing says which session this is: key the records by session")
        return session

    def end_session(self, own: str | None = None) -> list[Message]:
        """Return the session's `End` if it has segments: the vendor's connection has ended or restarted."""
        known = [x for x in (self.session, own, self.default) if x is not None]
        return [End(session=known[0])] if known and self.segments(known[0]) else []

    def open_segment(self, session: str, scope: str) -> str:
        """Return the name of a scope's open segment, or a new name; for vendors that do not name segments.

        Names are `SCOPE:OFFSET` of the opening message. The last segment opened up to this message is taken: later ones
        exist only if this message is read again after a crash. A segment that this message or a later one closed before
        the crash counts as open, so that reading the messages again changes nothing.
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
    """Return the offset in a name made by `FormatContext.open_segment` for a scope; None for other names."""
    begin, _, offset = name.rpartition(":")
    return float(offset) if begin == scope and _OFFSET.fullmatch(offset) else None


_OFFSET = re.compile(r"[0-9]{1,19}(\.5)?")
"""`.5` marks a segment opened by the same message that closed the one before."""


@dataclass(frozen=True, slots=True)
class Format:
    """One vendor's format.

    `read` returns at most one message for each segment, and none for vendor messages without text.
    """

    name: str
    """Name in `--format`."""
    read: Callable[[Any, FormatContext], Iterable[Message]]
    recognises: Callable[[Any], bool]
    """Whether a value can be of this format only: a decoded JSON object, or a `str` if `type` is None."""
    type: Any = None
    """Type that msgspec decodes a value to for `read`; None: `read` gets the value as `str`."""
    blocks: bool = False
    """Messages in files are blocks separated by empty lines, not lines."""
    chat: bool = False
    """Messages can be edited and deleted long after they were sent."""


def decode(format: Format, value: bytes | None) -> Any:
    """Decode one value of a format; unknown fields are ignored.

    Raises:
        BadInput: the value is not of this format; the error contains none of its text.
    """
    if format.type is None:
        return check_value(value).decode()
    return decode_json(value, _decoder(format.type))


@cache
def _decoder(type: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(type)


def read_value(format: Format, value: bytes | None, context: FormatContext) -> list[Message]:
    """Convert one value to messages in normal form; all are checked, so that either all can be applied or none.

    Raises:
        BadInput: the value is not of this format.
        InputError: a text, a time or a name in it is invalid.
    """
    decoded = decode(format, value)
    try:
        messages = list(format.read(decoded, context))
    except BadInput:
        raise
    except msgspec.DecodeError as error:
        raise BadInput("invalid_message", explain_type_error(value, error)) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except (ValueError, OverflowError):
        nan = f": {NAN_DETAIL}" if value and has_nan(value) else ""
        raise BadInput("invalid_message", f"a number or a time is invalid{nan}") from None
    for message in messages:
        check_no_nan(message)
        check_message(message)
    return messages


def delete_segment(context: FormatContext, session: str, segment: str) -> list[Message]:
    """Return the `Delete` of a segment, if it exists."""
    return [Delete(session=session, segment=segment)] if segment in context.segments(session) else []
