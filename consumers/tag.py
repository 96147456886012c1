"""`hearken tag`: lines in, revisions out, no broker.

Every line is its own step of its session. Lines of different sessions are batched as they come; revisions are written
in order of the lines they answer, so the output does not depend on how fast the input arrived.
"""

import os
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, TextIO

import msgspec

from consumers.intake import BadInput, closed_line, decode_message
from consumers.lines import Line, LineReader
from stream.engine import Engine, Failure, StepResult
from stream.errors import InputError
from stream.messages import Message, Revision

TEXT_SESSION = "stdin"
WAITING = 1024
"""Lines given to the engine at once: enough to fill its batches, few enough to answer early."""

_BOM = b"\xef\xbb\xbf"

Parse = Callable[[Line], Message]


def parse_update(line: Line) -> Message:
    """A line is one message in normal form."""
    return decode_message(line.value)


def parse_text(line: Line) -> Message:
    """A line is one closed segment of one session; its number names it."""
    return closed_line(TEXT_SESSION, str(line.number), line.value)


PARSERS: dict[Literal["updates", "text"], Parse] = {"updates": parse_update, "text": parse_text}


@dataclass
class InOrder:
    """Holds revisions back until all earlier lines are answered."""

    _open: deque[int] = field(default_factory=deque)
    _answered: set[int] = field(default_factory=set)
    _revisions: dict[int, list[Revision]] = field(default_factory=dict)

    def begin(self, line: int) -> None:
        """A line went to the engine; lines come in order."""
        self._open.append(line)

    def add(self, result: StepResult) -> list[Revision]:
        """Take what a step did; returns the revisions that may be written now."""
        for revision in result.revisions:
            self._revisions.setdefault(revision.offset, []).append(revision)
        self._answered.update(answer.offset for answer in result.answered)
        ready: list[Revision] = []
        while self._open and self._open[0] in self._answered:
            line = self._open.popleft()
            self._answered.discard(line)
            ready += self._revisions.pop(line, [])
        return ready


class Tagging:
    """One run of `hearken tag`.

    Args:
        engine: not coalescing, so that what stands after each line is told.
        parse: what a line means.
        final_only: write only revisions of closed segments.
        out: where revisions go, as JSON lines.
        complain: where bad lines are named.
    """

    def __init__(self, engine: Engine, parse: Parse, final_only: bool, out: BinaryIO, complain: TextIO) -> None:
        self._engine = engine
        self._parse = parse
        self._final_only = final_only
        self._out = out
        self._complain = complain
        self._order = InOrder()
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
        try:
            self._engine.submit(self._parse(line), line.number)
        except (BadInput, InputError) as error:
            self._name_bad(line.number, f"{error.reason}: {error.detail}")
        else:
            self._order.begin(line.number)

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


def tag(engine: Engine, kind: Literal["updates", "text"], final_only: bool) -> int:
    """Tag standard input to standard output; returns the exit code, 1 if a line was bad."""
    tagging = Tagging(engine, PARSERS[kind], final_only, sys.stdout.buffer, sys.stderr)
    # A buffer of our own: Python's dies at exit when a thread still reads from it.
    tagging.run(LineReader(os.fdopen(os.dup(sys.stdin.fileno()), "rb")))
    if tagging.bad:
        print(f"{tagging.bad} bad line{'s' if tagging.bad > 1 else ''}", file=sys.stderr)
    return 1 if tagging.bad else 0
