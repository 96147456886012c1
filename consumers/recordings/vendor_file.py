"""Reader of files in a vendor's format as recorded streams: converted to normal form, or unchanged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from consumers.common.errors import RecordingError
from consumers.formats.decode import BadInput
from consumers.formats.readers import MessageReader, make_reader, open_line_reader
from consumers.recordings.jsonl import RecordedMessage
from stream.ingest.queue import Intake
from stream.messages.errors import InputError
from stream.messages.types import Message, Update


class VendorSessions:
    """Session texts for formats that depend on earlier messages; nothing is labelled."""

    def __init__(self) -> None:
        self._intake = Intake(coalesce=False)
        self.segments = self._intake.segments

    def apply(self, message: Message, offset: int) -> None:
        """Apply one message.

        Raises:
            InputError: the message is invalid; nothing was changed.
        """
        self._intake.accept(message, offset, 0.0)
        while self._intake.waiting:
            self._intake.take_operations(1 << 30)


@dataclass(frozen=True, slots=True)
class VendorFile:
    """A file in a vendor's format.

    Args:
        path: file.
        format: value of `--format`.
        session: session of all messages; None: the session that each message names.
    """

    path: Path
    format: str
    session: str | None = None

    def read(self, raw: bool = False) -> Iterator[RecordedMessage]:
        """Read message by message. A message without a time has the time of its predecessor.

        Args:
            raw: yield the vendor's messages unchanged, keyed by session; otherwise messages in normal form.

        Raises:
            RecordingError: the file cannot be read, or a message is invalid.
        """
        first: float | None = None
        due = 0.0
        key = None if self.session is None else self.session.encode()
        sessions = VendorSessions()
        reader = make_reader(self.format, sessions.segments, self.path.stem)
        for number, value in self._values():
            messages = self._read_messages(reader, sessions, value, key, number)
            times = [x.time for x in messages if isinstance(x, Update) and x.time is not None]
            if times:
                first = times[0] if first is None else first
                due = max(due, times[-1] - first)
            if raw and messages:
                yield RecordedMessage(messages[0], value, due)
            elif not raw:
                yield from (RecordedMessage(x, msgspec.json.encode(x), due) for x in messages)

    def _values(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as stream:
                lines = open_line_reader(self.format, stream)
                while line := lines.next_line(wait=True):
                    if line.value.strip():
                        yield line.number, line.value
        except OSError as error:
            raise RecordingError(f"{self.path}: {error.strerror or error}") from error

    def _read_messages(
        self, reader: MessageReader, sessions: VendorSessions, value: bytes, key: bytes | None, number: int
    ) -> Sequence[Message]:
        try:
            messages = reader.read(value, key, number)
            for message in messages:
                sessions.apply(message, number)
        except (BadInput, InputError) as error:
            raise RecordingError(f"{self.path}, line {number + 1}: {error}") from None
        return messages
