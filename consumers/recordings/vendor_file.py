"""Reader of files in a vendor's format as recorded streams: converted to normal form, or unchanged."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from consumers.formats.decode import BadInput
from consumers.formats.ignored import IgnoredRecords
from consumers.formats.keys import name_source
from consumers.formats.readers import MessageReader, make_reader, open_line_reader
from consumers.recordings.jsonl import OnBad, OnLine, Pace, RecordedMessage, ignore_line, read_file_lines, stop_at
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

    def read(
        self, raw: bool = False, on_bad: OnBad | None = None, on_line: OnLine = ignore_line
    ) -> Iterator[RecordedMessage]:
        """Read message by message. A message without a time has the time of its predecessor.

        Args:
            raw: yield all values unchanged, keyed by session; otherwise messages in normal form.
            on_bad: called for each line that is not a message; the next one goes on. None: the first ends the reading.
            on_line: see `OnLine`.

        Raises:
            RecordingError: the file cannot be read, or a message is invalid and there is no `on_bad`.
        """
        pace, report = Pace(), on_bad or stop_at(self.path)
        key = None if self.session is None else self.session.encode()
        sessions, session = VendorSessions(), self.session
        reader = make_reader(self.format, sessions.segments, self.path.stem, IgnoredRecords())
        for number, value in read_file_lines(self.path, partial(open_line_reader, self.format), on_line):
            messages, error = _read_messages(reader, sessions, value, key, number - 1)
            times = [x.time for x in messages if isinstance(x, Update) and x.time is not None]
            if times:
                pace.add(times[0], times[-1])
            session = messages[0].session if messages else session
            if error is not None and (not raw or error.reason == "too_large"):  # of which only the beginning was read
                report(number, f"{error.reason}: {name_source(error.detail, '--session')}")
            elif raw:
                yield RecordedMessage(session, messages[0] if messages else None, value, pace.due)
            if not raw:
                yield from (RecordedMessage(x.session, x, msgspec.json.encode(x), pace.due) for x in messages)


def _read_messages(
    reader: MessageReader, sessions: VendorSessions, value: bytes, key: bytes | None, offset: int
) -> tuple[list[Message], BadInput | InputError | None]:
    """Read a value; returns its valid messages, and what is wrong with it or with the first of the others."""
    applied: list[Message] = []
    refused: BadInput | InputError | None = None
    try:
        messages = reader.read(value, key, offset)
    except (BadInput, InputError) as error:
        return [], error
    for message in messages:
        try:
            sessions.apply(message, offset)
        except InputError as error:
            refused = refused or error
        else:
            applied.append(message)
    return applied, refused
