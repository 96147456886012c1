"""Closing of segments at sentence ends, for sources that write one endless segment.

A segment that never closes grows until it is refused, and its labels are never final. `AutoClose` stands between such a
source and the engine: when a sentence end is published and some words have come after it, the sentence becomes a closed
segment of its own, and what follows opens the next one. Segment `talk` goes on as `talk~2`, `talk~3`, and so on.

The engine gets ordinary messages, so final labels are those of the closed texts fed whole. Where a text is cut depends
on the labels that are published by then. So this is used where nothing is read twice (`hearken tag`, a WebSocket), and
not in the Kafka service, which must come to the same messages again after a crash.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from stream.messages.errors import InputError
from stream.messages.types import Delete, End, Message, Revision, Span, Update, WordTime
from stream.messages.validation import check_length, check_message
from stream.messages.word_times import word_extents
from stream.sentences.split import ENDS, MARKS, PUNCTUATION, end_of_word

WORDS_AFTER = 8
"""Words that must follow a published sentence end before the sentence closes."""
MOST_WORDS = 256
"""Words after which a segment closes even if no sentence end was found: at its last comma, else between two words."""
REMEMBERED = 64
"""Closed parts of a segment, and closed segments of a session, that a source can still delete."""
_PART_NAME = re.compile(r"(.*)~[0-9]+", re.DOTALL)


@dataclass(slots=True)
class _EndlessSegment:
    """The open part of one segment, and what has closed before it."""

    name: str
    number: int = 1
    text: str = ""
    words: tuple[WordTime, ...] | None = None
    """Times of the words of `text`, if all are known."""
    last: Update | None = None
    spans: tuple[Span, ...] = ()
    """Of the open part, as last published."""
    ended: bool = False
    """Whether the source has closed it; then its text is not kept."""
    closed_characters: int = 0
    closed_words: int = 0
    closed_text: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def part_name(self, number: int) -> str:
        return self.name if number == 1 else f"{self.name}~{number}"

    def continued_by(self, update: Update) -> tuple[str, tuple[WordTime, ...] | None]:
        """Return the text and the times of the open part after an update.

        Raises:
            InputError: the update changes text that has been closed, or the text is too long.
        """
        if update.mode == "append":
            check_length(len(self.text) + len(update.text))
            joined = update.text[:1].strip() and self.text[-1:].strip()
            known = () if not self.text else self.words
            given = update.words or (None if update.text.strip() else ())
            whole = known is not None and given is not None and not joined
            return self.text + update.text, (known or ()) + (given or ()) if whole else None
        closed = update.text[: self.closed_characters]
        if len(closed) < self.closed_characters or _hash(closed).digest() != self.closed_text.digest():
            changed = f"the first {self.closed_characters} characters of segment {self.name!r}"
            raise InputError("bad_text", f"auto-close has closed {changed}: send them unchanged, or append")
        words = None if update.words is None else update.words[self.closed_words :]
        return update.text[self.closed_characters :], words

    def close_part(self, end: int) -> Update:
        """Close the open part at a character; the rest is the next part. Returns the closing."""
        assert self.last is not None
        closed, name = self.text[:end], self.part_name(self.number)
        count = len(word_extents(closed))
        self.closed_text.update(closed.encode())
        self.closed_characters += end
        self.closed_words += count
        self.number += 1
        self.text, self.words = self.text[end:], None if self.words is None else self.words[count:]
        self.spans = ()
        return replace(self.last, segment=name, text=closed.rstrip(), mode="replace", words=None, time=None, final=True)


class AutoClose:
    """Gives the messages of endless segments that the engine is to get. Holds the text of open parts only.

    Args:
        words_after: words that must follow a sentence end.
        most_words: words after which a segment closes in any case.
    """

    def __init__(self, words_after: int = WORDS_AFTER, most_words: int = MOST_WORDS) -> None:
        self._words_after = words_after
        self._most_words = max(most_words, words_after + 1)
        self._sessions: dict[str, dict[str, _EndlessSegment]] = {}

    def translate(self, message: Message) -> list[Message]:
        """Return what the engine is to get for a message: closings that are due by now, then the message itself.

        Raises:
            InputError: the message is not valid, or it changes text that has been closed; nothing has changed.
        """
        check_message(message)
        if isinstance(message, End):
            self._sessions.pop(message.session, None)
            return [message]
        if _PART_NAME.fullmatch(message.segment):
            raise InputError("bad_id", f"segment {message.segment!r}: auto-close names parts with ~ and a number")
        segments = self._sessions.setdefault(message.session, {})
        segment = segments.get(message.segment) or _EndlessSegment(message.segment)
        if isinstance(message, Delete):
            segments.pop(message.segment, None)
            first = max(1, segment.number - REMEMBERED + 1)
            return [replace(message, segment=segment.part_name(i)) for i in range(first, segment.number + 1)]
        text, words = segment.continued_by(message)
        closings = list(self._close(segment, text))
        if closings:
            text, words = _after(text, words, sum(cut for cut, _ in closings))
        segments[message.segment] = segment
        update = replace(message, segment=segment.part_name(segment.number))
        if closings or message.mode == "replace":
            update = replace(update, text=text, words=words, mode="replace")
        segment.text, segment.words, segment.last = text, words, message
        if segment.ended or message.final:
            _end_segment(segments, segment)
        return [*(closing for _, closing in closings), update]

    def see(self, revision: Revision) -> None:
        """Take note of what is published of an open part; all other revisions are passed over."""
        if revision.tagger != PUNCTUATION or revision.final:
            return
        part = _PART_NAME.fullmatch(revision.segment)
        segment = self._sessions.get(revision.session, {}).get(part[1] if part else revision.segment)
        if segment is not None and segment.part_name(segment.number) == revision.segment:
            segment.spans = revision.spans

    def drop_session(self, session: str) -> None:
        """Forget a session that the engine has refused."""
        self._sessions.pop(session, None)

    def _close(self, segment: _EndlessSegment, text: str) -> Iterator[tuple[int, Update]]:
        """Close the parts that are due and that the next update leaves as they are; yields lengths and closings."""
        begun = 0
        for cut in [] if segment.ended else self._cuts(segment):
            if text.startswith(segment.text[: cut - begun], begun):
                yield cut - begun, segment.close_part(cut - begun)
                begun = cut

    def _cuts(self, segment: _EndlessSegment) -> list[int]:
        """Return the characters at which the open text is to be cut, in order; empty if it stays open."""
        extents = word_extents(segment.text)
        if len(extents) <= self._words_after:
            return []
        last = extents[-self._words_after][0] if self._words_after else len(segment.text)
        spans = [x for x in segment.spans if segment.text[x.start : x.end] == x.text]
        behind = [(x.label, end_of_word(segment.text, x.end)) for x in spans if x.label in MARKS]
        behind = [(label, at) for label, at in behind if at <= last and segment.text[at - 1].isspace()]
        cuts = {at for label, at in behind if label in ENDS}
        if not cuts and len(extents) >= self._most_words:
            cuts = {max((at for _, at in behind), default=last)}
        return sorted(cuts)


def _after(text: str, words: tuple[WordTime, ...] | None, cut: int) -> tuple[str, tuple[WordTime, ...] | None]:
    return text[cut:], None if words is None else words[len(word_extents(text[:cut])) :]


def _end_segment(segments: dict[str, _EndlessSegment], segment: _EndlessSegment) -> None:
    """Note that the source has closed a segment, and forget the oldest closed ones beyond those that are remembered."""
    segment.ended = True
    segment.text, segment.words, segment.spans = "", None, ()
    ended = [name for name, x in segments.items() if x.ended]
    for name in ended[: max(0, len(ended) - REMEMBERED)]:
        del segments[name]


def _hash(text: str) -> "hashlib._Hash":
    return hashlib.sha256(text.encode())
