"""Standard output and standard error of a process, where they may be closed, or full.

A log that cannot be written ends nothing: lines are lost, counted (`hearken_log_lines_lost_total`), and reported when
the log can be written again. Standard output carries results: a command that cannot write them ends with an error.
"""

import errno
import io
import os
import sys
from typing import Any

UNWRITABLE = {errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""Errors of a stream or file that cannot be written."""


class LogStream(io.TextIOBase):
    """Text stream that writes to a file descriptor at once, and loses what cannot be written.

    Args:
        fd: file descriptor, such as 2; None: everything is lost.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._unreported = 0
        self.lost = 0
        """Number of lines that were lost."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write or lose a text; the first one after a loss follows a line that says how many were lost."""
        told = f'{{"event": "log_lines_lost", "level": "warning", "count": {self._unreported}}}\n'
        data = ((told if self._unreported else "") + text).encode("utf-8", "backslashreplace")
        try:
            while data:
                if self._fd is None:
                    raise OSError(errno.EBADF, "closed")
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.lost += 1
            self._unreported += 1
        else:
            self._unreported = 0
        return len(text)

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._fd is not None and os.isatty(self._fd)

    def fileno(self) -> int:
        """Return its file descriptor.

        Raises:
            OSError: it has none.
        """
        if self._fd is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self._fd


class _ClosedOutput(io.RawIOBase):
    """Standard output of a process that was started without one."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def guard_standard_streams() -> None:
    """Replace standard error by a `LogStream`, and a missing standard output by one that says so when it is written."""
    missing = [number for number in range(3) if not _is_open(number)]
    for _ in missing:  # or the next file or socket would get the number, and what is printed
        os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None or 1 in missing:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_ClosedOutput()), encoding="utf-8")
    # A file that was opened before may have the number of a stream that Python did not find.
    sys.stderr = LogStream(None if sys.stderr is None or 2 in missing else 2)


def lost_log_lines() -> int:
    """Number of lines of the log that could not be written."""
    return sys.stderr.lost if isinstance(sys.stderr, LogStream) else 0


def is_unwritable(error: OSError) -> bool:
    """Whether an error is that of a stream or file that cannot be written."""
    return error.errno in UNWRITABLE


def drop_output() -> None:
    """Drop what is buffered for a standard output that cannot be written: Python would fail on it again at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
