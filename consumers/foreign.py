"""Files of a vendor's messages as recorded streams: made updates in normal form, or left as they came."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from consumers.errors import RecordingError
from consumers.formats.reader import Reader
from consumers.intake import BadInput
from consumers.lines import BlockReader, LineReader
from consumers.recording import Recorded
from stream.errors import InputError
from stream.intake import Intake
from stream.messages import Message, Update


class Hearing:
    """Sessions as received, for formats to ask; nothing is labelled."""

    def __init__(self) -> None:
        self._intake = Intake(coalesce=False)
        self.segments = self._intake.segments

    def hear(self, message: Message, offset: int) -> None:
        """Take one message.

        Raises:
            InputError: it is bad; nothing was changed.
        """
        self._intake.accept(message, offset, 0.0)
        while self._intake.waiting:
            self._intake.take(1 << 30)


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file in a vendor's format.

    Args:
        path: messages as lines, or as stretches between empty lines.
        reader: of the format; it asks `hearing` for segments.
        hearing: see there.
        session: of all messages; by default the one that they name.
        blocks: messages stand between empty lines.
    """

    path: Path
    reader: Reader
    hearing: Hearing
    session: str | None = None
    blocks: bool = False

    def read(self, raw: bool = False) -> Iterator[Recorded]:
        """Read message by message; what has no time comes together with what was before it.

        Args:
            raw: each of the vendor's messages as it came, keyed by session; otherwise what becomes of it.

        Raises:
            RecordingError: the file cannot be read, or a message of it not.
        """
        first: float | None = None
        due = 0.0
        key = None if self.session is None else self.session.encode()
        for number, value in self._values():
            messages = self._hear(value, key, number)
            times = [x.time for x in messages if isinstance(x, Update) and x.time is not None]
            if times:
                first = times[0] if first is None else first
                due = max(due, times[-1] - first)
            if raw and messages:
                yield Recorded(messages[0], value, due)
            elif not raw:
                yield from (Recorded(x, msgspec.json.encode(x), due) for x in messages)

    def _values(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as stream:
                lines = BlockReader(stream) if self.blocks else LineReader(stream)
                while line := lines.take(wait=True):
                    if line.value.strip():
                        yield line.number, line.value
        except OSError as error:
            raise RecordingError(f"{self.path}: {error.strerror or error}") from error

    def _hear(self, value: bytes, key: bytes | None, number: int) -> list[Message]:
        try:
            messages = list(self.reader.read(value, key, number))
            for message in messages:
                self.hearing.hear(message, number)
        except (BadInput, InputError) as error:
            raise RecordingError(f"{self.path}, line {number + 1}: {error}") from None
        return messages
