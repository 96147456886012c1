"""A stream of text in this process: text in, revisions out, and the state that they add up to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from hearken.messages import End, Message, RedactedMessage, Revision, WordTime
from hearken.state import LiveSegment, LiveSession, LiveState, apply, settle
from hearken.writer import MessageWriter
from stream.sessions.step_result import SettledSegment


@dataclass(slots=True)
class StreamChange:
    """What came of the messages of one session."""

    revisions: list[Revision] = field(default_factory=list)
    redacted: list[RedactedMessage] = field(default_factory=list)
    settled: list[SettledSegment] = field(default_factory=list)
    failure: Exception | None = None

    def apply_to(self, state: LiveState) -> LiveState:
        """Return the state after the change."""
        for event in (*self.revisions, *self.redacted):
            state = apply(state, event)
        for x in self.settled:
            state = settle(state, x.session, x.segment, x.tagger, x.settled)
        return state


class Stream:
    """One session of live text, labelled in this process; `Model.stream` opens it.

    Each method that takes text returns the revisions that it causes, of all taggers; none if nothing changed. A call
    computes until its labels are there, a few milliseconds for a word. Calls of one stream must not overlap; streams
    of one model may be used by a thread each.

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
        self,
        writer: MessageWriter,
        label: Callable[[Message, int], StreamChange],
        close: Callable[[str], None],
    ) -> None:
        self._writer = writer
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
        return self.state.session(self._writer.session)

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
        return self.state.segment(self._writer.session, name)

    def replace(
        self,
        text: str,
        segment: str | None = None,
        *,
        final: bool = False,
        time: float | None = None,
        words: Iterable[WordTime] | None = None,
        speaker: str | None = None,
        channel: str | None = None,
    ) -> list[Revision]:
        """Set the text of a segment, as a recogniser's interim results do.

        Args:
            text: the whole text of the segment as it stands now.
            segment: its name; by default the one that is being written, else a new one.
            final: whether the segment closes with it.
            time, words: seconds at which it was spoken, and those of each of its words.
            speaker, channel: of the segment.

        Raises:
            InputError: the message is bad; nothing was changed.
            LabellingError: labelling failed.
        """
        return self.send(
            self._writer.replace(text, segment, final=final, time=time, words=words, speaker=speaker, channel=channel)
        )

    def append(
        self, text: str, segment: str | None = None, *, final: bool = False, speaker: str | None = None
    ) -> list[Revision]:
        """Add text, with its spaces, to the end of a segment, as the tokens of a language model do."""
        return self.send(self._writer.append(text, segment, final=final, speaker=speaker))

    def close(self, segment: str | None = None) -> list[Revision]:
        """Close a segment with the text that it has; its labels are final then.

        Raises:
            ValueError: no segment is being written.
        """
        return self.send(self._writer.close(segment))

    def delete(self, segment: str) -> list[Revision]:
        """Remove a segment, as the source of a chat does."""
        return self.send(self._writer.delete(segment))

    def end(self) -> list[Revision]:
        """End the stream: open segments close, and the model forgets it."""
        if self._open and self.session.segments:
            return self.send(self._writer.end())
        self._free()
        return []

    def send(self, message: Message) -> list[Revision]:
        """Take a message in normal form; its session must be that of the stream.

        Raises:
            ValueError: the message is of another session, or the stream has ended.
        """
        if message.session != self._writer.session:
            raise ValueError(f"the message is of session {message.session!r}, the stream is {self._writer.session!r}")
        if not self._open:
            raise ValueError("the stream has ended; open another one")
        offset = self._sent
        change = self._label(message, offset)
        self._sent += 1
        self._writer.notice(message)
        self.state = change.apply_to(apply(self.state, message))
        self.redacted = change.redacted
        if isinstance(message, End):
            self._free()
        return change.revisions

    def _free(self) -> None:
        if self._open:
            self._open = False
            self._close(self._writer.session)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end()
        self._free()
