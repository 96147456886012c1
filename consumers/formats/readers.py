"""From the name of a format, as an operator gives it, to its reader."""

from collections.abc import Callable, Sequence
from typing import BinaryIO

import structlog

from consumers.common.settings import CHAT_REMEMBER_SEGMENTS, DEFAULT_REMEMBER_SEGMENTS, check_choice
from consumers.formats.base import Segments
from consumers.formats.decode import BadInput
from consumers.formats.line_reader import BlockReader, LineReader
from consumers.formats.reader import FormatReader, MessageReader, NormalReader
from consumers.formats.registry import AUTO, FORMATS, Detector, recognise
from stream.messages.types import Message

log = structlog.get_logger()

NORMAL = "normal"


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
            log.info("format decided", format=format.name, offset=offset)
        return FormatReader(format, self._segments, self._default).read(value, key, offset)


def remembered_by(name: str) -> int:
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


def open_lines(name: str, stream: BinaryIO) -> LineReader:
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
