"""State of a live transcript for display: the texts as sent, the current labels, and the labels that changed."""

from dataclasses import dataclass, field

from stream.messages.types import Cause, Message, Revision, Span, Update


@dataclass(frozen=True, slots=True)
class Flip:
    """Change of a published label."""

    segment: str
    before: str
    """Text of the span before the change."""
    was: str
    """Label before the change."""
    after: str
    now: str | None
    """Label after the change; None: the span was retracted."""
    cause: Cause


@dataclass(slots=True)
class Turn:
    """Newest text of one segment, and the spans of each tagger's newest revision."""

    segment: str
    text: str = ""
    final: bool = False
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    """By tagger."""
    flipped: dict[str, set[int]] = field(default_factory=dict)
    """By tagger: ids of the spans that its newest revision changed."""

    def visible_spans(self, tagger: str) -> list[Span]:
        """Spans of a tagger that fit the text, which may be newer than the revision."""
        return [span for span in self.spans.get(tagger, ()) if self.text[span.start : span.end] == span.text]


class Transcript:
    """Segments of all sessions by session and segment."""

    def __init__(self) -> None:
        self.turns: dict[tuple[str, str], Turn] = {}

    def add_message(self, message: Message) -> None:
        """Apply a message that was sent."""
        if not isinstance(message, Update):
            return
        turn = self.turns.setdefault((message.session, message.segment), Turn(message.segment))
        turn.text = turn.text + message.text if message.mode == "append" else message.text

    def apply_revision(self, revision: Revision) -> list[Flip]:
        """Apply a revision that was read; returns the labels that it changed or retracted."""
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
