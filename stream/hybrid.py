"""The hybrid encoder as a labeller: where texts become tokens, restart points token numbers, and scores labels.

Several heads of one trunk are several taggers that share a pass: one restart point a segment, the earliest that any of
them wants, from which on all of them read their labels anew. So a head may read words anew that its own doubts would
have let stand: it says of them what the newest states say. Final labels are not touched by that, and under a policy
that looks at no labels (always, never, last) neither are revisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from encoder.decode import NOTHING, labels_to_spans
from encoder.restart import RestartPolicy, Standing, most_doubtful
from encoder.session import Plan as EncoderPlan
from encoder.session import Rows, run_plans
from encoder.tagger import Head, Tagger
from encoder.tokenizer import EMPTY, Encoded
from stream.kept import UNREAD_WORDS, Labels, Words, begin_words, pack_words, unpack_words
from stream.labeller import Counters, Kept, Kind, Reading, Work


@dataclass(slots=True)
class _Plan:
    """One segment's part of a step."""

    live: "HybridLive"
    segment: str
    closing: bool
    words: Words
    """As many as the new text has; those from `keep` on are to be read."""
    keep: int
    compute: EncoderPlan | None
    anew: tuple[bool, ...]
    """Heads that have read nothing of the segment yet, as its words were kept without them."""
    rows: list[Rows] = field(default_factory=list)
    ran: list[EncoderPlan] = field(default_factory=list)


