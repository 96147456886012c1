"""A stream of text in this process: text in, revisions out, and the state that they add up to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from hearken.messages import End, Message, RedactedMessage, Revision
from hearken.state import LiveSegment, LiveSession, LiveState, apply, settle
from hearken.writer import TextWriter
from stream.sessions.step_result import SettledSegment


class LabellingError(RuntimeError):
    """Labelling failed, which is a fault of Hearken; the text is kept, and the next update labels it again."""


@dataclass(slots=True)
class StreamChange:
    """What came of the messages of one session."""

    revisions: list[Revision] = field(default_factory=list)
    redacted: list[RedactedMessage] = field(default_factory=list)
    settled: list[SettledSegment] = field(default_factory=list)
    failure: Exception | None = None

    def check(self) -> None:
        """Raise what labelling failed with.

        Raises:
            LabellingError: it failed.
        """
        if self.failure is not None:
            raise LabellingError(f"labelling failed: {self.failure!r}") from self.failure

    def apply_to(self, state: LiveState) -> LiveState:
        """Return the state after the change."""
        for event in (*self.revisions, *self.redacted):
            state = apply(state, event)
        for x in self.settled:
            state = settle(state, x.session, x.segment, x.tagger, x.settled)
        return state


class Stream(TextWriter[list[Revision]]):
    """One session of live text, labelled in this process; `Model.stream` opens it.

    Each method that takes text returns the revisions that it causes, of all taggers; none if nothing changed. A call
    computes until its labels are there, a few milliseconds for a word. Calls of one stream must not overlap; streams
    of one model may be used by a thread each.

    Examples:
        >>> import hearken
        >>> with hearken.load("english", taggers=["ner"]).stream("call") as stream:
        ...     for text in ["we met anna", "we met anna rice", "we met anna rice in rome"]:
        ...         revisions = stream.replace(text)
        ...     revisions = stream.close()
        >>> [(span.label, span.text) for span in revisions[0].spans]
        [('person', 'anna rice'), ('place', 'rome')]
        >>> stream.text
        'we met anna rice in rome'
    """

    def __init__(
        self, session: str, label: Callable[[Message, int], StreamChange], close: Callable[[str], None]
    ) -> None:
        super().__init__(session)
        self._label = label
        self._close = close
        self._open = True
        self._sent = 0
        self.state = LiveState()
        """State after the last call: texts, standing spans, settled and redacted text."""
        self.redacted: list[RedactedMessage] = []
        """Messages of the redacted stream that the last call caused, if the model redacts."""

    @property
    def session(self) -> LiveSession:
        """State of this session."""
        return self.state.session(self.name)

    @property
    def text(self) -> str:
        """Text so far, one line a segment."""
        return self.session.text

    @property
    def settled_text(self) -> str:
        """Text that may be acted upon, one line a segment (docs/redaction.md)."""
        return self.session.settled_text()

    @property
    def redacted_text(self) -> str:
        """Released text with covered values replaced, one line a segment; empty unless the model redacts."""
        return self.session.redacted_text

    def segment(self, name: str) -> LiveSegment:
        """Return the state of one segment."""
        return self.state.segment(self.name, name)

    def end(self) -> list[Revision]:
        """End the stream: open segments close, and the model forgets it."""
        if self._open and self.session.segments:
            return super().end()
        self._free()
        return []

    def send(self, message: Message) -> list[Revision]:
        """Take a message in normal form, and return the revisions that it causes.

        Raises:
            InputError: the message is bad; nothing was changed.
            LabellingError: labelling failed.
            ValueError: the message is of another session, or the stream has ended.
        """
        self._check(message)
        if not self._open:
            raise ValueError("the stream has ended; open another one")
        offset = self._sent
        change = self._label(message, offset)
        self._sent += 1
        self._note(message)
        self.state = change.apply_to(apply(self.state, message))
        self.redacted = change.redacted
        if isinstance(message, End):
            self._free()
        change.check()
        return change.revisions

    def _free(self) -> None:
        if self._open:
            self._open = False
            self._close(self.name)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end()
        self._free()
