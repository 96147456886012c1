"""From the name of a format, as an operator gives it, to its reader."""

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

import structlog

from consumers.common.settings import CHAT_REMEMBER_SEGMENTS, DEFAULT_REMEMBER_SEGMENTS, check_choice
from consumers.formats.base import Format, FormatContext, Segments, read_value
from consumers.formats.decode import BadInput, check_key, decode_message
from consumers.formats.line_reader import BlockReader, LineReader
from consumers.formats.registry import AUTO, FORMATS, Detector, recognise
from stream.messages.types import Message

log = structlog.get_logger()

NORMAL = "normal"


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
        context = FormatContext(_session(key), offset, self._segments, self._default)
        return read_value(self._format, value, context)


def _session(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        raise BadInput("key_mismatch", "the record's key, which names its session, is not UTF-8") from None


class AutoReader:
    """Reads with whatever format the first messages show; says in the log which that is.

    Args:
        segments, default: see `FormatReader`.
    """

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
    """How many closed segments of a session a format needs to be remembered."""
    return CHAT_REMEMBER_SEGMENTS if name in FORMATS and FORMATS[name].chat else DEFAULT_REMEMBER_SEGMENTS


def check_format(name: str) -> None:
    """Check a format's name.

    Raises:
        SettingError: there is none of that name.
    """
    check_choice("format", name, (AUTO, *FORMATS))


def make_reader(name: str, segments: Callable[[str], Segments], default: str | None = None) -> MessageReader:
    """Make the reader of a format, or of `auto`.

    Args:
        name: as `--format` has it.
        segments, default: see `FormatReader`.

    Raises:
        SettingError: there is none of that name.
    """
    check_format(name)
    if name == NORMAL:
        return NormalReader()
    if name == AUTO:
        return AutoReader(segments, default)
    return FormatReader(FORMATS[name], segments, default)


def open_line_reader(name: str, stream: BinaryIO) -> LineReader:
    """Read a file or pipe message by message, as its format parts them.

    Args:
        name: as `--format` has it; `auto` looks at how the stream begins.
        stream: buffered, so that one can look ahead in it.
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
