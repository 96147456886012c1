"""Segments for people to read: text with the punctuation that the tagger `punctuation` finds, and text scores."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from consumers.formats.base import Segments
from stream.messages.types import Delete, Message, Revision, Span, Update
from stream.sentences.split import PUNCTUATION, write_marks


class SegmentOutput(Protocol):
    """Output for people: whole segments instead of revisions. Lines must be labelled one by one."""

    problems: list[str]
    """What could not be written, for the user."""

    def hear(self, message: Message) -> None:
        """Take the text of a message that the engine has accepted."""

    def see(self, revision: Revision) -> None:
        """Take a revision; `write_closed` follows when those of all taggers that answer the message are seen."""

    def write_closed(self) -> Iterator[bytes]:
        """Yield what can be written now."""

    def finish(self) -> Iterator[bytes]:
        """Yield what is left at the end of the input."""


class TextOutput:
    """Writes a line for each segment when it closes, with marks and with capitals at the beginnings of sentences.

    Text scores that are at or above their thresholds follow in brackets.

    Args:
        segments: returns the segments of a session as received, which must be those that the revisions answer.
        thresholds: of the text scores, by tagger and name.
    """

    def __init__(
        self, segments: Callable[[str], Segments], thresholds: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        self._segments = segments
        self._thresholds = thresholds or {}
        self._texts: dict[tuple[str, str], str] = {}
        self._spans: dict[tuple[str, str], tuple[Span, ...]] = {}
        self._scores: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
        """By segment and tagger."""
        self._closed: dict[tuple[str, str], None] = {}
        """Segments whose lines are due, once the revisions of all taggers are seen."""
        self.problems: list[str] = []

    def hear(self, message: Message) -> None:
        """Take the text of a message that the engine has accepted."""
        if isinstance(message, Update):
            self._texts[message.session, message.segment] = self._segments(message.session)[message.segment].text
        elif isinstance(message, Delete):
            self._forget((message.session, message.segment))

    def see(self, revision: Revision) -> None:
        """Take a revision; `write_closed` follows when those of all taggers that answer the message are seen."""
        key = revision.session, revision.segment
        self._scores.setdefault(key, {})[revision.tagger] = revision.scores or {}
        if revision.tagger == PUNCTUATION:
            self._spans[key] = revision.spans
            if revision.final:
                self._closed[key] = None

    def write_closed(self) -> Iterator[bytes]:
        """Yield the lines of segments that have closed, or that were edited later."""
        for key in self._closed:
            yield from self._write(key)
            self._forget(key)
        self._closed = {}

    def finish(self) -> Iterator[bytes]:
        """Yield the lines of the segments that are open at the end of the input."""
        for key in self._texts:
            yield from self._write(key)

    def _write(self, key: tuple[str, str]) -> Iterator[bytes]:
        text = self._texts.get(key, "")
        spans = [x for x in self._spans.get(key, ()) if text[x.start : x.end] == x.text]
        written = "".join(c if c.isprintable() else " " for c in write_marks(text, spans)).strip()
        if written:
            yield f"{written}{self._describe_scores(key)}\n".encode()

    def _describe_scores(self, key: tuple[str, str]) -> str:
        found = [
            f"{name} {score:.2f}"
            for tagger, limits in self._thresholds.items()
            for name, score in self._scores.get(key, {}).get(tagger, {}).items()
            if score >= limits.get(name, 1.0)
        ]
        return f"  [{', '.join(found)}]" if found else ""

    def _forget(self, key: tuple[str, str]) -> None:
        self._texts.pop(key, None)
        self._spans.pop(key, None)
        self._scores.pop(key, None)
