"""Decoding of received bytes to a message in normal form, with a reason for each refusal."""

import codecs
from typing import Literal, TypeVar

import msgspec

from consumers.formats.keys import describe_key
from stream.messages.types import Message, Update

MAX_BYTES = 1 << 20
"""Limit of bytes of a message. Texts have a lower limit of their own (`InputError`)."""

BadReason = Literal[
    "empty",
    "too_large",
    "invalid_utf8",
    "invalid_json",
    "invalid_message",
    "key_mismatch",
    "wrong_partition",
    "no_session",
    "unknown_format",
    "reader_failed",
]

_DECODER: "msgspec.json.Decoder[Message]" = msgspec.json.Decoder(Message)

T = TypeVar("T")


class BadInput(ValueError):
    """The bytes are not a valid message.

    Attributes:
        reason: short stable code, used as metric label and dead-letter header.
        detail: one short line for a person; names fields and types, never their text.
    """

    def __init__(self, reason: BadReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode_message(value: bytes | None) -> Message:
    """Decode one JSON object in normal form; unknown fields are ignored.

    Raises:
        BadInput: the value is not one.
    """
    return decode_json(value, _DECODER)


def decode_json(value: bytes | None, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode one JSON value.

    Raises:
        BadInput: the value does not match the decoder's type; the error contains none of its text.
    """
    try:
        return decoder.decode(check_value(value))
    except msgspec.ValidationError as error:
        raise BadInput("invalid_message", shorten(str(error))) from None
    except UnicodeDecodeError as error:
        raise BadInput("invalid_utf8", f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except msgspec.DecodeError as error:
        raise BadInput("invalid_json", shorten(str(error))) from None


def check_value(value: bytes | None) -> bytes:
    """Check that there is a value, and its size and encoding.

    Raises:
        BadInput: there is no value, it is too large, or it is not UTF-8.
    """
    if not value:
        raise BadInput("empty", "a message without a value")
    check_utf8(value)
    return value


def check_utf8(value: bytes) -> None:
    """Check size and encoding, which the decoder does not check in unknown fields.

    Raises:
        BadInput: too many bytes, or bytes that are not UTF-8.
    """
    if len(value) > MAX_BYTES:
        raise BadInput("too_large", f"{len(value)} bytes; at most {MAX_BYTES} are read")
    try:
        codecs.utf_8_decode(value, "strict", True)
    except UnicodeDecodeError as error:
        raise BadInput("invalid_utf8", f"byte {error.start} is not UTF-8") from None


def check_key(key: bytes | None, message: Message) -> None:
    """Check that a Kafka key, if present, is the session: it decides the partition, and so the order.

    Raises:
        BadInput: the key differs from the session.
    """
    if key is not None and key != message.session.encode("utf-8", "surrogatepass"):
        raise BadInput("key_mismatch", describe_key(key, message.session) or "")


def make_closed_update(session: str, segment: str, value: bytes) -> Update:
    """Return an update that makes one line of plain text a closed segment.

    Raises:
        BadInput: the line is too large or not UTF-8.
    """
    check_utf8(value)
    return Update(session=session, segment=segment, text=value.decode(), final=True)


def shorten(detail: str, limit: int = 200) -> str:
    """Reduce a library's error message to one printable line."""
    line = " ".join(part if part.isprintable() else ascii(part)[1:-1] for part in detail.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
