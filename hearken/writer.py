"""Writer of a session's text: `replace`, `append`, `close`, without naming each segment."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from hearken.messages import Delete, End, Message, Update, WordTime

T = TypeVar("T")


class TextWriter(Generic[T]):
    """Writes the messages of one session; what the methods return is what `send` returns.

    Segments that are not named are numbered from "1". `close` ends the current one, and the next text opens another.

    Attributes:
        name: the session's name.
        current: the segment that text without a name belongs to; None: the next text opens one.
    """

    def __init__(self, session: str) -> None:
        self.name = session
        self.current: str | None = None
        self._opened = 0

    @abstractmethod
    def send(self, message: Message) -> T:
        """Send a message in normal form; its session must be that of the writer.

        Raises:
            ValueError: it is of another session.
        """

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
    ) -> T:
        """Set the text of a segment, as a recogniser's interim results do.

        Args:
            text: the whole text of the segment as it stands now.
            segment: its name; by default the one that is being written, else a new one.
            final: whether its source intends not to rewrite it again; it closes then.
            time: seconds at which it was spoken.
            words: seconds of each of its words.
            speaker: of the segment.
            channel: audio channel or source of the segment.
        """
        times = None if words is None else tuple(words)
        return self.send(
            Update(
                session=self.name,
                segment=self._choose(segment),
                text=text,
                final=final,
                time=time,
                words=times,
                speaker=speaker,
                channel=channel,
            )
        )

    def append(
        self,
        text: str,
        segment: str | None = None,
        *,
        final: bool = False,
        speaker: str | None = None,
        channel: str | None = None,
    ) -> T:
        """Add text, with its spaces, to the end of a segment, as the tokens of a language model come."""
        return self.send(
            Update(
                session=self.name,
                segment=self._choose(segment),
                text=text,
                mode="append",
                final=final,
                speaker=speaker,
                channel=channel,
            )
        )

    def close(self, segment: str | None = None) -> T:
        """Close a segment with the text that it has; by default the one that is being written.

        Raises:
            ValueError: no segment is being written.
        """
        if segment is None and self.current is None:
            raise ValueError("no segment is open: there is nothing to close")
        return self.append("", segment, final=True)

    def delete(self, segment: str) -> T:
        """Remove a segment, as the source of a chat does."""
        return self.send(Delete(session=self.name, segment=segment))

    def end(self) -> T:
        """End the session: its open segments close."""
        return self.send(End(session=self.name))

    def _choose(self, segment: str | None) -> str:
        return segment or self.current or str(self._opened + 1)

    def _check(self, message: Message) -> None:
        if message.session != self.name:
            raise ValueError(f"the message is of session {message.session!r}, the stream is {self.name!r}")

    def _note(self, message: Message) -> None:
        """Take note of a message that was sent: text without a name goes on in its segment while that is open."""
        if not isinstance(message, Update):
            if isinstance(message, End) or message.segment == self.current:
                self.current = None
            return
        if message.segment == str(self._opened + 1):
            self._opened += 1
        if not message.final:
            self.current = message.segment
        elif message.segment == self.current:
            self.current = None
