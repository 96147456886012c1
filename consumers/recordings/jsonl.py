"""Reader of recorded streams: files of messages in normal form, one JSON object per line, with its arrival `time`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import msgspec

from consumers.common.errors import RecordingError
from consumers.formats.decode import BadInput, decode_json, decode_message
from consumers.formats.line_reader import LineReader
from stream.messages.types import Message

OnBad = Callable[[int, str], None]
"""Called with the number of a bad line (from 1) and what is wrong with it."""
OnLine = Callable[[int], object]
"""Called with the number of bytes of each line that is read."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message of a recording, or a line that is sent as it is."""

    session: str | None
    """Key of its record; None if nothing names a session."""
    message: Message | None
    """None for a line in which no message was found."""
    value: bytes
    """The line itself, with unknown fields; a replay sends it unchanged."""
    due: float
    """Seconds after the first message; never decreases."""


class Pace:
    """Due times of messages from their own times: seconds after the first, never decreasing."""

    def __init__(self) -> None:
        self._first: float | None = None
        self.due = 0.0

    def add(self, first: float, last: float) -> None:
        """Add a line whose messages have their times between these."""
        if isfinite(first) and isfinite(last):
            self._first = first if self._first is None else self._first
            self.due = max(self.due, last - self._first)


class _Timed(msgspec.Struct):
    time: float | None = None
    session: str | None = None


_TIMED = msgspec.json.Decoder(_Timed)


def ignore_line(size: int) -> None:
    """Report nothing of a line."""


def read_recording(
    path: Path, on_bad: OnBad | None = None, *, raw: bool = False, on_line: OnLine = ignore_line
) -> Iterator[RecordedMessage]:
    """Read a recorded stream line by line. A message without a time has the time of its predecessor.

    Args:
        path: file.
        on_bad: called for each line that is not a message; the next one goes on. None: the first ends the reading.
        raw: yield bad lines too, unchanged.
        on_line: see `OnLine`.

    Raises:
        RecordingError: the file cannot be read, or a line is not a message and there is no `on_bad`.
    """
    pace, report, session = Pace(), on_bad or stop_at(path), None
    for number, line in read_file_lines(path, on_line=on_line):
        message, told = None, _Timed()
        try:
            message = decode_message(line)
        except BadInput as error:
            if not raw or error.reason == "too_large":  # of which only the beginning was read
                report(number, f"{error.reason}: {error.detail}")
                continue
        try:
            told = decode_json(line, _TIMED)
        except BadInput as error:
            if message is not None and not raw:
                report(number, f"{error.reason}: {error.detail}")
                continue
        if told.time is not None:
            pace.add(told.time, told.time)
        session = message.session if message else told.session or session
        yield RecordedMessage(session, message, line, pace.due)


def read_file_lines(
    path: Path, open_lines: Callable[..., LineReader] = LineReader, on_line: OnLine = ignore_line
) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not empty, with their numbers from 1; see `consumers.formats.line_reader`.

    Raises:
        RecordingError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            lines = open_lines(stream)
            while line := lines.next_line(wait=True):
                on_line(len(line.value) + 1)
                if line.value.strip():
                    yield line.number + 1, line.value
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error


def stop_at(path: Path) -> OnBad:
    """Return what ends the reading at the first bad line."""

    def stop(number: int, error: str) -> None:
        raise RecordingError(f"{path}, line {number}: {error}")

    return stop
