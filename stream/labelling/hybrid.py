"""The hybrid encoder as a labeller: where texts become tokens, restart points token numbers, and scores labels.

Several heads of one trunk are several taggers that share a pass: one restart point a segment, the earliest that any of
them wants, from which on all of them read their labels anew. So a head may read words anew that its own doubts would
have let stand: it says of them what the newest states say. Final labels are not touched by that, and under a policy
that looks at no labels (always, never, last) neither are revisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from encoder.heads.head import Head
from encoder.heads.reader import NOT_GROWN
from encoder.heads.stability import stability_at
from encoder.heads.viterbi import labels_to_spans
from encoder.heads.word_record import WORD
from encoder.restart.policies import RestartPolicy
from encoder.restart.standing import pack_batch
from encoder.session.pool import SegmentPlan as EncoderPlan
from encoder.session.pool import run_plans
from encoder.tagger import Tagger
from encoder.tokenizer.incremental import EMPTY, Encoded
from stream.labelling.batch_decode import SegmentScores, read_parts
from stream.labelling.label_records import NO_SCORES, UNREAD_WORDS, LabelledWords, pack_words, unpack_words
from stream.labelling.labeller import Growth, LabellerCounters, Labelling, PlanWork, SavedSegment

_NOTHING = PlanWork()


@dataclass(slots=True)
class _SegmentPlan(SegmentScores):
    """One segment's part of a step."""

    live: "HybridSessionLabels" = None  # type: ignore[assignment]
    segment: str = ""
    edits: bool = False
    """Whether the segment had closed."""
    token: int = 0
    """First token that is not as it was."""
    asks: bool = False
    """Whether the policy is yet to say where labels are read anew."""
    compute: EncoderPlan | None = None


class HybridSessionLabels:
    """The labels of one session."""

    def __init__(
        self,
        tagger: Tagger,
        heads: Sequence[Head],
        policy: RestartPolicy,
        kept: Sequence[SavedSegment] = (),
        context: bytes = b"",
    ) -> None:
        self._tagger = tagger
        self._heads = heads
        self._names = tuple([head.name for head in heads])
        self._fingerprint = tagger.encoder.identity
        self.policy = policy
        self._session = tagger.sessions.open_session()
        self._open: dict[str, LabelledWords] = {}
        self._closed: dict[str, LabelledWords] = {}
        self._kept = {x.segment: x for x in kept}
        """Restored and not touched yet."""
        self._reanchors = 0
        if context:
            self._session.load_context(context)

    def plan_segment(self, segment: str, text: str, closing: bool) -> _SegmentPlan:
        """Cut what was rewritten."""
        self._recall(segment)
        is_edit = segment in self._closed
        before = (self._closed if is_edit else self._open).get(segment)
        encoded, word, token = self._tagger.tokenizer.update(before.encoded if before else EMPTY, text)
        plan = _SegmentPlan(
            encoded, before, 0, NOT_GROWN, closing and not is_edit, (), [], [], self, segment, is_edit, token
        )
        void = False
        if before is not None:
            plan.keep = _whole_words(before.encoded, encoded, token)
            void = True in before.void
            if void:
                plan.anew = before.void
            elif not closing and not is_edit and text.startswith(before.encoded.text):
                plan.changed = word
            if not void and token == len(before.encoded.ids) == len(encoded.ids):
                return plan  # white space or case: nothing that the encoder sees
        if is_edit:
            # Always computed: closed words hold no scores, even if the context has these very tokens.
            plan.compute, plan.keep = self._session.plan_edit(segment, encoded.ids), 0
        elif closing:
            self.begin(plan, 0)
        else:
            plan.asks = True
        return plan

    def begin(self, plan: _SegmentPlan, word: int) -> None:
        """Read an open segment's labels anew from that word on, or from an earlier one."""
        encoded, plan.asks = plan.encoded, False
        plan.compute = self._session.plan_update(plan.segment, encoded.ids, plan.token, int(encoded.word_token[word]))

    def plan_close(self, segment: str) -> EncoderPlan:
        """After the segment's last update ran: what makes its labels those of the same text fed whole."""
        return self._session.plan_close(segment)

    def take_reanchors(self) -> int:
        """Re-anchors since this was asked last."""
        new, self._reanchors = self._session.reanchors - self._reanchors, self._session.reanchors
        return new

    def keep(self, plan: _SegmentPlan, words: LabelledWords) -> None:
        """Labels were read: they stand."""
        if plan.closing or plan.edits:
            words.scores = NO_SCORES
            self._open.pop(plan.segment, None)
            self._closed[plan.segment] = words
        else:
            words.standing = self._session.standing_read(plan.segment)
            self._open[plan.segment] = words

    def delete_segment(self, segment: str) -> None:
        """Take a segment back, out of the context too."""
        self._closed.pop(segment, None)
        self._open.pop(segment, None)
        self._kept.pop(segment, None)
        self._session.delete_segment(segment)

    def forget_segment(self, segment: str) -> None:
        """A closed segment will not be edited any more."""
        self._closed.pop(segment, None)
        self._kept.pop(segment, None)
        self._session.forget_segment(segment)

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """A restored segment's words as they stood."""
        self._recall(segment)
        words, closed = self._open.get(segment) or self._closed[segment], segment in self._closed
        return tuple(_LazyLabelling(words, number, None, closed, _NOTHING) for number in range(len(self._heads)))

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """Labels as they stand, with the model's fingerprint; empty for a segment that is not known."""
        if segment in self._kept:
            return {name: self._kept[segment].words.get(name) or UNREAD_WORDS for name in self._names}
        words = self._open.get(segment) or self._closed.get(segment)
        return {} if words is None else pack_words(words, self._names, self._fingerprint)

    def save_context(self) -> tuple[bytes, ...]:
        """The closed context, with the model's fingerprint."""
        return (self._fingerprint + self._session.save_context(),)

    def free(self) -> None:
        """The session is over."""
        self._session.free()

    def _recall(self, segment: str) -> None:
        """Make words again of a segment that was restored."""
        kept = self._kept.pop(segment, None)
        if kept is None:
            return
        encoded = self._tagger.tokenizer.encode(kept.text)
        words = unpack_words(encoded, kept.words, self._names, self._fingerprint)
        if kept.closed:
            self._closed[segment] = words
        else:
            self._open[segment] = words
            self._session.resume_segment(segment, encoded.ids, words.standing)


