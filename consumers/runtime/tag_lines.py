"""Labelling of `hearken tag`: lines in, revisions out, without a broker.

Each line is a step of its own for its session. Lines of different sessions are batched as they arrive; revisions are
written in the order of their lines, so the output does not depend on the speed of the input.
"""

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TextIO

import msgspec
from msgspec.structs import replace

from consumers.common.json_wrapping import BYTE_ORDER_MARK
from consumers.common.redaction import hide_detail
from consumers.formats.decode import BadInput, make_closed_update
from consumers.formats.ignored import IgnoredRecords
from consumers.formats.keys import name_source
from consumers.formats.line_reader import Line, LineReader
from consumers.formats.readers import MessageReader
from consumers.runtime.segment_output.text_output import SegmentOutput
from stream.engine.engine import Engine, StepResult
from stream.messages.errors import InputError
from stream.messages.types import Message, Revision
from stream.redaction.messages import RedactedMessage, RedactedUpdate
from stream.sentences.auto_close import AutoClose

TEXT_SESSION = "stdin"
Answer = Revision | RedactedMessage
"""What is written: redacted updates if the engine redacts, else revisions."""
MAX_PENDING = 1024
"""Largest number of lines in the engine: enough to fill its batches, few enough for early output."""


class TextReader:
    """Reader of text: each line is a closed segment of one session, named by the line's number."""

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `consumers.formats.readers.MessageReader`."""
        return (make_closed_update(_session_of(key), str(offset), value or b""),)


class RunningTextReader:
    """Reader of running text: each line goes on in one segment of one session."""

    SEGMENT = "text"

    def __init__(self) -> None:
        self._begun = False

    def read(self, value: bytes | None, key: bytes | None, offset: int) -> Sequence[Message]:
        """See `consumers.formats.readers.MessageReader`."""
        line = make_closed_update(_session_of(key), self.SEGMENT, value or b"")
        text = f" {line.text}" if self._begun else line.text
        self._begun = True
        return (replace(line, text=text, mode="append", final=False),)


def _session_of(key: bytes | None) -> str:
    return TEXT_SESSION if key is None else key.decode()


@dataclass
class OrderedOutput:
    """Reorders revisions: those of a line are released once all earlier lines are answered.

    Args:
        redacted: whether the messages of the redacted stream are written instead.
    """

    redacted: bool = False

    _open: deque[int] = field(default_factory=deque)
    _unanswered: dict[int, int] = field(default_factory=dict)
    _revisions: dict[int, list[Answer]] = field(default_factory=dict)

    def add_line(self, line: int, messages: int = 1) -> None:
        """Add a line with the number of its messages that the engine has; lines must be added in order."""
        self._open.append(line)
        self._unanswered[line] = messages

    def add_result(self, result: StepResult) -> list[Answer]:
        """Add the result of a step; returns the revisions that may be written now."""
        answers: list[Answer] = [x.message for x in result.redacted] if self.redacted else [*result.revisions]
        for revision in answers:
            self._revisions.setdefault(revision.offset, []).append(revision)
        for answer in result.answered:
            self._unanswered[answer.offset] -= 1
        ready: list[Answer] = []
        while self._open and not self._unanswered[self._open[0]]:
            line = self._open.popleft()
            del self._unanswered[line]
            ready += self._revisions.pop(line, [])
        return ready


class TagRun:
    """One run of `hearken tag`.

    Args:
        engine: an engine that does not coalesce, so that each line has its revisions.
        reader: reads messages from lines.
        final_only: write only revisions of closed segments.
        out: file for the revisions, as JSON lines.
        errors: file for errors, one line each.
        session: session of all lines; None: the one that they name.
        auto_close: what closes the segments of `reader`; it is told of revisions.
        output: what writes segments instead of revisions.
        ends: messages for the end of the input, if there was a line.

    Attributes:
        bad: number of errors so far.
        lines: number of lines, or messages of several lines, that are not empty.
    """

    def __init__(
        self,
        engine: Engine,
        reader: MessageReader,
        final_only: bool,
        out: BinaryIO,
        errors: TextIO,
        session: str | None = None,
        auto_close: AutoClose | None = None,
        output: SegmentOutput | None = None,
        ends: Sequence[Message] = (),
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._key = None if session is None else session.encode()
        self._final_only = final_only
        self._out = out
        self._errors = errors
        self._redacts = engine.redactor is not None
        self._auto_close = auto_close
        self._output = output
        # Where a segment closes depends on all revisions before, and the text that is written on all lines before.
        self._max_pending = MAX_PENDING if auto_close is None and output is None else 1
        self._ends = ends
        self._order = OrderedOutput(self._redacts)
        self._last_line = 0
        self.bad = 0
        self.lines = 0

    def run(self, lines: LineReader) -> None:
        """Read to the end; revisions are written as soon as the available lines are processed.

        Raises:
            OSError: reading or writing failed.
        """
        while self._fill(lines):
            self._step()
        if self.lines:
            self._submit_all(self._ends, self._last_line)
        while self._engine.pending:
            self._step()
        if self._output is not None:
            self._out.writelines(self._output.finish())
            self._out.flush()
            for problem in self._output.problems:
                self.bad += 1
                print(problem, file=self._errors, flush=True)

    def _step(self) -> None:
        result = self._engine.step()
        for failure in result.failures:
            self._report(failure.offset, f"labelling failed: {failure.error!r}")
        self._write(self._order.add_result(result))

    def _fill(self, lines: LineReader) -> bool:
        """Submit the available lines; waits for one only if the engine has nothing to do."""
        while self._engine.pending < self._max_pending:
            line = lines.next_line(wait=self._engine.pending == 0)
            if line is None:
                break
            self._submit(line)
        return self._engine.pending > 0

    def _submit(self, line: Line) -> None:
        if not line.value.removeprefix(BYTE_ORDER_MARK).strip():
            return
        self.lines += 1
        self._last_line = line.number
        try:
            messages = self._reader.read(line.value, self._key, line.number)
        except (BadInput, InputError) as error:
            self._report(line.number, self._explain(error))
        else:
            self._submit_all(messages, line.number)

    def _submit_all(self, messages: Sequence[Message], line: int) -> None:
        submitted = sum([self._submit_one(message, line) for message in messages])
        if submitted:
            self._order.add_line(line, submitted)

    def _submit_one(self, message: Message, line: int) -> bool:
        try:
            self._engine.submit(message, line)
        except InputError as error:
            self._report(line, self._explain(error))
            return False
        if self._output is not None:
            self._output.hear(message)
        return True

    def _explain(self, error: BadInput | InputError) -> str:
        detail = hide_detail(error.reason, error.detail) if self._redacts else name_source(error.detail, "--session")
        return f"{error.reason}: {detail}"

    def _write(self, answers: list[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Revision) and self._auto_close is not None:
                self._auto_close.see(answer)
            if isinstance(answer, Revision) and self._output is not None:
                self._output.see(answer)
            elif not (self._final_only and isinstance(answer, Revision | RedactedUpdate) and not answer.final):
                self._out.write(_encode_line(answer))
        if self._output is not None:
            self._out.writelines(self._output.write_closed())
        self._out.flush()

    def _report(self, line: int, error: str) -> None:
        self.bad += 1
        # Lines are counted from 1, offsets from 0.
        print(f"line {line + 1} (offset {line}): {error}", file=self._errors, flush=True)


def _encode_line(revision: Answer) -> bytes:
    """Encode a message as one line, also for terminals and for readers that break lines at U+0085 or U+2028."""
    line = msgspec.json.encode(revision)
    return _CONTROL.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), line) + b"\n"


_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
"""Control characters and line breaks that JSON does not escape."""


def tag_input(
    engine: Engine,
    reader: MessageReader,
    final_only: bool,
    session: str | None = None,
    open_lines: Callable[[BinaryIO], LineReader] = LineReader,
    ignored: IgnoredRecords | None = None,
    auto_close: AutoClose | None = None,
    output: SegmentOutput | None = None,
    ends: Sequence[Message] = (),
) -> int:
    """Label standard input to standard output; returns the exit code, 1 if there was an error or all was ignored.

    The parameters are those of `TagRun`; `open_lines` splits standard input into messages; `ignored` has counted the
    lines in which the reader found nothing to label.
    """
    run = TagRun(engine, reader, final_only, sys.stdout.buffer, sys.stderr, session, auto_close, output, ends)
    # A buffer of its own: at exit Python fails on sys.stdin while a thread still reads from it.
    stream = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    run.run(open_lines(stream))
    stream.close()  # at its end, so that no thread reads from it
    if run.bad:
        print(f"{run.bad} bad line{'s' if run.bad > 1 else ''}", file=sys.stderr)
    if ignored is None or not ignored.total:
        return 1 if run.bad else 0
    print(f"{ignored.total} of {run.lines} lines had nothing to label: {ignored.describe()}", file=sys.stderr)
    all_ignored = ignored.total == run.lines
    if all_ignored:
        print("no line had anything to label; is --format right? (docs/formats.md)", file=sys.stderr)
    return 1 if run.bad or all_ignored else 0
