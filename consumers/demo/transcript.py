"""What a reader of both topics knows of a live transcript: the texts as sent, the labels as they stand, their flips.

Nothing here draws; see render.py.
"""

from dataclasses import dataclass, field

from stream.messages.types import Cause, Message, Revision, Span, Update


@dataclass(frozen=True, slots=True)
class Flip:
    """A published label that changed: what stood, what stands now (None: nothing), and why."""

    segment: str
    before: str
    was: str
    after: str
    now: str | None
    cause: Cause


@dataclass(slots=True)
class Turn:
    """One segment: its newest text and the spans of each tagger's newest revision."""

    segment: str
    text: str = ""
    final: bool = False
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    """By tagger."""
    flipped: dict[str, set[int]] = field(default_factory=dict)
    """By tagger: ids of spans that its newest revision changed."""

    def shown(self, tagger: str) -> list[Span]:
        """A tagger's spans that still fit the text: it may be newer than the revision."""
        return [span for span in self.spans.get(tagger, ()) if self.text[span.start : span.end] == span.text]


class Transcript:
    """Texts and labels of the sessions that are shown."""

    def __init__(self) -> None:
        self.turns: dict[tuple[str, str], Turn] = {}

    def hear(self, message: Message) -> None:
        """An update went in."""
        if not isinstance(message, Update):
            return
        turn = self.turns.setdefault((message.session, message.segment), Turn(message.segment))
        turn.text = turn.text + message.text if message.mode == "append" else message.text

    def label(self, revision: Revision) -> list[Flip]:
        """A revision came out; returns what it took back or changed."""
        turn = self.turns.setdefault((revision.session, revision.segment), Turn(revision.segment))
        old = {span.id: span for span in turn.spans.get(revision.tagger, ())}
        new = {span.id: span for span in revision.spans}
        flips = [
            Flip(turn.segment, old[x.id].text, x.was.label, new[x.id].text, new[x.id].label, x.cause)
            for x in revision.changed
            if x.id in old
        ]
        flips += [Flip(turn.segment, x.text, x.label, x.text, None, x.cause) for x in revision.retracted]
        turn.spans[revision.tagger] = revision.spans
        turn.final = revision.final
        turn.flipped[revision.tagger] = {x.id for x in revision.changed}
        return flips
