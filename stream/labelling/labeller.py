"""What the engine needs of taggers: texts in, labelled words out. The hybrid encoder fits it, and so does a fake.

A labeller has one tagger or several. Those of one *pass* share what is computed: words, restart point and work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoder.restart.policies import RestartPolicy

Kind = Literal["none", "append", "local", "full"]
"""Where a restart began: nowhere, at the first new word, before it, or at the start of the window."""


class PlanWork(NamedTuple):
    """What one plan computed."""

    kind: Kind = "none"
    words: int = 0
    """Words of the segment whose tail states were computed, each as often as it was."""
    tokens: int = 0
    """Tokens that went through the tail, those of other segments computed again included."""


class Growth(NamedTuple):
    """How a reading differs from the one before it of its segment, whose text is the beginning of the new one."""

    arrived: int
    """Words from the first on that is not as it was."""
    rewritten: int | None
    """First character of that word, if it stood and went on."""
    by_input: int
    """Labels that changed on words that stood, because of the input."""
    by_model: int
    """The same, because of the model."""
    spans_unchanged: bool
    """The same spans are in the same places."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """The words of one segment and how one tagger labels them; offsets are characters, end exclusive."""

    starts: NDArray[np.int32]  # (words,)
    ends: NDArray[np.int32]  # (words,)
    labels: NDArray[np.int32]  # (words,) numbers of BIO labels
    probability: NDArray[np.float32]  # (words,) of the label
    stability: NDArray[np.float32]  # (words,) probability that the label stands at the close; 1 once it is closed
    spans: Sequence[tuple[int, int, str]]
    """First word, end word (exclusive) and label of each span, in order."""
    work: PlanWork
    """What its pass computed: the same for all taggers of the pass."""
    growth: Growth | None = None
    """None: the text did more than grow, or nobody looked."""

    def replace(self, **changed: Any) -> "Labelling":
        """The same with other arrays or spans, whatever kind of reading it is; nobody has looked how that grew."""
        kept = {name: getattr(self, name) for name in _FIELDS}
        return Labelling(**(kept | changed))


_FIELDS = ("starts", "ends", "labels", "probability", "stability", "spans", "work")


_NONE = np.zeros(0, np.int32)
NO_WORDS = Labelling(_NONE, _NONE, _NONE, np.zeros(0, np.float32), np.zeros(0, np.float32), (), PlanWork())

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
"""A labeller's own kind of plan: one segment of one session in one step. Nobody else looks into it."""


class SavedSegment(NamedTuple):
    """A segment as it was saved."""

    segment: str
    text: str
    closed: bool
    words: Mapping[str, bytes]
    """What `SessionLabels.save` gave; taggers may be missing, and others may be there."""


class SessionLabels(Protocol[P_co]):
    """The labels of one session's text; at most one plan is under way."""

    def plan_segment(self, segment: str, text: str, closing: bool) -> P_co:
        """Cut what was rewritten. A new segment opens; a closed one is edited whole."""
        ...

    def delete_segment(self, segment: str) -> None:
        """Take a segment back, out of the context too; an unknown one is ignored."""
        ...

    def forget_segment(self, segment: str) -> None:
        """A closed segment will not be edited any more; it stays in the context."""
        ...

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """The words of a segment that was restored, as each tagger's labels stood; without spans and work."""
        ...

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """What `SavedSegment.words` is to be, by tagger; empty if the segment is not known here."""
        ...

    def save_context(self) -> tuple[bytes, ...]:
        """What closed segments left to be seen, for `Labeller.open`; one for each model, that tells which it is of."""
        ...

    def free(self) -> None:
        """The session is over."""
        ...


class LabellerCounters(NamedTuple):
    """What a labeller did since it was made, beyond what the plans say, and what it holds."""

    evictions: int = 0
    reanchors: int = 0
    flops: int = 0
    pages_used: int = 0
    """Pages of the cache that hold something now."""
    pages_free: int = 0


def read_single(labeller: "Labeller[P]", plans: Sequence[P]) -> list[Labelling]:
    """Decode plans of a labeller that has one tagger."""
    return [reading for (reading,) in labeller.decode(plans)]


class Labeller(Protocol[P]):
    """Labels the texts of many sessions."""

    @property
    def passes(self) -> tuple[tuple[str, ...], ...]:
        """The taggers' names in revisions, by pass."""
        ...

    def open_session(
        self, policy: RestartPolicy, kept: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> SessionLabels[P]:
        """Begin a session, or go on with one as it was saved.

        Computes nothing, unless no context is of this model: then the closed segments are computed whole, one after
        the other, as the best that is left of it. A tagger that a segment was not kept for, or that another model
        kept, has no labels there; it reads all of the segment's words with the next plan of it.

        Args:
            policy: where restarts begin.
            kept: its segments; closed ones in order of closing.
            contexts: what `SessionLabels.save_context` gave; empty if nothing had closed.
        """
        ...

    def choose_restarts(self, plans: Sequence[P]) -> None:
        """Choose where plans of different sessions begin; for those that were left out `run` does it."""
        ...

    def compute(self, plans: Sequence[P]) -> None:
        """Compute plans of different sessions together."""
        ...

    def decode(self, plans: Sequence[P]) -> list[tuple[Labelling, ...]]:
        """Decode plans that ran: all words of each one's segment; a reading for each tagger, in order of `passes`."""
        ...

    def counters(self) -> LabellerCounters:
        """What was done so far."""
        ...
