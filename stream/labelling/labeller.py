"""Labeller: protocol between the engine and the taggers. Texts go in, labelled words come out.

A labeller has one tagger or several. Taggers of one *pass* share its computation: words, restart point and work. A
*reading* of a segment by a tagger is one `Labelling`.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.heads.span_model import SpanModel
from encoder.kernel_cache import kernel
from encoder.restart.policies import RestartPolicy

RestartKind = Literal["none", "append", "local", "full"]
"""Where a restart began: nowhere, at the first new word, before it, or at the start of the window."""


class PlanWork(msgspec.Struct, frozen=True, gc=False):
    """Work that one plan computed."""

    kind: RestartKind = "none"
    words: int = 0
    """Words of the segment whose tail states were computed, counted once for each time."""
    tokens: int = 0
    """Tokens that went through the tail, including those of other segments that were computed again."""


class Growth(msgspec.Struct, frozen=True, gc=False):
    """Difference between a reading and the previous one of its segment, whose text the new one continues."""

    arrived: int
    """Number of words from the first changed one on."""
    rewritten: int | None
    """First character of that word, if it is an old one that became longer."""
    by_input: int
    """Labels of old words that changed because of the input."""
    by_model: int
    """Labels of old words that changed because of the model."""
    spans_unchanged: bool
    """Whether both have the same spans in the same places."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """Words of one segment with the labels of one tagger; offsets are characters, end exclusive."""

    starts: NDArray[np.int32]  # (words,)
    ends: NDArray[np.int32]  # (words,)
    labels: NDArray[np.int32]  # (words,) indices of BIO labels
    probability: NDArray[np.float32]  # (words,) of the label
    stability: NDArray[np.float32]  # (words,) probability that the label is unchanged at the close; 1 when closed
    spans: Sequence[tuple[int, int, str]]
    """First word, end word (exclusive) and label of each span, in order."""
    work: PlanWork
    """Work of its pass: the same for all taggers of the pass."""
    growth: Growth | None = None
    """None if the text was rewritten, or the growth was not measured."""
    span_model: SpanModel | None = None
    """Confidence in whole spans; None: a span is as sure as its least sure word, and every one when closed."""
    cleaned: str | None = None
    """The text as the model sees it (`encoder.tokenizer.cleaning`), if it is known."""
    scores: Mapping[str, float] | None = None
    """Probabilities of the text scores by name (`encoder.heads.text_scores`), of all words of the segment as it stands;
    None if the tagger has none, the segment has no word, or it was restored without them."""

    def confidence(self, spans: Sequence[tuple[int, int, str]]) -> NDArray[np.float32]:
        """Return (spans, 2) the stability and the probability of spans of these words."""
        if self.span_model is not None:
            return self.span_model.predict(spans, self.stability, self.probability)
        found = np.empty((len(spans), 2), np.float32)
        _find_least(np.array([x[:2] for x in spans], np.int64).reshape(-1, 2), self.stability, self.probability, found)
        return found

    def extents(self) -> tuple[list[int], list[int]]:
        """Return the first characters of the spans, and their ends (exclusive); do not change the lists."""
        start, end = self.starts.item, self.ends.item
        return [start(first) for first, _, _ in self.spans], [end(last - 1) for _, last, _ in self.spans]

    def stable_run(self, offset: int, threshold: float, labelled: float | None = None) -> tuple[int, int]:
        """Return the longest run of words (first, end) behind a character that are all at least that stable.

        It has no word (first = end) if a word begins before the character and ends behind it.

        Args:
            offset: character before which no word of the run begins.
            threshold: least stability; from 1 on, no word has it.
            labelled: likewise, of a word with a label; None: the same.
        """
        first = int(self.starts.searchsorted(offset))
        if first and self.ends[first - 1] > offset:
            return first, first
        plain = least_stability(threshold)
        marked = plain if labelled is None else least_stability(labelled)
        unstable = self.stability[first:] < np.where(self.labels[first:] != 0, marked, plain)
        return first, first + int(unstable.argmax()) if unstable.any() else len(self.starts)

    def replace(self, **changed: Any) -> "Labelling":
        """Return a copy with other arrays or spans, and without growth."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return Labelling(**(fields | changed))


def least_stability(threshold: float) -> np.float32:
    """Return a threshold to compare with: one that no stability reaches, which rounding may make 1, if it is 1."""
    return np.float32(threshold if threshold < 1 else 2)


_FIELDS = ("starts", "ends", "labels", "probability", "stability", "spans", "work", "span_model", "cleaned", "scores")


@kernel(nogil=True)
def _find_least(
    bounds: NDArray[np.int64],
    stability: NDArray[np.float32],
    probability: NDArray[np.float32],
    found: NDArray[np.float32],
) -> None:
    for i in range(len(bounds)):
        first, end = bounds[i]
        found[i, 0], found[i, 1] = stability[first:end].min(), probability[first:end].min()