class HybridLabeller:
    """Labels the texts of many sessions over one trunk.

    Args:
        tagger: the trunk and its heads.
        heads: names of those that are wanted, in the order of their readings; None: all of them.
    """

    def __init__(self, tagger: Tagger, heads: Sequence[str] | None = None) -> None:
        by_name = {head.name: head for head in tagger.heads}
        self.heads = tagger.heads if heads is None else tuple(by_name[name] for name in heads)
        self.passes = (tuple(head.name for head in self.heads),)
        self._tagger = tagger
        self._reanchors = 0

    def open_session(
        self, policy: RestartPolicy, kept: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> HybridSessionLabels:
        """Begin a session or go on with a saved one (see the protocol)."""
        closed = [x for x in kept if x.closed]
        identity = self._tagger.encoder.identity
        for context in contexts:
            if context.startswith(identity):
                return HybridSessionLabels(self._tagger, self.heads, policy, kept, context[len(identity) :])
        still_open = [x._replace(words={}) if closed else x for x in kept if not x.closed]
        live = HybridSessionLabels(self._tagger, self.heads, policy, still_open)
        for x in closed:
            plan = live.plan_segment(x.segment, x.text, closing=True)
            self.compute([plan])
            self.decode([plan])
        return live

    def choose_restarts(self, plans: Sequence[_SegmentPlan]) -> None:
        """Ask the sessions' policy where each segment's labels are read anew: the earliest that any head wants."""
        asking = [plan for plan in plans if plan.asks]
        for policy in {id(plan.live.policy): plan.live.policy for plan in asking}.values():
            mine = [plan for plan in asking if plan.live.policy is policy]
            sizes = [(plan.keep, len(plan.encoded.word_start)) for plan in mine]
            data = [[plan.before.heads[i] if plan.before else b"" for plan in mine] for i in range(len(self.heads))]
            for plan, word in zip(mine, policy.restart_points(pack_batch(data, sizes)), strict=True):
                plan.live.begin(plan, word)

    def compute(self, plans: Sequence[_SegmentPlan]) -> None:
        """Compute the updates of all sessions together, then what closings need beyond that."""
        self.choose_restarts(plans)
        self._run([(plan, plan.compute) for plan in plans if plan.compute is not None])
        self._run([(plan, plan.live.plan_close(plan.segment)) for plan in plans if plan.closing])
        self._reanchors += sum(plan.live.take_reanchors() for plan in plans)

    def decode(self, plans: Sequence[_SegmentPlan]) -> list[tuple[Labelling, ...]]:
        """Decode all that was computed, packed."""
        found: list[tuple[Labelling, ...]] = []
        for plan, read in zip(plans, read_parts(plans, self.heads, self._tagger.config.columns), strict=True):
            plan.live.keep(plan, read.words)
            closed = plan.closing or plan.edits
            readings = [
                _LazyLabelling(read.words, number, head.labels, closed, read.work, growth)
                for number, (head, growth) in enumerate(zip(self.heads, read.growth, strict=True))
            ]
            found.append(tuple(readings))
        return found

    def counters(self) -> LabellerCounters:
        """What was done so far."""
        work, encoder = self._tagger.sessions.work, self._tagger.encoder
        used = encoder.pages_in_use
        return LabellerCounters(work.evictions, self._reanchors, work.flops, used, encoder.pages_total - used)

    def _run(self, wanted: list[tuple[_SegmentPlan, EncoderPlan]]) -> None:
        if not wanted:
            return
        for (plan, compute), rows in zip(wanted, run_plans(self._tagger.sessions, [x for _, x in wanted]), strict=True):
            plan.rows.extend(rows)
            plan.ran.append(compute)


_MADE = frozenset({"starts", "ends", "labels", "probability", "stability", "spans"})


class _LazyLabelling(Labelling):
    """A reading whose arrays are made when somebody looks at them: after most updates nobody does."""

    __slots__ = ("_closed", "_head", "_names", "_words")

    def __init__(
        self,
        words: LabelledWords,
        head: int,
        names: tuple[str, ...] | None,
        closed: bool,
        work: PlanWork,
        growth: Growth | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "_words", words)
        put(self, "_head", head)
        put(self, "_names", names)
        put(self, "_closed", closed)
        put(self, "work", work)
        put(self, "growth", growth)

    def __getattr__(self, name: str) -> Any:
        if name not in _MADE:
            raise AttributeError(name)
        words = self._words
        n, put = len(words.encoded.word_start), object.__setattr__
        labels, (probability, stability) = np.empty(n, np.int32), np.empty((2, n), np.float32)
        _unpack(np.frombuffer(words.heads[self._head], WORD), self._closed, labels, probability, stability)
        put(self, "starts", words.encoded.word_start)
        put(self, "ends", words.encoded.word_end)
        put(self, "labels", labels)
        put(self, "probability", probability)
        put(self, "stability", stability)
        put(self, "spans", () if self._names is None else labels_to_spans(labels, self._names))
        return getattr(self, name)


@numba.njit(cache=True, nogil=True)
def _unpack(
    words: NDArray[np.void],
    closed: bool,
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    stability: NDArray[np.float32],
) -> None:
    """Fill what a reading says of each word; a label of a closed segment stands for certain."""
    for i in range(len(words)):
        word = words[i]
        labels[i], probability[i] = word.labels, word.probability
        stability[i] = 1 if closed else stability_at(word.base, word.drift, len(words) - np.int64(word.seen))


def _whole_words(before: Encoded, after: Encoded, token: int) -> int:
    """Words that are the same in both texts, given that their first `token` tokens are."""
    words = len(before.word_start)
    if token == len(before.ids) and words <= len(after.word_start) and after.word_token[words] == token:
        return words  # nothing but new words
    return int(min(x.word_token[1:].searchsorted(token, side="right") for x in (before, after)))
