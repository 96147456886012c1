"""Readers of records and lines: they convert values of a format to messages in normal form."""

from collections.abc import Callable, Sequence
from typing import BinaryIO, Protocol

import structlog

from consumers.common.settings import CHAT_REMEMBER_SEGMENTS, DEFAULT_REMEMBER_SEGMENTS, check_choice
from consumers.formats.base import NOT_UNDERSTOOD, Format, FormatContext, Segments, read_value
from consumers.formats.decode import BadInput, check_key, decode_message
from consumers.formats.ignored import IgnoredRecords
from consumers.formats.keys import describe_key
from consumers.formats.line_reader import BlockReader, JsonReader, LineReader
from consumers.formats.llm.event_stream import has_no_data
from consumers.formats.registry import AUTO, FORMATS, Detector, recognise, recognising_formats
from stream.messages.errors import InputError
from stream.messages.types import Message
from stream.sentences.auto_close import AutoClose

log = structlog.get_logger()

NORMAL = "normal"


class MessageReader(Protocol):
    """Converts received values to messages in normal form."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """Return the messages of a value; none if it contains nothing to label, which is counted (`IgnoredRecords`).

        Args:
            value: value of a record, or a line.
            key: key of the record, which is the session; None: the value must name it.
            offset: offset of the record, or number of the line.

        Raises:
            BadInput: the value is not of the format.
            InputError: a text, a time or a name in it is invalid.
        """
        ...


class FormatReader:
    """Reader of a vendor's format.

    Until the format has recognised a value as its own, each value is shown to the other formats too: a value that only
    another one recognises is refused, and the error names that format. Later this is done for values in which the
    format finds nothing, or that it cannot read.

    Args:
        segments: returns the segments of a session as received so far.
        default: session of values for which nothing names one; without it such values are invalid.
        ignored: counts values without messages.
    """

    def __init__(
        self,
        format: Format,
        segments: Callable[[str], Segments],
        default: str | None = None,
        ignored: IgnoredRecords | None = None,
    ) -> None:
        self._format = format
        self._segments = segments
        self._default = default
        self._ignored = ignored or IgnoredRecords(warn=False)
        self._confirmed = False

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        context = FormatContext(_session(key), offset, self._segments, self._default)
        try:
            reading = read_value(self._format, value, context)
        except BadInput as error:
            raise self._explain(error, value) from None
        except InputError:
            raise
        except Exception as error:  # a fault of ours in one value must not end a service, a file or a connection
            log.error("reader_failed", format=self._format.name, offset=offset, exc_info=error)
            detail = f"the reader of {self._format.name} failed on it ({type(error).__name__}): please report it"
            raise BadInput("reader_failed", detail) from None
        if not self._confirmed or reading.ignored in NOT_UNDERSTOOD:
            self._compare_formats(value)
        if reading.ignored is not None:
            self._ignored.add(self._format.name, reading.ignored, offset)
        return reading.messages

    def _compare_formats(self, value: bytes | None) -> None:
        """Refuse a value that one other format recognises and this one does not."""
        names = [x.name for x in recognising_formats(value)]
        if self._format.name in names:
            self._confirmed = True
        elif len(names) == 1:
            raise BadInput("other_format", self._looks_like(names[0]))

    def _explain(self, error: BadInput, value: bytes | None) -> BadInput:
        """Name the format of a value that cannot be read, if only one recognises it."""
        if error.reason not in ("invalid_message", "invalid_json", "no_session"):
            return error
        try:
            names = [x.name for x in recognising_formats(value)]
        except BadInput:
            return error
        if len(names) == 1 and names != [self._format.name]:
            return BadInput("other_format", f"{self._looks_like(names[0])} ({error.detail})")
        return error

    def _looks_like(self, name: str) -> str:
        return f"this looks like {name} and is read as {self._format.name}: name it with --format {name}"


class NormalReader(FormatReader):
    """Reader of the normal form."""

    def __init__(self) -> None:
        super().__init__(FORMATS[NORMAL], lambda session: {})

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        try:
            message = decode_message(value)
        except BadInput as error:  # it may be as other serialisers write it, which takes longer to read
            try:
                return super().read(value, key, offset)
            except BadInput as other:
                raise (error if other.reason == "invalid_json" else other) from None
        check_key(key, message)
        return (message,)


def _session(key: bytes | None) -> str | None:
    if key is None:
        return None
    if detail := describe_key(key):
        raise BadInput("key_mismatch", detail)
    return key.decode()


class AutoReader:
    """Reader that detects the format from the first values and logs it."""

    def __init__(
        self,
        segments: Callable[[str], Segments],
        default: str | None = None,
        ignored: IgnoredRecords | None = None,
    ) -> None:
        self._segments = segments
        self._default = default
        self._ignored = ignored
        self._detector = Detector()
        self._reader: MessageReader | None = None

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        if self._reader is None:
            if has_no_data(value):  # such as `event:` before the first message
                if self._ignored is not None:
                    self._ignored.add(AUTO, "metadata", offset)
                return ()
            format = self._detector.find(value)
            log.info("format_detected", format=format.name, offset=offset)
            self._reader = make_reader(format.name, self._segments, self._default, self._ignored)
        return self._reader.read(value, key, offset)


class ClosingReader:
    """Reader whose messages close endless segments at sentence ends.

    Args:
        reader: of the normal form; vendors' formats have segments, whose names they look up as they gave them.
    """

    def __init__(self, reader: MessageReader, auto_close: AutoClose) -> None:
        self._reader = reader
        self._auto_close = auto_close

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `MessageReader`."""
        return [x for message in self._reader.read(value, key, offset) for x in self._auto_close.translate(message)]


def default_remember_segments(name: str) -> int:
    """Return how many closed segments of a session must be remembered for a format."""
    return CHAT_REMEMBER_SEGMENTS if name in FORMATS and FORMATS[name].chat else DEFAULT_REMEMBER_SEGMENTS


def check_format(name: str) -> None:
    """Check a format's name.

    Raises:
        SettingError: the format is unknown.
    """
    check_choice("format", name, (AUTO, *FORMATS))


def make_reader(
    name: str,
    segments: Callable[[str], Segments],
    default: str | None = None,
    ignored: IgnoredRecords | None = None,
) -> MessageReader:
    """Make the reader of a format, or of `auto`.

    Raises:
        SettingError: the format is unknown.
    """
    check_format(name)
    if name == NORMAL:
        return NormalReader()
    if name == AUTO:
        return AutoReader(segments, default, ignored)
    return FormatReader(FORMATS[name], segments, default, ignored)


def open_line_reader(name: str, stream: BinaryIO) -> LineReader:
    """Return the reader of a file or pipe that splits it into messages as its format does.

    Args:
        name: value of `--format`; `auto` inspects the beginning of the stream.
        stream: buffered, so that its beginning can be peeked at.
    """
    if name == AUTO:
        blocks, is_json = _begins_with_block(stream), True
    else:
        blocks, is_json = FORMATS[name].blocks, FORMATS[name].type is not None
    if blocks:
        return BlockReader(stream)
    return JsonReader(stream) if is_json else LineReader(stream)


def _begins_with_block(stream: BinaryIO) -> bool:
    ahead = stream.peek(1024) if hasattr(stream, "peek") else b""
    first = ahead.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")[0]
    try:
        return recognise(first).blocks
    except BadInput:
        return False
