"""Hybrid labeller: texts to tokens, restart points to token indices, and the encoder's scores to labels.

Several heads of one trunk are several taggers that share a pass. A segment has one restart point, the earliest that any
head asks for, and all heads decode their labels from there. A head may therefore decode words again that its own labels
would not have restarted; it then gives them the labels of the newest states. This does not affect final labels, nor,
under a policy that looks at no labels (always, never, last), revisions.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from encoder.heads.reader import NOT_GROWN
from encoder.restart.policies import RestartPolicy
from encoder.restart.standing import pack_batch
from encoder.session.plan import SegmentPlan as EncoderPlan
from encoder.session.plan import SegmentWords
from encoder.session.pool import run_plans
from encoder.session.session_encoder import SessionEncoder
from encoder.tagger import Tagger
from encoder.tokenizer.incremental import EMPTY, Encoded
from stream.labelling.batch_decode import DecodedSegment, SegmentScores, decode_segments
from stream.labelling.label_records import (
    NO_SCORES,
    UNKNOWN,
    UNREAD_WORDS,
    LabelledWords,
    pack_words,
    unpack_words,
)
from stream.labelling.labeller import LabellerCounters, Labelling, PlanWork, SavedSegment
from stream.labelling.lazy_labelling import LazyLabelling
from stream.labelling.sliced_decode import CollectedScores

_NOTHING = PlanWork()


@dataclass(slots=True)
class _SegmentPlan(SegmentScores):
    """Plan of one segment in one step."""

    labels: "HybridSessionLabels" = None  # type: ignore[assignment]
    segment: str = ""
    is_edit: bool = False
    """Whether the segment was closed before."""
    token: int = 0
    """First changed token."""
    awaits_policy: bool = False
    """Whether the policy has not chosen the restart point yet."""
    encoder_plan: EncoderPlan | None = None


class HybridSessionLabels:
    """Labels of one session."""

    def __init__(
        self,
        labeller: "HybridLabeller",
        policy: RestartPolicy,
        saved: Sequence[SavedSegment] = (),
        context: bytes = b"",
    ) -> None:
        self._labeller = labeller
        self._tagger = tagger = labeller._tagger
        self._heads = heads = labeller.heads
        self._names = {head.name: len(head.text_scores.names) if head.text_scores else 0 for head in heads}
        """The taggers, with the number of their text scores."""
        self._fingerprint = tagger.encoder.identity
        self.policy = policy
        self._session = tagger.sessions.open_session()
        self._open: dict[str, LabelledWords] = {}
        self._closed: dict[str, LabelledWords] = {}
        self._restored = {x.segment: x for x in saved}
        """Restored segments that have not been used yet."""
        self.uncomputed: list[SavedSegment] = []
        """Closed segments that wait to be computed, in order of closing."""
        self._previews: dict[str, SessionEncoder] = {}
        """By open segment that was last labelled without the closed context (`_preview`): what computes it."""
        self._catches_up = False
        self._reanchors = 0
        self._taken_over = bool(context)
        """Whether the closed context was restored, and not computed since."""
        if context:
            self._session.load_context(context)

    def plan_segment(self, segment: str, text: str, closing: bool) -> _SegmentPlan:
        """Tokenise the new text of a segment and cut off what was rewritten."""
        self._restore(segment)
        before = self._open.get(segment) or self._closed.get(segment)
        return self._plan(
            segment, closing, before, *self._tagger.tokenizer.update(before.encoded if before else EMPTY, text)
        )

    def plan_in_slices(self, segment: str, text: str, closing: bool) -> Generator[None, None, _SegmentPlan]:
        """Do what `plan_segment` does, slice by slice."""
        yield from self.restore_in_slices(segment)
        before = self._open.get(segment) or self._closed.get(segment)
        found = yield from self._tagger.tokenizer.update_in_slices(before.encoded if before else EMPTY, text)
        return self._plan(segment, closing, before, *found)

    def _plan(
        self, segment: str, closing: bool, before: LabelledWords | None, encoded: Encoded, word: int, token: int
    ) -> _SegmentPlan:
        """Plan a tokenised text; `word` and `token` are the first that changed."""
        is_edit = segment in self._closed
        plan = _SegmentPlan(
            encoded, before, 0, NOT_GROWN, closing and not is_edit, (), [], [], self, segment, is_edit, token
        )
        void = False
        if before is not None:
            plan.kept_words = _count_kept_words(before.encoded, encoded, token)
            void = True in before.void
            if void:
                plan.unread_heads = before.void
            elif not closing and not is_edit and encoded.continues(before.encoded):
                plan.first_changed = word
            joins = closing and segment in self._previews
            if not void and token == len(before.encoded.ids) == len(encoded.ids) and not joins:
                return plan  # only white space or case changed: the encoder sees the same tokens
        if is_edit:
            # Always computed: closed words hold no scores, even if the context has these very tokens.
            plan.encoder_plan, plan.kept_words = self._session.plan_edit(segment, encoded.ids), 0
            self._want_words(plan, plan.encoder_plan, 0)
        elif closing:
            self.begin_restart(plan, 0)
        else:
            plan.awaits_policy = True
        return plan

    def begin_restart(self, plan: _SegmentPlan, word: int) -> None:
        """Compute the labels of an open segment from that word on, or from an earlier one."""
        encoded, plan.awaits_policy = plan.encoded, False
        session = self._choose_session(plan)
        plan.encoder_plan = session.plan_update(plan.segment, encoded.ids, plan.token, int(encoded.word_token[word]))
        self._want_words(plan, plan.encoder_plan, plan.kept_words)

    def _choose_session(self, plan: _SegmentPlan) -> SessionEncoder:
        """Choose what computes an open segment: the session, or one without the closed context.

        A session that was taken over or evicted computes its closed context, some hundred tokens, before its next
        label. Where the policy does not allow that now (`RestartPricing.allow_context`), the open segment is labelled
        without it. Its closing always has it.
        """
        segment, missing = plan.segment, self._session.missing_tokens
        allow = getattr(self.policy, "allow_context", None)
        if plan.closing or not missing or allow is None or allow(missing, self._taken_over):
            self._taken_over = False
            self._drop_preview(segment)
            return self._session
        if segment not in self._previews:
            self._previews[segment] = self._tagger.sessions.open_session()
            self._session.delete_segment(segment)  # it will not see the texts in between
        return self._previews[segment]

    def _drop_preview(self, segment: str) -> None:
        preview = self._previews.pop(segment, None)
        if preview is not None:
            preview.free()

    def plan_close(self, plan: _SegmentPlan) -> EncoderPlan:
        """Plan the closing, after the last update was computed, that gives the labels of the same text fed whole."""
        found = self._session.plan_close(plan.segment)
        self._want_words(plan, found, 0)
        return found

    def _want_words(self, plan: _SegmentPlan, compute: EncoderPlan, kept: int) -> None:
        """Let an encoder that reads words read those of a plan; the first `kept` words keep their labels."""
        tagger = self._tagger
        if tagger.encoder.reads_words:
            records = plan.before.heads if plan.before is not None else ()
            places = self._labeller.places
            compute.words = SegmentWords(plan.encoded.word_token, kept, records, places, len(tagger.heads))

    def take_reanchors(self) -> int:
        """Return the number of re-anchors since the last call."""
        new, self._reanchors = self._session.reanchors - self._reanchors, self._session.reanchors
        return new

    def store_labels(self, plan: _SegmentPlan, words: LabelledWords) -> None:
        """Store the decoded labels of a segment."""
        if plan.closing or plan.is_edit:
            words.scores = NO_SCORES
            self._open.pop(plan.segment, None)
            self._closed[plan.segment] = words
        else:
            previewed = plan.segment in self._previews
            words.standing = UNKNOWN if previewed else self._session.standing_read(plan.segment)
            self._open[plan.segment] = words

    def delete_segment(self, segment: str) -> None:
        """Remove a segment, also from the closed context."""
        self._closed.pop(segment, None)
        self._open.pop(segment, None)
        self._restored.pop(segment, None)
        self.uncomputed = [x for x in self.uncomputed if x.segment != segment]
        self._drop_preview(segment)
        self._session.delete_segment(segment)

    def forget_segment(self, segment: str) -> None:
        """Forget a closed segment that can no longer be edited."""
        self._closed.pop(segment, None)
        self._restored.pop(segment, None)
        self._session.forget_segment(segment)

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        """Return the saved reading of a restored segment by each tagger."""
        self._restore(segment)
        words, closed = self._open.get(segment) or self._closed[segment], segment in self._closed
        return tuple(LazyLabelling(words, i, head, closed, _NOTHING, spans=False) for i, head in enumerate(self._heads))

    def save_segment(self, segment: str) -> dict[str, bytes]:
        """Return the label records of a segment with the model's fingerprint; empty for an unknown segment."""
        for x in self.uncomputed:
            if x.segment == segment:
                return dict(x.words)
        if segment in self._restored:
            return {name: self._restored[segment].words.get(name) or UNREAD_WORDS for name in self._names}
        words = self._open.get(segment) or self._closed.get(segment)
        return {} if words is None else pack_words(words, tuple(self._names), self._fingerprint)

    def save_context(self) -> tuple[bytes, ...]:
        """Return the closed context with the model's fingerprint; nothing while closed segments wait to be computed."""
        return () if self.behind else (self._fingerprint + self._session.save_context(),)

    def free(self) -> None:
        """Release the session."""
        for segment in list(self._previews):
            self._drop_preview(segment)
        self._session.free()

    @property
    def behind(self) -> bool:
        """Tell whether closed segments wait to be computed (`SessionLabels.behind`)."""
        return bool(self.uncomputed)

    @property
    def missing_tokens(self) -> int:
        """Tokens of closed segments that the next plan computes again (`SessionLabels.missing_tokens`)."""
        return self._session.missing_tokens + sum(len(x.text) // 4 for x in self.uncomputed)

    def holds_segment(self, segment: str) -> bool:
        """Tell whether the states of an open segment are cached (`SessionLabels.holds_segment`)."""
        return self._session.holds_segment(segment)

    def restore_in_slices(self, segment: str) -> Generator[None, None, None]:
        """Compute the closed segments that wait, and decode what was saved of `segment`; yields between slices."""
        if self.uncomputed and not self._catches_up:
            self._catches_up = True
            while self.uncomputed:
                x = self.uncomputed[0]
                yield from self._labeller.label_in_slices(self, x.segment, x.text, True)
                del self.uncomputed[0]
            self._catches_up = False
        if segment in self._restored:
            encoded, _, _ = yield from self._tagger.tokenizer.update_in_slices(EMPTY, self._restored[segment].text)
            self._restore_words(segment, encoded)

    def _restore(self, segment: str) -> None:
        """Do what `restore_in_slices` does, at once."""
        if self.uncomputed:
            deque(self.restore_in_slices(segment), maxlen=0)
        self._restore_words(segment)

    def _restore_words(self, segment: str, encoded: Encoded | None = None) -> None:
        """Decode the words of a restored segment."""
        restored = self._restored.pop(segment, None)
        if restored is None:
            return
        encoded = encoded or self._tagger.tokenizer.encode(restored.text)
        words = unpack_words(encoded, restored.words, self._names, self._fingerprint)
        if restored.closed:
            self._closed[segment] = words
        else:
            self._open[segment] = words
            self._session.resume_segment(segment, encoded.ids, words.standing)


class HybridLabeller:
    """Labels the texts of many sessions over one trunk.

    Args:
        tagger: the trunk and its heads.
        heads: names of the heads to use, in the order of their readings; None uses all.
    """

    def __init__(self, tagger: Tagger, heads: Sequence[str] | None = None) -> None:
        by_name = {head.name: head for head in tagger.heads}
        self.heads = tagger.heads if heads is None else tuple(by_name[name] for name in heads)
        self.passes = (tuple(head.name for head in self.heads),)
        self.text_scores = {head.name: head.text_scores.names for head in self.heads if head.text_scores}
        self.precisions = (tagger.encoder.precision,)
        self.checkpoints = (tagger.encoder.identity.hex(),)
        self.span_labels = {
            head.name: frozenset(x[2:] for x in head.labels if x[:2] in ("B-", "I-")) for head in self.heads
        }
        self.places = tuple(list(by_name).index(head.name) for head in self.heads)
        """Of each head its place among those of the encoder."""
        self._tagger = tagger
        self._reanchors = 0

    def open_session(
        self, policy: RestartPolicy, saved: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> HybridSessionLabels:
        """Begin a session or continue a saved one (`Labeller.open_session`)."""
        closed = [x for x in saved if x.closed]
        identity = self._tagger.encoder.identity
        for context in contexts:
            if context.startswith(identity):
                return HybridSessionLabels(self, policy, saved, context[len(identity) :])
        still_open = [x._replace(words={}) if closed else x for x in saved if not x.closed]
        labels = HybridSessionLabels(self, policy, still_open)
        labels.uncomputed = closed
        return labels

    def choose_restarts(self, plans: Sequence[_SegmentPlan]) -> None:
        """Let the policy choose the restart point of each segment: the earliest that any head asks for."""
        awaiting = [plan for plan in plans if plan.awaits_policy]
        for policy in {id(plan.labels.policy): plan.labels.policy for plan in awaiting}.values():
            mine = [plan for plan in awaiting if plan.labels.policy is policy]
            sizes = [(plan.kept_words, len(plan.encoded.word_start)) for plan in mine]
            data = [[plan.before.heads[i] if plan.before else b"" for plan in mine] for i in range(len(self.heads))]
            for plan, word in zip(mine, policy.restart_points(pack_batch(data, sizes)), strict=True):
                plan.labels.begin_restart(plan, word)

    def compute(self, plans: Sequence[_SegmentPlan]) -> None:
        """Compute the updates of all sessions together, then the closings."""
        self.choose_restarts(plans)
        self._run_encoder([(plan, plan.encoder_plan) for plan in plans if plan.encoder_plan is not None])
        self._run_encoder([(plan, plan.labels.plan_close(plan)) for plan in plans if plan.closing])
        self._reanchors += sum(plan.labels.take_reanchors() for plan in plans)

    def decode(self, plans: Sequence[_SegmentPlan]) -> list[tuple[Labelling, ...]]:
        """Decode the computed plans, packed."""
        found: list[tuple[Labelling, ...]] = []
        for plan, read in zip(plans, decode_segments(plans, self.heads, self._tagger.config.columns), strict=True):
            found.append(self._store(plan, read))
        return found

    def label_in_slices(
        self, labels: HybridSessionLabels, segment: str, text: str, closing: bool
    ) -> Generator[None, None, tuple[Labelling, ...]]:
        """Label one long text slice by slice (`Labeller.label_in_slices`)."""
        plan = yield from labels.plan_in_slices(segment, text, closing)
        self.choose_restarts([plan])
        scores = CollectedScores(plan, self._tagger.config.columns)
        if plan.encoder_plan is not None:
            yield from self._run_in_slices(plan, plan.encoder_plan, scores)
        if plan.closing:
            yield from self._run_in_slices(plan, labels.plan_close(plan), scores)
        self._reanchors += labels.take_reanchors()
        return self._store(plan, (yield from scores.decode(self.heads)))

    def _store(self, plan: _SegmentPlan, read: DecodedSegment) -> tuple[Labelling, ...]:
        """Store the words of a plan, and give the reading of each head."""
        plan.labels.store_labels(plan, read.words)
        closed = plan.closing or plan.is_edit
        settles = plan.segment not in plan.labels._previews  # risks were measured with the closed context
        readings = [
            LazyLabelling(read.words, number, head, closed, read.work, growth, head.span_model(closed), settles=settles)
            for number, (head, growth) in enumerate(zip(self.heads, read.growth, strict=True))
        ]
        return tuple(readings)

    def _run_in_slices(self, plan: _SegmentPlan, compute: EncoderPlan, scores: CollectedScores) -> Iterator[None]:
        plan.encoder_passes.append(compute)
        for _ in self._tagger.sessions.run_in_slices(compute):
            scores.take_rows(compute)
            yield
        scores.take_rows(compute)

    def counters(self) -> LabellerCounters:
        """Return the counts so far."""
        work, encoder = self._tagger.sessions.work, self._tagger.encoder
        used = encoder.pages_in_use
        return LabellerCounters(work.evictions, self._reanchors, work.flops, used, encoder.pages_total - used)

    def _run_encoder(self, wanted: list[tuple[_SegmentPlan, EncoderPlan]]) -> None:
        if not wanted:
            return
        for (plan, compute), rows in zip(wanted, run_plans(self._tagger.sessions, [x for _, x in wanted]), strict=True):
            plan.rows.extend(rows)
            plan.encoder_passes.append(compute)


def _count_kept_words(before: Encoded, after: Encoded, token: int) -> int:
    """Return the number of leading words that both texts share, given that they share the first `token` tokens."""
    words = len(before.word_start)
    if token == len(before.ids) and words <= len(after.word_start) and after.word_token[words] == token:
        return words  # the text only got new words
    return int(min(x.word_token[1:].searchsorted(token, side="right") for x in (before, after)))
