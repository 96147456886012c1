"""From bytes of the outside world to a message in normal form, or a reason why not."""

import codecs
from typing import Literal, TypeVar

import msgspec

from stream.messages.types import Message, Update

MAX_BYTES = 1 << 20
"""A message longer than this is not looked at. Text has its own, lower limit (stream: InputError)."""

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
]

_DECODER: "msgspec.json.Decoder[Message]" = msgspec.json.Decoder(Message)

T = TypeVar("T")


class BadInput(ValueError):
    """Bytes that are no message.

    Attributes:
        reason: a short, stable code, fit for a counter's label and a dead letter's header.
        detail: one short line for a person; names fields and types, not their text.
    """

    def __init__(self, reason: BadReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode_message(value: bytes | None) -> Message:
    """Decode one JSON object in normal form; unknown fields are ignored.

    Raises:
        BadInput: it is not one.
    """
    return decode_json(value, _DECODER)


def decode_json(value: bytes | None, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode one JSON value.

    Raises:
        BadInput: it is not what the decoder reads; nothing of its text is in the error.
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
        BadInput: nothing, too many bytes, or bytes that are not UTF-8.
    """
    if not value:
        raise BadInput("empty", "a message without a value")
    check_utf8(value)
    return value


def check_utf8(value: bytes) -> None:
    """Check size and encoding first: the decoder skips over unknown fields without looking at their bytes.

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
    """Check that a Kafka key, where there is one, is the session: it decides the partition, and so the order.

    Raises:
        BadInput: it is another one.
    """
    if key is not None and key != message.session.encode("utf-8", "surrogatepass"):
        raise BadInput("key_mismatch", "the record's key is not the message's session")


def make_closed_update(session: str, segment: str, value: bytes) -> Update:
    """Make one line of running text a closed segment.

    Raises:
        BadInput: it is not text.
    """
    check_utf8(value)
    return Update(session=session, segment=segment, text=value.decode(), final=True)


def shorten(detail: str, limit: int = 200) -> str:
    """Make a library's complaint one printable line."""
    line = " ".join(part if part.isprintable() else ascii(part)[1:-1] for part in detail.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
