"""Statistics of an engine: what came in, what was computed for it, and what was published."""

import msgspec

from stream.labelling.labeller import PlanWork
from stream.revisions.spans import LabelFlips


class EngineStats(msgspec.Struct):
    """Counts of one step, or of all steps since the engine started; no field ever falls.

    Words are those of the tagger. Taggers that share a pass count a word once, others count it once each. A word
    *arrives* when an update brings it or changes a word at or before it in its segment. It is *recomputed* each time
    its tail states are computed, so recomputed / arrived is 1 for append only.
    """

    messages: int = 0
    """Messages that were answered."""
    updates: int = 0
    """Updates that changed a text or closed a segment."""
    repeats: int = 0
    """Updates that did not change a text."""
    coalesced: int = 0
    """Updates that were skipped because a newer one of the same segment was waiting."""
    failures: int = 0
    """Updates for which labelling failed; the session was reset."""
    revisions: int = 0
    sessions: int = 0
    """Sessions opened."""
    restored_other_format: int = 0
    """Restored sessions that an engine of another number format wrote last."""
    words: int = 0
    words_recomputed: int = 0
    tail_tokens: int = 0
    appends: int = 0
    """Updates that computed only their new words."""
    local_restarts: int = 0
    full_restarts: int = 0
    closing_restarts: int = 0
    """Closings that computed the segment again."""
    forced_closings: int = 0
    """Segments that were closed because their session had too many open ones."""
    restarts_shortened: int = 0
    """Restarts that began later than the policy asked for, because of overload or of a spent budget."""
    contexts_deferred: int = 0
    """Updates that were labelled without the closed context of their session (`RestartPricing.allow_context`)."""
    forgone_changes: float = 0.0
    """Sum of the label changes that their omitted part was expected to bring (`encoder.restart.expected_gain`)."""
    active_restarts: int = 0
    """Restarts of any kind that changed at least one existing label."""
    flips_input: int = 0
    """Labels of words that changed where the input was rewritten."""
    flips_model: int = 0
    """Labels of words that changed although the input up to them did not."""
    evictions: int = 0
    reanchors: int = 0
    flops: int = 0

    def add(self, other: "EngineStats") -> None:
        """Add the counts of `other` to these."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def count_work(self, work: PlanWork, closing: bool, flips: LabelFlips) -> None:
        """Count what one pass computed for an update, and which labels it changed."""
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
