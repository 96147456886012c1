"""Which messages of a chat are hidden, from revisions: hide, and show again when a later revision takes it back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class HiddenMessages:
    """State of a moderating application.

    Attributes:
        tagger: whose revisions decide.
        threshold: of the score of the whole message; choose it on messages of your own.
        score: name of that score. Without such a score the surest span decides.
    """

    tagger: str = "moderation"
    threshold: float = 0.7
    score: str = "toxicity"
    hidden: set[tuple[str, str]] = field(default_factory=set)
    """Session and segment of the messages that are hidden now."""
    _read: dict[str, int] = field(default_factory=dict)

    def apply(self, revision: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Apply a revision; yields what is to be done: hide, show or forget, and the session and segment."""
        session = revision["session"]
        if revision.get("type") != "revision" or revision["tagger"] != self.tagger:
            return
        if revision["rev"] <= self._read.get(session, 0):
            return  # a repeat
        self._read[session] = revision["rev"]
        message = session, revision["segment"]
        surest = max((span.get("score", 1.0) for span in revision["spans"]), default=0.0)
        toxic = revision.get("scores", {}).get(self.score, surest) >= self.threshold
        if toxic and message not in self.hidden:
            self.hidden.add(message)
            yield "hide", *message
        elif not toxic and message in self.hidden:
            self.hidden.discard(message)
            deleted = {gone["cause"] for gone in revision["retracted"]} == {"delete"}
            yield "forget" if deleted else "show", *message
