"""Readers of records and lines: they convert values of a format to messages in normal form."""

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

import structlog

from consumers.common.settings import CHAT_REMEMBER_SEGMENTS, DEFAULT_REMEMBER_SEGMENTS, check_choice
from consumers.formats.base import Format, FormatContext, Segments, read_value
from consumers.formats.decode import BadInput, check_key, decode_message
from consumers.formats.keys import describe_key
from consumers.formats.line_reader import BlockReader, LineReader
from consumers.formats.registry import AUTO, FORMATS, Detector, recognise
from stream.messages.errors import InputError
from stream.messages.types import Message

log = structlog.get_logger()

NORMAL = "normal"


class MessageReader(Protocol):
    """Converts received values to messages in normal form."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """Return the messages of a value; none if it contains no text.

        Args:
            value: value of a record, or a line.
            key: key of the record, which is the session; None: the value must name it.
            offset: offset of the record, or number of the line.

        Raises:
            BadInput: the value is not of the format.
            InputError: a text, a time or a name in it is invalid.
        """
        ...


class NormalReader:
    """Reader of the normal form."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        message = decode_message(value)
        check_key(key, message)
        return (message,)


class FormatReader:
    """Reader of a vendor's format.

    Args:
        segments: returns the segments of a session as received so far.
        default: session of values for which nothing names one; without it such values are invalid.
    """

    def __init__(self, format: Format, segments: Callable[[str], Segments], default: str | None = None) -> None:
        self._format = format
        self._segments = segments
        self._default = default

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        context = FormatContext(_session(key), offset, self._segments, self._default)
        try:
            return read_value(self._format, value, context)
        except (BadInput, InputError):
            raise
        except Exception as error:  # a fault of ours in one value must not end a service, a file or a connection
            log.error("reader_failed", format=self._format.name, offset=offset, exc_info=error)
            detail = f"the reader of {self._format.name} failed on it ({type(error).__name__}): please report it"
            raise BadInput("reader_failed", detail) from None


def _session(key: bytes | None) -> str | None:
    if key is None:
        return None
    if detail := describe_key(key):
        raise BadInput("key_mismatch", detail)
    return key.decode()


class AutoReader:
    """Reader that detects the format from the first values and logs it."""

    def __init__(self, segments: Callable[[str], Segments], default: str | None = None) -> None:
        self._segments = segments
        self._default = default
        self._detector = Detector()

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        is_news = self._detector.decided is None
        format = self._detector.find(value)
        if is_news:
            log.info("format_detected", format=format.name, offset=offset)
        return FormatReader(format, self._segments, self._default).read(value, key, offset)


def default_remember_segments(name: str) -> int:
    """Return how many closed segments of a session must be remembered for a format."""
    return CHAT_REMEMBER_SEGMENTS if name in FORMATS and FORMATS[name].chat else DEFAULT_REMEMBER_SEGMENTS


def check_format(name: str) -> None:
    """Check a format's name.

    Raises:
        SettingError: the format is unknown.
    """
    check_choice("format", name, (AUTO, *FORMATS))


def make_reader(name: str, segments: Callable[[str], Segments], default: str | None = None) -> MessageReader:
    """Make the reader of a format, or of `auto`.

    Raises:
        SettingError: the format is unknown.
    """
    check_format(name)
    if name == NORMAL:
        return NormalReader()
    if name == AUTO:
        return AutoReader(segments, default)
    return FormatReader(FORMATS[name], segments, default)


def open_line_reader(name: str, stream: BinaryIO) -> LineReader:
    """Return the reader of a file or pipe that splits it into messages as its format does.

    Args:
        name: value of `--format`; `auto` inspects the beginning of the stream.
        stream: buffered, so that its beginning can be peeked at.
    """
    blocks = _begins_with_block(stream) if name == AUTO else FORMATS[name].blocks
    return BlockReader(stream) if blocks else LineReader(stream)


def _begins_with_block(stream: BinaryIO) -> bool:
    ahead = stream.peek(1024) if hasattr(stream, "peek") else b""
    first = ahead.replace(b"\r\n", b"\n").split(b"\n\n")[0]
    try:
        return recognise(first).blocks
    except BadInput:
        return False
