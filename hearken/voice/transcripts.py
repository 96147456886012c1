"""Transcripts of a recogniser, as voice frameworks pass them on, to updates of segments.

The frameworks have no id of a segment. Here, a segment is all that one speaker says up to the next final transcript. An
interim one replaces the text of the open segment; a delta is added to it. An interruption of the bot is no end: the
user goes on speaking.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from hearken.messages import Update

HeardKind = Literal["interim", "preflight", "final", "delta"]


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript that a recogniser gave.

    Attributes:
        kind: "interim" and "preflight" (also called eager) replace the text of the open segment, "final" closes it, a
            "delta" is added to it.
        text: its text.
        speaker: who spoke; empty if nobody says.
        item: id of the piece of speech, of recognisers that transcribe several at once; empty for others.
        time: seconds at which it began, if known.
        source: what the framework calls it, such as the id of a frame; comes back with its labels.
    """

    kind: HeardKind
    text: str
    speaker: str = ""
    item: str = ""
    time: float | None = None
    source: object = None


@dataclass(slots=True)
class _OpenSegment:
    name: str
    text: str = ""
    turn_over: bool = False
    """Whether a turn ended since its last text; it is usual that its final transcript comes later."""


@dataclass(slots=True)
class SegmentTracker:
    """Segments of one conversation: each speaker is a session of its own, because two may speak at once.

    Args:
        session: name of the session; a speaker's name is added to it.
    """

    session: str
    _open: dict[tuple[str, str], _OpenSegment] = field(default_factory=dict)
    """By speaker and item."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def read(self, heard: Heard) -> list[Update]:
        """Return the updates that a transcript causes: none for a repeat, two if it shows that a turn is over."""
        key, text = self._key_of(heard), self.text_of(heard)
        segment, updates = self._open.get(key), list[Update]()
        replaces = heard.kind in ("interim", "preflight")
        if segment is not None and segment.turn_over and replaces and not _continues(segment.text, text):
            updates.append(self._close(key))
            segment = None
        if segment is None:
            if not text.strip():
                return updates
            segment = self._open[key] = _OpenSegment(str(next(self._numbers)))
        final = heard.kind == "final"
        if not final and text == segment.text:
            return updates
        if final:
            del self._open[key]
        segment.text, segment.turn_over = text, False
        return [*updates, self._make_update(heard.speaker, segment, final, heard.time)]

    def text_of(self, heard: Heard) -> str:
        """Return the whole text of a transcript's segment: that of a delta goes on from the open segment's.

        To be asked before `read` takes the transcript.
        """
        segment = self._open.get(self._key_of(heard))
        return (segment.text if segment else "") + heard.text if heard.kind == "delta" else heard.text

    def _key_of(self, heard: Heard) -> tuple[str, str]:
        """Key of a transcript's segment; a final one that names no item closes the only open segment of its speaker."""
        key = heard.speaker, heard.item
        if heard.kind == "final" and not heard.item and key not in self._open:
            others = [x for x in self._open if x[0] == heard.speaker]
            return others[0] if len(others) == 1 else key
        return key

    def end_turn(self) -> None:
        """Take note that a turn has begun or ended: a text that does not continue an open one is another segment."""
        for segment in self._open.values():
            segment.turn_over = True

    def close_all(self) -> list[Update]:
        """Close what is open, with the text that it has: nothing more will come."""
        return [self._close(key) for key in list(self._open)]

    def _close(self, key: tuple[str, str]) -> Update:
        return self._make_update(key[0], self._open.pop(key), True, None)

    def _make_update(self, speaker: str, segment: _OpenSegment, final: bool, time: float | None) -> Update:
        session = f"{self.session}/{speaker}" if speaker else self.session
        return Update(
            session=session, segment=segment.name, text=segment.text, final=final, speaker=speaker or None, time=time
        )


def _continues(before: str, after: str) -> bool:
    """Whether a text may be the one before, rewritten: they begin with the same word, or one of them is empty."""
    first = [text.split(maxsplit=1)[:1] for text in (before, after)]
    words = ["".join(filter(str.isalnum, x[0])).casefold() if x else "" for x in first]
    return words[0] == words[1] or not all(words)
