"""From a record or a line to messages in normal form, whatever format it is in."""

from collections.abc import Callable, Sequence
from typing import Protocol

from consumers.formats.base import Format, FormatContext, Segments, read_value
from consumers.formats.decode import BadInput, check_key, decode_message
from stream.messages.types import Message


class MessageReader(Protocol):
    """Reads what comes in."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """Give the messages that a value is: none where it says nothing of text.

        Args:
            value: one record's value, or one line.
            key: the record's key, which is the session; None: the value must say.
            offset: its offset or number.

        Raises:
            BadInput: it is none of the format.
            InputError: a text, a time or a name of it cannot be used.
        """
        ...


class NormalReader:
    """The normal form."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        message = decode_message(value)
        check_key(key, message)
        return (message,)


class FormatReader:
    """A vendor's format.

    Args:
        format: see there.
        segments: what was received of a session before.
        default: the session of messages that nobody says it of; without one they are bad.
    """

    def __init__(self, format: Format, segments: Callable[[str], Segments], default: str | None = None) -> None:
        self._format = format
        self._segments = segments
        self._default = default

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        around = FormatContext(_session(key), offset, self._segments, self._default)
        return read_value(self._format, value, around)


def _session(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        raise BadInput("key_mismatch", "the record's key, which names its session, is not UTF-8") from None
