"""The messages (docs/messages.md), under one roof: what is sent, what comes back, and how a line or frame is read."""

from typing import TypeAlias

import msgspec

from stream.messages.errors import InputError
from stream.messages.types import (
    Changed,
    Delete,
    End,
    Message,
    Retracted,
    Revision,
    Span,
    Update,
    Was,
    WordTime,
)
from stream.redaction.messages import RedactedDelete, RedactedEnd, RedactedMessage, RedactedPart, RedactedUpdate

__all__ = [
    "Changed",
    "Delete",
    "End",
    "Event",
    "InputError",
    "Message",
    "RedactedDelete",
    "RedactedEnd",
    "RedactedMessage",
    "RedactedPart",
    "RedactedUpdate",
    "Retracted",
    "Revision",
    "ServerError",
    "Span",
    "Update",
    "Was",
    "WordTime",
    "decode_event",
    "decode_redacted",
]

Event: TypeAlias = Message | Revision | RedactedMessage
"""What `hearken.apply` takes: a message of the source, a revision, or a message of the redacted stream."""


class ServerError(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """Error frame of a server: a message was refused, or labelling failed on it."""

    reason: str
    """A short, stable code."""
    detail: str
    """One line that says what to do."""
    frame: int | None = None
    """Number of the message, from 0; None if the error concerns the connection."""


_Result: TypeAlias = Revision | ServerError
_Redacted: TypeAlias = RedactedUpdate | RedactedDelete | RedactedEnd | ServerError
_EVENTS: msgspec.json.Decoder[Revision | ServerError] = msgspec.json.Decoder(_Result)
_REDACTED: msgspec.json.Decoder[RedactedMessage | ServerError] = msgspec.json.Decoder(_Redacted)


def decode_event(value: bytes | str) -> Revision | ServerError:
    """Decode a Kafka value, a line or a frame with a revision.

    Examples:
        >>> decode_event('{"type": "error", "reason": "empty", "detail": "a message without a value"}').reason
        'empty'

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _EVENTS.decode(value)


def decode_redacted(value: bytes | str) -> RedactedMessage | ServerError:
    """Decode a Kafka value, a line or a frame of the redacted stream.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _REDACTED.decode(value)
