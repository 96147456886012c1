"""Decoding of received bytes to a message in normal form, with a reason for each refusal."""

import codecs
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec

from consumers.common.json_wrapping import (
    BYTE_ORDER_MARK,
    NAN_DETAIL,
    NOT_A_NUMBER,
    explain_json_error,
    has_nan,
    join_surrogates,
    mend_json,
    name_bytes,
    name_envelope,
    unwrap_json,
)
from consumers.formats.keys import describe_key
from stream.messages.types import End, Message, Update

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
    "other_format",
]

_DECODER: "msgspec.json.Decoder[Message]" = msgspec.json.Decoder(Message)

_INNER: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()

T = TypeVar("T")


class BadInput(ValueError):
    """The bytes are not a valid message.

    Attributes:
        reason: short stable code, used as metric label and dead-letter header.
        detail: one short line for a person; names fields and types, never their text.
    """

    def __init__(self, reason: BadReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: BadReason = reason
        self.detail = detail


def decode_message(value: bytes | None) -> Message:
    """Decode one JSON object in normal form; unknown fields are ignored.

    Raises:
        BadInput: the value is not one.
    """
    message = decode_json(value, _DECODER)
    check_no_nan(message)
    return message


def decode_inner_json(text: str, field: str) -> Any:
    """Decode JSON that stands in a string of a value, as `decode_json` does; `field` is named in an error.

    Raises:
        BadInput: it is not JSON.
    """
    try:
        return decode_json(text.encode("utf-8", "surrogatepass"), _INNER)
    except BadInput as error:
        raise BadInput(error.reason, f"in the string `$.{field}`: {error.detail}") from None


def decode_json(value: bytes | None, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode one JSON value; what other programs put around it is taken off (`consumers.common.json_wrapping`).

    Raises:
        BadInput: the value does not match the decoder's type; the error contains none of its text.
    """
    value = check_value(value)
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        if "out of range" in str(error) and has_nan(value):
            return _decode_mended(value, str(error), decoder)
        raise BadInput("invalid_message", explain_type_error(value, error)) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except msgspec.DecodeError as error:
        return _decode_mended(value, str(error), decoder)


def _decode_mended(value: bytes, fault: str, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode a value that is not JSON as it came; `fault` is what the decoder said of it."""
    mended = mend_json(value)
    try:
        if mended != value:
            return decoder.decode(mended)
    except msgspec.ValidationError as error:
        raise BadInput("invalid_message", explain_type_error(value, error)) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except msgspec.DecodeError:
        pass  # the first fault is in the bytes as they came
    raise BadInput("invalid_json", shorten(explain_json_error(value, fault)))


def explain_type_error(value: bytes | None, error: msgspec.DecodeError) -> str:
    """Say in one line which field of a value is not as it must be."""
    detail = shorten(str(error))
    if detail == "Expected `object`, got `array`":
        return "this is a list; send its objects one by one"
    if value and (envelope := name_envelope(value)):
        return f"{detail}: this is {envelope}"
    if "got `str`" in detail and value and has_nan(value):
        return f"{detail.rpartition('at ')[2]}: {NAN_DETAIL}"
    return detail


def check_no_nan(message: Message) -> None:
    """Check that no field that was read is NaN or Infinity, which stand as a string in a mended value.

    Raises:
        BadInput: one is.
    """
    fields = [message.session]
    if not isinstance(message, End):
        fields.append(message.segment)
    if isinstance(message, Update):
        fields += (message.text, message.speaker or "", message.channel or "")
    if any(NOT_A_NUMBER in field for field in fields):
        raise BadInput("invalid_message", NAN_DETAIL)


def check_value(value: bytes | None) -> bytes:
    """Check that there is a value, and its size and encoding; returns it without what is around it.

    Raises:
        BadInput: there is no value, it is too large, or it is not UTF-8.
    """
    if not value:
        raise BadInput("empty", "a message without a value")
    return check_utf8(value if len(value) > MAX_BYTES else unwrap_json(value))


def check_utf8(value: bytes) -> bytes:
    """Check size and encoding, which the decoder does not check in unknown fields; returns the value as UTF-8.

    Surrogates that were encoded one by one are joined.

    Raises:
        BadInput: too many bytes, or bytes that are not UTF-8.
    """
    if len(value) > MAX_BYTES:
        raise BadInput("too_large", f"{len(value)} bytes; at most {MAX_BYTES} are read")
    try:
        codecs.utf_8_decode(value, "strict", True)
    except UnicodeDecodeError as error:
        if value[error.start : error.start + 1] == b"\xed":
            with suppress(UnicodeDecodeError):
                return join_surrogates(value)
        known = name_bytes(value) or "perhaps Latin-1 or Windows-1252; convert it to UTF-8"
        raise BadInput("invalid_utf8", f"byte {error.start} is not UTF-8: this is {known}") from None
    return value


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
    text = check_utf8(value.removeprefix(BYTE_ORDER_MARK)).decode()
    return Update(session=session, segment=segment, text=text, final=True)


def shorten(detail: str, limit: int = 200) -> str:
    """Reduce a library's error message to one printable line."""
    line = " ".join(part if part.isprintable() else ascii(part)[1:-1] for part in detail.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