class HybridLive:
    """The labels of one session."""

    def __init__(
        self,
        tagger: Tagger,
        heads: Sequence[Head],
        policy: RestartPolicy,
        kept: Sequence[Kept] = (),
        context: bytes = b"",
    ) -> None:
        self._tagger = tagger
        self._heads = heads
        self._policy = policy
        self._session = tagger.sessions.open()
        self._open: dict[str, Words] = {}
        self._closed: dict[str, Words] = {}
        self._kept = {x.segment: x for x in kept}
        """Restored and not touched yet."""
        self._reanchors = 0
        if context:
            self._session.load(context)

    def plan(self, segment: str, text: str, closing: bool) -> _Plan:
        """Cut what was rewritten, choose the restart point."""
        self._recall(segment)
        is_edit = segment in self._closed
        before = (self._closed if is_edit else self._open).get(segment)
        encoded, _, token = self._tagger.tokenizer.update(before.encoded if before else EMPTY, text)
        keep = _whole_words(before.encoded, encoded, token) if before else 0
        words = self._stand(before, encoded, 0 if is_edit and token < len(encoded.ids) else keep)
        void = before is not None and before.void
        anew = tuple(head.void for head in before.heads) if before and void else (False,) * len(self._heads)
        plan = _Plan(self, segment, closing and not is_edit, words, keep, None, anew)
        if before is not None and not void and token == len(before.encoded.ids) == len(encoded.ids):
            return plan  # white space or case: nothing that the encoder sees
        if is_edit:
            plan.compute, plan.keep = self._session.plan_edit(segment, encoded.ids, again=void), 0
        else:
            point = 0 if closing else self._point(words, keep)
            plan.compute = self._session.plan_update(segment, encoded.ids, token, int(encoded.word_token[point]))
        return plan

    def plan_close(self, segment: str) -> EncoderPlan:
        """After the segment's last update ran: what makes its labels those of the same text fed whole."""
        return self._session.plan_close(segment)

    def take_reanchors(self) -> int:
        """Re-anchors since this was asked last."""
        new, self._reanchors = self._session.reanchors - self._reanchors, self._session.reanchors
        return new

    def keep(self, plan: _Plan) -> None:
        """Labels were read: they stand."""
        if plan.closing or plan.segment in self._closed:
            plan.words.scores = plan.words.scores[:0]
            self._open.pop(plan.segment, None)
            self._closed[plan.segment] = plan.words
        else:
            plan.words.standing = self._session.standing(plan.segment)
            self._open[plan.segment] = plan.words

    def delete(self, segment: str) -> None:
        """Take a segment back, out of the context too."""
        self._closed.pop(segment, None)
        self._open.pop(segment, None)
        self._kept.pop(segment, None)
        self._session.delete(segment)

    def forget(self, segment: str) -> None:
        """A closed segment will not be edited any more."""
        self._closed.pop(segment, None)
        self._kept.pop(segment, None)

    def reading(self, segment: str) -> tuple[Reading, ...]:
        """A restored segment's words as they stood."""
        self._recall(segment)
        words = self._open.get(segment) or self._closed[segment]
        return tuple(_reading(words, labels, segment in self._closed, (), Work()) for labels in words.heads)

    def save(self, segment: str) -> dict[str, bytes]:
        """Labels as they stand, with the model's fingerprint; empty for a segment that is not known."""
        if segment in self._kept:
            return {name: self._kept[segment].words.get(name) or UNREAD_WORDS for name in self._names}
        words = self._open.get(segment) or self._closed.get(segment)
        return {} if words is None else pack_words(words, self._names, self._fingerprint)

    def save_context(self) -> tuple[bytes, ...]:
        """The closed context, with the model's fingerprint."""
        return (self._fingerprint + self._session.save(),)

    def is_closed(self, segment: str) -> bool:
        """Whether the segment has closed; its labels can only be edited."""
        return segment in self._closed

    def free(self) -> None:
        """The session is over."""
        self._session.free()

    @property
    def _fingerprint(self) -> bytes:
        return self._tagger.encoder.identity

    @property
    def _names(self) -> list[str]:
        return [head.name for head in self._heads]

    def _recall(self, segment: str) -> None:
        """Make words again of a segment that was restored."""
        kept = self._kept.pop(segment, None)
        if kept is None:
            return
        encoded = self._tagger.tokenizer.encode(kept.text)
        words = unpack_words(encoded, self._tagger.config.columns, kept.words, self._names, self._fingerprint)
        if kept.closed:
            self._closed[segment] = words
        else:
            self._open[segment] = words
            self._session.resume(segment, encoded.ids, words.standing)

    def _point(self, words: Words, word: int) -> int:
        """The earliest that the policy wants for any head, among the words that stand unchanged."""
        count = words.encoded.words
        standings = [
            Standing(x.entropy[:word], x.probability[:word], x.stability(word, count), x.seen[:word], count - word)
            for x in words.heads
        ]
        return min(max(self._policy.point(most_doubtful(standings)), 0), word)

    def _stand(self, before: Words | None, encoded: Encoded, keep: int) -> Words:
        """Arrays as long as the new text, with what stands of its first `keep` words."""
        words = begin_words(encoded, self._tagger.config.columns, len(self._heads))
        if before is not None:
            words.scores[: min(keep, len(before.scores))] = before.scores[:keep]
            for labels, old in zip(words.heads, before.heads, strict=True):
                labels.take(old, keep)
        return words


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

    def open(self, policy: RestartPolicy, kept: Sequence[Kept] = (), contexts: Sequence[bytes] = ()) -> HybridLive:
        """Begin a session or go on with a saved one (see the protocol)."""
        closed = [x for x in kept if x.closed]
        identity = self._tagger.encoder.identity
        for context in contexts:
            if context.startswith(identity):
                return HybridLive(self._tagger, self.heads, policy, kept, context[len(identity) :])
        still_open = [x._replace(words={}) if closed else x for x in kept if not x.closed]
        live = HybridLive(self._tagger, self.heads, policy, still_open)
        for x in closed:
            plan = live.plan(x.segment, x.text, closing=True)
            self.run([plan])
            self.read([plan])
        return live

    def run(self, plans: Sequence[_Plan]) -> None:
        """Compute the updates of all sessions together, then what closings need beyond that."""
        self._run([(plan, plan.compute) for plan in plans if plan.compute is not None])
        self._run([(plan, plan.live.plan_close(plan.segment)) for plan in plans if plan.closing])
        self._reanchors += sum(plan.live.take_reanchors() for plan in plans)

    def read(self, plans: Sequence[_Plan]) -> list[tuple[Reading, ...]]:
        """Decode all that was computed, packed."""
        for plan in plans:
            _put_scores(plan)
        firsts = [_first_word(plan) for plan in plans]
        for number, head in enumerate(self.heads):
            wanted = [
                (plan.words, plan.words.heads[number], 0 if plan.anew[number] else first)
                for plan, first in zip(plans, firsts, strict=True)
            ]
            _decode(head, [x for x in wanted if x[2] < x[0].encoded.words])
        for plan in plans:
            plan.live.keep(plan)
        return [self._readings(plan) for plan in plans]

    def counters(self) -> Counters:
        """What was done so far."""
        work, encoder = self._tagger.sessions.work, self._tagger.encoder
        used = encoder.pages_in_use
        return Counters(work.evictions, self._reanchors, work.flops, used, encoder.pages_total - used)

    def _run(self, wanted: list[tuple[_Plan, EncoderPlan]]) -> None:
        if not wanted:
            return
        for (plan, compute), rows in zip(wanted, run_plans(self._tagger.sessions, [x for _, x in wanted]), strict=True):
            plan.rows.extend(rows)
            plan.ran.append(compute)

    def _readings(self, plan: _Plan) -> tuple[Reading, ...]:
        closed, work = plan.closing or plan.live.is_closed(plan.segment), _work(plan)
        return tuple(
            _reading(plan.words, labels, closed, labels_to_spans(labels.labels, head.labels), work)
            for head, labels in zip(self.heads, plan.words.heads, strict=True)
        )


