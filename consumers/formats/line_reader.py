"""Lines of a byte stream, read ahead in a thread, so that available lines can be taken without waiting for more."""

import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import BinaryIO

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
        number = 0
        try:
            while value := self._stream.readline(MAX_BYTES + 2):
                complete = value.endswith(b"\n")
                while not complete and (rest := self._stream.readline(MAX_BYTES)):
                    complete = rest.endswith(b"\n")
                self._capacity.acquire()
                self._lines.put(Line(number, value.removesuffix(b"\n").removesuffix(b"\r")))
                number += 1
        except OSError as error:
            self._lines.put(error)
        else:
            self._lines.put(None)


class BlockReader(LineReader):
    """Returns blocks separated by empty lines in place of lines; a block has the number of its first line."""

    def __init__(self, stream: BinaryIO, ahead: int = 4096) -> None:
        super().__init__(stream, ahead)
        self._block: list[Line] = []
        self._bytes = 0

    def next_line(self, wait: bool) -> Line | None:
        """See `LineReader`; the last block needs no empty line after it."""
        while line := super().next_line(wait):
            if not line.value.strip():
                if self._block:
                    return self._take_block()
            elif self._bytes <= MAX_BYTES:  # a block over the limit is cut just above it, as a line is
                self._block.append(line)
                self._bytes += len(line.value) + 1
        return self._take_block() if self._ended and self._block else None

    def _take_block(self) -> Line:
        first, value = self._block[0].number, b"\n".join(line.value for line in self._block)
        self._block, self._bytes = [], 0
        return Line(first, value)
