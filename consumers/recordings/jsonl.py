"""Reader of recorded streams: files of messages in normal form, one JSON object per line, with its arrival `time`."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import msgspec

from consumers.common.errors import RecordingError
from consumers.formats.decode import BadInput, decode_json, decode_message
from stream.messages.types import Message


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message of a recording."""

    message: Message
    value: bytes
    """The line itself, with unknown fields; a replay sends it unchanged."""
    due: float
    """Seconds after the first message; never decreases."""


class _Timed(msgspec.Struct):
    time: float | None = None


_TIME = msgspec.json.Decoder(_Timed)


def read_recording(path: Path) -> Iterator[RecordedMessage]:
    """Read a recorded stream line by line. A message without a time has the time of its predecessor.

    Raises:
        RecordingError: the file cannot be read, or a line is not a message.
    """
    first: float | None = None
    due = 0.0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                value = line.strip()
                if not value:
                    continue
                try:
                    message, time = decode_message(value), decode_json(value, _TIME).time
                except BadInput as error:
                    raise RecordingError(f"{path}, line {number}: {error}") from None
                if time is not None and isfinite(time):
                    first = time if first is None else first
                    due = max(due, time - first)
                yield RecordedMessage(message, value, due)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
