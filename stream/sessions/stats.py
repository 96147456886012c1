"""Counters of the stream: what came in, what was computed for it, and what was published."""

import msgspec

from stream.labelling.labeller import PlanWork
from stream.revisions.spans import LabelFlips


class EngineStats(msgspec.Struct):
    """Counts of one step, or of all steps since the engine started; every field only ever rises.

    Words are those of the tagger; taggers that share a pass share them, others count them each. A word *arrives* when
    an update brings it or changes a word at or before it in its segment; it is *recomputed* each time its tail states
    are computed, so recomputed / arrived is 1 for append only.
    """

    messages: int = 0
    """Messages whose effects are complete."""
    updates: int = 0
    """Updates that changed a text or closed a segment."""
    repeats: int = 0
    """Updates that said nothing new."""
    coalesced: int = 0
    """Updates that were skipped because a newer one of their segment was waiting."""
    failures: int = 0
    """Updates given up because labelling them failed; the session was reset."""
    revisions: int = 0
    sessions: int = 0
    """Sessions opened."""
    words: int = 0
    words_recomputed: int = 0
    tail_tokens: int = 0
    appends: int = 0
    """Updates that computed nothing but their new words."""
    local_restarts: int = 0
    full_restarts: int = 0
    closing_restarts: int = 0
    """Closings that had to compute the segment again."""
    restarts_shortened: int = 0
    """Restarts that went back less far than the policy asked for, because updates had to wait or a budget was spent."""
    changes_undone: float = 0.0
    """Label changes that these were expected to bring beyond what was done (encoder.worth), counted at each of them."""
    active_restarts: int = 0
    """Restarts of any kind that changed at least one label that stood."""
    flips_input: int = 0
    """Labels of words that changed where the input was rewritten (docs/measuring.md)."""
    flips_model: int = 0
    """Labels of words that changed although the input up to them stood."""
    evictions: int = 0
    reanchors: int = 0
    flops: int = 0

    def add(self, other: "EngineStats") -> None:
        """Add the counts of `other` to this one's."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def count_work(self, work: PlanWork, closing: bool, flips: LabelFlips) -> None:
        """Count what one pass over an update computed, and what that changed."""
        self.words_recomputed += work.words
        self.tail_tokens += work.tokens
        self.flips_input += flips.input
        self.flips_model += flips.model
        if work.kind == "append":
            self.appends += 1
        elif work.kind != "none":
            self.closing_restarts += closing
            self.local_restarts += not closing and work.kind == "local"
            self.full_restarts += not closing and work.kind == "full"
            self.active_restarts += bool(flips.input or flips.model)
