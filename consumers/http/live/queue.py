"""Queue of the moderators' page: the closed messages whose score of one tagger is at or above a threshold."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from stream.messages.types import Span

MAX_QUEUED = 500
"""Limit of messages in one `queue` frame; the newest are sent, the number of the others is said."""


class QueueRequest(msgspec.Struct, frozen=True, tag="queue"):
    """The frame by which a page asks for the messages of all sessions that its moderator has to see."""

    tagger: str
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    name: str | None = None
    """Text score or label of the tagger; None: any of them."""

    def includes(self, spans: Sequence[Span], scores: Mapping[str, float]) -> bool:
        """Whether a message with these spans and text scores of the tagger belongs into the queue."""
        return self.score(spans, scores) >= self.threshold

    def score(self, spans: Sequence[Span], scores: Mapping[str, float]) -> float:
        """Return the highest of the text scores that are asked for; without such a score, that of the spans' labels."""
        found = [x for name, x in scores.items() if self.name in (None, name)]
        if not found:
            found = [1.0 if x.score is None else x.score for x in spans if self.name in (None, x.label)]
        return max(found, default=0.0)
