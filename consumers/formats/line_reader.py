"""Lines of a byte stream, read ahead in a thread, so that available lines can be taken without waiting for more."""

import re
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import BinaryIO

from consumers.common.json_wrapping import BYTE_ORDER_MARK
from consumers.formats.decode import MAX_BYTES


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line break. A line over the limit is cut just above it and then refused as too large."""

    number: int
    value: bytes


class LineReader:
    """Reads a bounded number of lines ahead.

    Args:
        stream: any binary stream; lines of a pipe are available as soon as they are written.
        ahead: limit of lines held.
    """

    def __init__(self, stream: BinaryIO, ahead: int = 4096) -> None:
        self._stream = stream
        self._lines: SimpleQueue[Line | OSError | None] = SimpleQueue()
        self._capacity = threading.Semaphore(ahead)
        self._ended = False
        # A daemon, because a read from a terminal or a silent pipe cannot be cancelled and must not delay the exit.
        threading.Thread(target=self._read, name="lines", daemon=True).start()

    def next_line(self, wait: bool) -> Line | None:
        """Return the next line; None at the end, or if `wait` is false and none is available yet.

        Raises:
            OSError: the stream cannot be read.
        """
        if self._ended:
            return None
        try:
            line = self._lines.get(block=wait)
        except Empty:
            return None
        if not isinstance(line, Line):
            self._ended = True
            if line is not None:
                raise line
            return None
        self._capacity.release()
        return line

    def _read(self) -> None:
        try:
            for number, value in enumerate(self._split_lines()):
                self._capacity.acquire()
                self._lines.put(Line(number, value))
        except OSError as error:
            self._lines.put(error)
        else:
            self._lines.put(None)

    def _split_lines(self) -> Iterator[bytes]:
        """Yield the lines of the stream; LF or CRLF ends a line."""
        while value := self._stream.readline(MAX_BYTES + 2):
            complete = value.endswith(b"\n")
            while not complete and (rest := self._stream.readline(MAX_BYTES)):
                complete = rest.endswith(b"\n")
            yield value.removesuffix(b"\n").removesuffix(b"\r")


class JoiningReader(LineReader):
    """Base of readers whose values may be several lines; a value has the number of its first line."""

    def __init__(self, stream: BinaryIO, ahead: int = 4096) -> None:
        super().__init__(stream, ahead)
        self._ready: deque[Line] = deque()
        self._open: list[Line] = []
        """Lines of the value that is not complete yet."""
        self._bytes = 0

    def next_line(self, wait: bool) -> Line | None:
        """See `LineReader`; returns the next value."""
        while not self._ready:
            line = super().next_line(wait)
            if line is not None:
                self._take(line)
            elif self._ended and self._open:
                self._finish()
            else:
                return None
        return self._ready.popleft()

    @abstractmethod
    def _take(self, line: Line) -> None:
        """Take one line, and add what is complete to `_ready`."""

    def _hold(self, line: Line) -> None:
        """Hold a line; a value over the limit is cut just above it, as a line is."""
        if self._bytes <= MAX_BYTES:
            self._open.append(line)
            self._bytes += len(line.value) + 1

    def _finish(self) -> None:
        """Complete the value of the lines that are held."""
        if self._open:
            self._ready.append(Line(self._open[0].number, b"\n".join(line.value for line in self._open)))
        self._open, self._bytes = [], 0


_WHOLE_CUE = re.compile(rb"[ \t]*\[[0-9:.,]{5,16} +--> +[0-9:.,]{5,16}\]")


class BlockReader(JoiningReader):
    """Returns blocks separated by empty lines. A cue with its times and text in one line is a block of its own."""

    def _split_lines(self) -> Iterator[bytes]:
        """Yield the lines of the stream; LF, CRLF or CR ends a line."""
        rest, after_return, cut = b"", False, False
        while chunk := self._stream.read1(1 << 16):  # type: ignore[attr-defined]  # of every buffered stream
            if after_return:
                chunk = chunk.removeprefix(b"\n")
            after_return = chunk.endswith(b"\r")
            lines = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            rest = lines.pop()
            for line in lines:
                if not cut:
                    yield line
                cut = False
            if len(rest) > MAX_BYTES:  # the rest of the line is dropped
                if not cut:
                    yield rest
                rest, cut = b"", True
        if rest and not cut:
            yield rest

    def _take(self, line: Line) -> None:
        if not line.value.strip():
            self._finish()
        elif _WHOLE_CUE.match(line.value):
            self._finish()
            self._ready.append(line)
        else:
            self._hold(line)


_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')


class JsonReader(JoiningReader):
    """Returns JSON values, each in one line or printed over several lines.

    Only a line that can be the first one of several begins a value of several lines; should they not become a valid
    value, each of them is returned by itself, so that a line that was cut off does not hide those after it.
    """

    def __init__(self, stream: BinaryIO, ahead: int = 4096) -> None:
        super().__init__(stream, ahead)
        self._brackets: list[int] = []
        """Open brackets of the value that is not complete yet."""

    def _take(self, line: Line) -> None:
        text = line.value.removeprefix(BYTE_ORDER_MARK).strip(b" \t\r")
        if self._open:
            self._go_on(line, text)
        elif text[:1] in (b"{", b"[") and not _is_balanced(text) and text[-1:] in _LINE_ENDS and self._count(text):
            self._hold(line)
        else:
            self._brackets = []
            self._ready.append(line)

    def _go_on(self, line: Line, text: bytes) -> None:
        before = next((x for held in reversed(self._open) if (x := held.value.strip()[-1:])), b"")
        if text and not _may_follow(before, text[:1], self._brackets[-1:] == [_OBJECT]):
            return self._give_up(line)
        self._hold(line)
        if not self._count(text):
            if self._brackets:  # more brackets close than were open
                return self._give_up(None)
            self._finish()
        return None

    def _count(self, text: bytes) -> bool:
        """Count the brackets of a line; returns whether some are open, and none was closed that was not."""
        for mark in _MARKS.finditer(text):
            kind = mark[0][0]
            if kind in (_OBJECT, _ARRAY):
                self._brackets.append(kind)
            elif kind in _CLOSES and (not self._brackets or self._brackets.pop() != _CLOSES[kind]):
                self._brackets = [0]
                return False
        return bool(self._brackets)

    def _give_up(self, line: Line | None) -> None:
        """Return each line by itself; `line` is looked at anew."""
        self._ready += self._open
        self._open, self._bytes, self._brackets = [], 0, []
        if line is not None:
            self._take(line)

    def _finish(self) -> None:
        cut_off = bool(self._brackets)
        self._brackets = []
        if cut_off and any(_is_object(x.value) for x in self._open):  # the end of the stream
            return self._give_up(None)
        return super()._finish()


_OBJECT, _ARRAY = b"{["
_CLOSES = {b"}"[0]: _OBJECT, b"]"[0]: _ARRAY}
_LINE_ENDS = (b"{", b"[", b",", b":")
"""Ends of the first line of a value that is printed over several lines."""


def _is_balanced(text: bytes) -> bool:
    """Whether a line is certainly, or most likely, a whole value; brackets in strings are counted too."""
    return text.count(b"{") == text.count(b"}") and text.count(b"[") == text.count(b"]") and text[-1:] in (b"}", b"]")


def _is_object(text: bytes) -> bool:
    text = text.strip()
    return text.startswith(b"{") and text.endswith(b"}") and text.count(b"{") == text.count(b"}")


def _may_follow(before: bytes, first: bytes, in_object: bool) -> bool:
    """Whether a line with this first character may follow a line with that last one inside a JSON value."""
    if before in (b"{", b"[", b",", b":"):
        if in_object and before != b":":
            return first == b'"' or (before == b"{" and first == b"}")
        return before == b"[" or first not in (b"}", b"]", b",", b":")
    return first in (b",", b":", b"}", b"]")