def _decode(head: Head, parts: list[tuple[Words, Labels, int]]) -> None:
    """Let a head read words from a first one on, packed; the label before it stands."""
    if not parts:
        return
    counts = [words.encoded.words - first for words, _, first in parts]
    starts = np.cumsum([0, *counts], dtype=np.int64)
    before = np.array([labels.labels[first - 1] if first else NOTHING for _, labels, first in parts], np.int32)
    columns = np.concatenate([words.scores[first:, head.first : head.end] for words, _, first in parts])
    decoded = head.decoder.decode(columns[:, : len(head.labels)], starts, before)
    right = np.concatenate([np.arange(count, dtype=np.int32)[::-1] for count in counts])
    settled = head.stability.settle(columns, decoded.labels, decoded.probability, decoded.entropy, right)
    for (words, labels, first), a, b in zip(parts, starts[:-1], starts[1:], strict=True):
        labels.labels[first:] = decoded.labels[a:b]
        labels.probability[first:] = decoded.probability[a:b]
        labels.entropy[first:] = decoded.entropy[a:b]
        labels.base[first:], labels.drift[first:] = settled.base[a:b], settled.drift[a:b]
        labels.seen[first:] = words.encoded.words


def _reading(words: Words, labels: Labels, closed: bool, spans: Sequence[tuple[int, int, str]], work: Work) -> Reading:
    n = words.encoded.words
    return Reading(
        starts=words.encoded.word_start,
        ends=words.encoded.word_end,
        labels=labels.labels,
        probability=labels.probability,
        # a label of a closed segment stands for certain
        stability=np.ones(n, np.float32) if closed else labels.stability(n, n),
        spans=spans,
        work=work,
    )


def _whole_words(before: Encoded, after: Encoded, token: int) -> int:
    """Words that are the same in both texts, given that their first `token` tokens are."""
    return int(min(x.word_token[1:].searchsorted(token, side="right") for x in (before, after)))


def _put_scores(plan: _Plan) -> None:
    """Take over the scores of each word whose last token was computed."""
    last = plan.words.encoded.word_token[1:] - 1  # (words,)
    for rows in plan.rows:
        a, b = last.searchsorted((rows.first, rows.first + len(rows.logits)))
        plan.words.scores[a:b] = rows.logits[last[a:b] - rows.first]


def _first_word(plan: _Plan) -> int:
    """The first word to decode: of what was computed; at the close all, so that no label remembers its interims."""
    if plan.closing:
        return 0
    stands = plan.compute.stands if plan.compute is not None else 0
    last = plan.words.encoded.word_token[1:] - 1
    return min([plan.keep, *(int(last.searchsorted(max(rows.first, stands))) for rows in plan.rows)])


def _work(plan: _Plan) -> Work:
    last = plan.words.encoded.word_token[1:] - 1  # (words,)
    kinds = {x.kind for x in plan.ran}
    kind: Kind = (
        "full" if "full" in kinds else "local" if "local" in kinds else "append" if kinds - {"none"} else "none"
    )
    words = 0
    for start, end in (r for x in plan.ran for r in x.ranges):
        a, b = last.searchsorted((start, end))
        words += int(b - a)
    return Work(kind, words, sum(x.computed for x in plan.ran))
