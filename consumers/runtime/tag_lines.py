"""`hearken tag`: lines in, revisions out, no broker.

Every line is its own step of its session. Lines of different sessions are batched as they come; revisions are written
in order of the lines they answer, so the output does not depend on how fast the input arrived.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TextIO

import msgspec

from consumers.formats.decode import BadInput, closed_line
from consumers.formats.line_reader import Line, LineReader
from consumers.formats.reader import MessageReader
from stream.engine.engine import Engine, Failure, StepResult
from stream.messages.errors import InputError
from stream.messages.types import Message, Revision

TEXT_SESSION = "stdin"
WAITING = 1024
"""Lines given to the engine at once: enough to fill its batches, few enough to answer early."""

_BOM = b"\xef\xbb\xbf"


class TextReader:
    """A line is one closed segment of one session; its number names it."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `consumers.formats.reader.Reader`; there is no key."""
        return (closed_line(TEXT_SESSION, str(offset), value or b""),)


@dataclass
class OrderedOutput:
    """Holds revisions back until all earlier lines are answered."""

    _open: deque[int] = field(default_factory=deque)
    _unanswered: dict[int, int] = field(default_factory=dict)
    _revisions: dict[int, list[Revision]] = field(default_factory=dict)

    def begin(self, line: int, messages: int = 1) -> None:
        """So many messages of a line went to the engine; lines come in order."""
        self._open.append(line)
        self._unanswered[line] = messages

    def add(self, result: StepResult) -> list[Revision]:
        """Take what a step did; returns the revisions that may be written now."""
        for revision in result.revisions:
            self._revisions.setdefault(revision.offset, []).append(revision)
        for answer in result.answered:
            self._unanswered[answer.offset] -= 1
        ready: list[Revision] = []
        while self._open and not self._unanswered[self._open[0]]:
            line = self._open.popleft()
            del self._unanswered[line]
            ready += self._revisions.pop(line, [])
        return ready


class TagRun:
    """One run of `hearken tag`.

    Args:
        engine: not coalescing, so that what stands after each line is told.
        reader: says what a line means.
        session: of all lines; by default the one that they name.
        final_only: write only revisions of closed segments.
        out: where revisions go, as JSON lines.
        complain: where bad lines are named.
    """

    def __init__(
        self,
        engine: Engine,
        reader: MessageReader,
        final_only: bool,
        out: BinaryIO,
        complain: TextIO,
        session: str | None = None,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._key = None if session is None else session.encode()
        self._final_only = final_only
        self._out = out
        self._complain = complain
        self._order = OrderedOutput()
        self.bad = 0

    def run(self, lines: LineReader) -> None:
        """Read to the end. Answers go out as soon as the lines at hand are worked through.

        Raises:
            OSError: input or output broke.
        """
        while self._fill(lines):
            result = self._engine.step()
            for failure in result.failures:
                self._name_failure(failure)
            self._write(self._order.add(result))

    def _fill(self, lines: LineReader) -> bool:
        """Give the engine the lines that are there; waits for one only if there is nothing to do."""
        while self._engine.pending < WAITING:
            line = lines.take(wait=self._engine.pending == 0)
            if line is None:
                break
            self._submit(line)
        return self._engine.pending > 0

    def _submit(self, line: Line) -> None:
        if line.number == 0 and line.value.startswith(_BOM):
            line = Line(0, line.value.removeprefix(_BOM))
        if not line.value.strip():
            return
        taken = 0
        try:
            for message in self._reader.read(line.value, self._key, line.number):
                taken += self._submit_one(message, line.number)
        except (BadInput, InputError) as error:
            self._name_bad(line.number, f"{error.reason}: {error.detail}")
        if taken:
            self._order.begin(line.number, taken)

    def _submit_one(self, message: Message, line: int) -> bool:
        try:
            self._engine.submit(message, line)
        except InputError as error:
            self._name_bad(line, f"{error.reason}: {error.detail}")
            return False
        return True

    def _write(self, revisions: list[Revision]) -> None:
        for revision in revisions:
            if revision.final or not self._final_only:
                self._out.write(msgspec.json.encode(revision) + b"\n")
        self._out.flush()

    def _name_failure(self, failure: Failure) -> None:
        self._name_bad(failure.offset, f"labelling failed: {failure.error!r}")

    def _name_bad(self, line: int, what: str) -> None:
        self.bad += 1
        # People count lines from 1, revisions' offsets from 0.
        print(f"line {line + 1} (offset {line}): {what}", file=self._complain, flush=True)


def tag(
    engine: Engine,
    reader: MessageReader,
    final_only: bool,
    session: str | None = None,
    open_lines: Callable[[BinaryIO], LineReader] = LineReader,
) -> int:
    """Tag standard input to standard output; returns the exit code, 1 if a line was bad.

    Args:
        engine, reader, final_only, session: see `TagRun`.
        open_lines: parts standard input into messages.
    """
    tagging = TagRun(engine, reader, final_only, sys.stdout.buffer, sys.stderr, session)
    # A buffer of our own: Python's dies at exit when a thread still reads from it.
    stream = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    tagging.run(open_lines(stream))
    stream.close()  # read to its end: nobody reads from it any more
    if tagging.bad:
        print(f"{tagging.bad} bad line{'s' if tagging.bad > 1 else ''}", file=sys.stderr)
    return 1 if tagging.bad else 0
