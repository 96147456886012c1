"""The hybrid encoder as a labeller: where texts become tokens, restart points token numbers, and scores labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encoder.decode import NOTHING, labels_to_spans
from encoder.restart import RestartPolicy, Standing
from encoder.session import Plan as EncoderPlan
from encoder.session import Rows, run_plans
from encoder.tagger import Tagger
from encoder.tokenizer import EMPTY, Encoded
from stream.kept import Words, begin_words, pack_words, unpack_words
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
    rows: list[Rows] = field(default_factory=list)
    ran: list[EncoderPlan] = field(default_factory=list)


class HybridLive:
    """The labels of one session."""

    def __init__(self, tagger: Tagger, policy: RestartPolicy, kept: Sequence[Kept] = (), context: bytes = b"") -> None:
        self._tagger = tagger
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
        plan = _Plan(self, segment, closing and not is_edit, words, keep, None)
        void = before is not None and before.void
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

    def reading(self, segment: str) -> Reading:
        """A restored segment's words as they stood."""
        self._recall(segment)
        words = self._open.get(segment) or self._closed[segment]
        return Reading(
            words.encoded.word_start,
            words.encoded.word_end,
            words.labels,
            words.probability,
            _stability(words, segment in self._closed),
            spans=(),
            work=Work(),
        )

    def save(self, segment: str) -> bytes:
        """Labels as they stand, with the model's fingerprint; empty for a segment that is not known."""
        if segment in self._kept:
            return self._kept[segment].words
        words = self._open.get(segment) or self._closed.get(segment)
        return b"" if words is None else pack_words(words, self._fingerprint)

    def save_context(self) -> bytes:
        """The closed context, with the model's fingerprint."""
        return self._fingerprint + self._session.save()

    def free(self) -> None:
        """The session is over."""
        self._session.free()

    @property
    def _fingerprint(self) -> bytes:
        return self._tagger.encoder.identity

    def _recall(self, segment: str) -> None:
        """Make words again of a segment that was restored."""
        kept = self._kept.pop(segment, None)
        if kept is None:
            return
        encoded = self._tagger.tokenizer.encode(kept.text)
        words = unpack_words(encoded, self._tagger.config.columns, kept.words, self._fingerprint)
        if kept.closed:
            self._closed[segment] = words
        else:
            self._open[segment] = words
            self._session.resume(segment, encoded.ids, words.standing)

    def _point(self, words: Words, word: int) -> int:
        """The policy's restart point among the words that stand unchanged."""
        total = len(words.labels)
        stability = words.stability(word, total)
        point = self._policy.point(
            Standing(words.entropy[:word], words.probability[:word], stability, words.seen[:word], total - word)
        )
        return min(max(point, 0), word)

    def _stand(self, before: Words | None, encoded: Encoded, keep: int) -> Words:
        """Arrays as long as the new text, with what stands of its first `keep` words."""
        words = begin_words(encoded, self._tagger.config.columns)
        if before is not None:
            words.scores[: min(keep, len(before.scores))] = before.scores[:keep]
            for name in ("labels", "probability", "entropy", "base", "drift", "seen"):
                getattr(words, name)[:keep] = getattr(before, name)[:keep]
        return words


class HybridLabeller:
    """Labels the texts of many sessions over one tagger."""

    def __init__(self, tagger: Tagger) -> None:
        self.name = tagger.name
        self._tagger = tagger
        self._reanchors = 0

    def open(self, policy: RestartPolicy, kept: Sequence[Kept] = (), context: bytes = b"") -> HybridLive:
        """Begin a session or go on with a saved one (see the protocol)."""
        closed = [x for x in kept if x.closed]
        identity = self._tagger.encoder.identity
        if context.startswith(identity):
            return HybridLive(self._tagger, policy, kept, context[len(identity) :])
        still_open = [x._replace(words=b"") if closed else x for x in kept if not x.closed]
        live = HybridLive(self._tagger, policy, still_open)
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

    def read(self, plans: Sequence[_Plan]) -> list[Reading]:
        """Decode all that was computed, packed."""
        for plan in plans:
            _put_scores(plan)
        self._decode([(plan, _first_word(plan)) for plan in plans])
        for plan in plans:
            plan.live.keep(plan)
        return [self._reading(plan) for plan in plans]

    def counters(self) -> Counters:
        """What was done so far."""
        work = self._tagger.sessions.work
        return Counters(work.evictions, self._reanchors, work.flops)

    def _run(self, wanted: list[tuple[_Plan, EncoderPlan]]) -> None:
        if not wanted:
            return
        for (plan, compute), rows in zip(wanted, run_plans(self._tagger.sessions, [x for _, x in wanted]), strict=True):
            plan.rows.extend(rows)
            plan.ran.append(compute)

    def _decode(self, wanted: list[tuple[_Plan, int]]) -> None:
        """Labels of each plan's words from a first one on; the label before it stands."""
        parts = [(plan.words, first) for plan, first in wanted if first < len(plan.words.labels)]
        if not parts:
            return
        starts = np.cumsum([0] + [len(words.labels) - first for words, first in parts], dtype=np.int64)
        before = np.array([words.labels[first - 1] if first else NOTHING for words, first in parts], np.int32)
        head, total = self._tagger.heads[0], [len(words.labels) for words, _ in parts]
        columns = np.concatenate([w.scores[first:] for w, first in parts])
        decoded = head.decoder.decode(columns[:, : len(head.labels)], starts, before)
        right = np.concatenate(
            [np.arange(n - first, dtype=np.int32)[::-1] for n, (_, first) in zip(total, parts, strict=True)]
        )
        settled = head.stability.settle(columns, decoded.labels, decoded.probability, decoded.entropy, right)
        for (words, first), a, b in zip(parts, starts[:-1], starts[1:], strict=True):
            words.labels[first:] = decoded.labels[a:b]
            words.probability[first:] = decoded.probability[a:b]
            words.entropy[first:] = decoded.entropy[a:b]
            words.base[first:], words.drift[first:] = settled.base[a:b], settled.drift[a:b]
            words.seen[first:] = len(words.labels)

    def _reading(self, plan: _Plan) -> Reading:
        words = plan.words
        return Reading(
            starts=words.encoded.word_start,
            ends=words.encoded.word_end,
            labels=words.labels,
            probability=words.probability,
            stability=_stability(words, plan.closing or plan.segment in plan.live._closed),
            spans=labels_to_spans(words.labels, self._tagger.config.labels),
            work=_work(plan),
        )


def _stability(words: Words, closed: bool) -> NDArray[np.float32]:
    """Stability of all words as they stand; a label of a closed segment stands for certain."""
    n = len(words.labels)
    return np.ones(n, np.float32) if closed else words.stability(n, n)


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
