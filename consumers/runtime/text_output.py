"""Text of segments with the punctuation that the tagger `punctuation` finds, for people to read."""

from collections.abc import Callable, Iterator

from consumers.formats.base import Segments
from stream.messages.types import Delete, Message, Revision, Span, Update
from stream.revisions.sentences import PUNCTUATION, write_marks


class TextOutput:
    """Writes a line for each segment when it closes, with marks and with capitals at the beginnings of sentences.

    Args:
        segments: returns the segments of a session as received, which must be those that the revisions answer.
    """

    def __init__(self, segments: Callable[[str], Segments]) -> None:
        self._segments = segments
        self._texts: dict[tuple[str, str], str] = {}
        self._spans: dict[tuple[str, str], tuple[Span, ...]] = {}

    def hear(self, message: Message) -> None:
        """Take the text of a message that the engine has accepted."""
        if isinstance(message, Update):
            self._texts[message.session, message.segment] = self._segments(message.session)[message.segment].text
        elif isinstance(message, Delete):
            self._forget((message.session, message.segment))

    def see(self, revision: Revision) -> Iterator[bytes]:
        """Yield the line of a segment that has closed, or that was edited later."""
        if revision.tagger != PUNCTUATION:
            return
        key = revision.session, revision.segment
        self._spans[key] = revision.spans
        if revision.final:
            yield from self._write(key)
            self._forget(key)

    def finish(self) -> Iterator[bytes]:
        """Yield the lines of the segments that are open at the end of the input."""
        for key in self._texts:
            yield from self._write(key)

    def _write(self, key: tuple[str, str]) -> Iterator[bytes]:
        text = self._texts.get(key, "")
        spans = [x for x in self._spans.get(key, ()) if text[x.start : x.end] == x.text]
        written = "".join(c if c.isprintable() else " " for c in write_marks(text, spans)).strip()
        if written:
            yield f"{written}\n".encode()

    def _forget(self, key: tuple[str, str]) -> None:
        self._texts.pop(key, None)
        self._spans.pop(key, None)