_NONE = np.zeros(0, np.int32)
NO_WORDS = Labelling(_NONE, _NONE, _NONE, np.zeros(0, np.float32), np.zeros(0, np.float32), (), PlanWork())

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
"""Plan of a labeller: one segment of one session in one step. It is opaque to others."""


class SavedSegment(NamedTuple):
    """One segment of a saved session."""

    segment: str
    text: str
    closed: bool
    words: Mapping[str, bytes]
    """Result of `SessionLabels.save_segment`, by tagger; may lack taggers of this labeller, and contain others."""


class SessionLabels(Protocol[P_co]):
    """Labels of the segments of one session; at most one plan is in progress."""

    def plan_segment(self, segment: str, text: str, closing: bool) -> P_co:
        """Plan the labelling of the new text of a segment: cut off what was rewritten.

        A new segment opens; a closed one is computed whole.
        """

    @property
    def behind(self) -> bool:
        """Whether closed segments wait to be computed, because no context of this model was restored."""

    @property
    def missing_tokens(self) -> int:
        """Number of tokens of closed segments that the next plan computes again, because they are not cached."""

    def holds_segment(self, segment: str) -> bool:
        """Tell whether the states of an open segment are cached, so that its next plan computes no more than changed.

        It may be false although they are.
        """

    def restore_in_slices(self, segment: str) -> Iterator[None]:
        """Compute the closed segments that wait, and read what was saved of `segment`; yields between slices."""

    def delete_segment(self, segment: str) -> None:
        """Remove a segment, also from the closed context; an unknown one is ignored."""

    def forget_segment(self, segment: str) -> None:
        """Forget a closed segment that can no longer be edited; it stays in the closed context."""

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """Return the saved reading of a restored segment by each tagger, without spans and work."""

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """Return the records of a segment for `SavedSegment.words`, by tagger; empty if the segment is unknown."""

    def save_context(self) -> tuple[bytes, ...]:
        """Return the closed context of each model for `Labeller.open_session`; each names its model."""

    def free(self) -> None:
        """Release the session."""


class LabellerCounters(NamedTuple):
    """Work of a labeller since it was made, beyond that of the plans, and its memory."""

    evictions: int = 0
    reanchors: int = 0
    flops: int = 0
    pages_used: int = 0
    """Pages of the cache in use."""
    pages_free: int = 0


def decode_single(labeller: "Labeller[P]", plans: Sequence[P]) -> list[Labelling]:
    """Decode plans of a labeller that has one tagger."""
    return [reading for (reading,) in labeller.decode(plans)]


class Labeller(Protocol[P]):
    """Labels the texts of many sessions."""

    @property
    def passes(self) -> tuple[tuple[str, ...], ...]:
        """Names of the taggers, as in revisions, by pass."""

    @property
    def text_scores(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the text scores by tagger, of those taggers that have any."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """For each of `passes` the number format that it computes in (`encoder.runtime.interface.Encoder.precision`).

        Engines of another one may label a few words otherwise.
        """

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """For each of `passes` the digest of its checkpoint (`Checkpoint.identity`), as hex.

        The same digest and number format give the same text the same labels and scores.
        """

    @property
    def span_labels(self) -> Mapping[str, frozenset[str]]:
        """Labels of the spans of each tagger."""

    def open_session(
        self, policy: RestartPolicy, saved: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> SessionLabels[P]:
        """Begin a session, or continue a saved one. Computes nothing.

        If no context is of this model, the closed segments are computed whole before the session's next plan
        (`SessionLabels.behind`), one after the other, which is the closest to their context that can be had. A tagger
        without saved labels of this model for a segment has none; it labels all words of the segment with its next
        plan.

        Args:
            policy: where restarts begin.
            saved: its segments; closed ones in order of closing.
            contexts: from `SessionLabels.save_context`; empty if no segment had closed.
        """

    def choose_restarts(self, plans: Sequence[P]) -> None:
        """Choose the restart points of plans of different sessions; `compute` does it for plans that were left out."""

    def compute(self, plans: Sequence[P]) -> None:
        """Compute plans of different sessions together."""

    def decode(self, plans: Sequence[P]) -> list[tuple[Labelling, ...]]:
        """Decode computed plans: a reading of the whole segment by each tagger, in order of `passes`."""

    def label_in_slices(
        self, labels: Any, segment: str, text: str, closing: bool
    ) -> Generator[None, None, tuple[Labelling, ...]]:
        """Plan, compute and decode the new text of one segment, and yield after each slice, of about one full window.

        Plans of other sessions may be computed meanwhile. The readings are those of `plan_segment`, `compute` and
        `decode`, bit for bit.

        Args:
            labels: the session's, from `open_session`.
            segment, text, closing: as for `SessionLabels.plan_segment`.
        """

    def counters(self) -> LabellerCounters:
        """Return the counts so far; may be called while a step runs."""
