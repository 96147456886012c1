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
from stream.labeller import Counters, Kind, Reading, Work


@dataclass(slots=True)
class _Words:
    """What stands in a segment, one element a word."""

    encoded: Encoded
    scores: NDArray[np.float32]  # (words, labels) as last computed; no row once the segment is closed
    labels: NDArray[np.int32]  # (words,)
    probability: NDArray[np.float32]  # (words,)
    entropy: NDArray[np.float32]  # (words,)


@dataclass(slots=True)
class _Plan:
    """One segment's part of a step."""

    live: "HybridLive"
    segment: str
    closing: bool
    words: _Words
    """As many as the new text has; those from `keep` on are to be read."""
    keep: int
    compute: EncoderPlan | None
    rows: list[Rows] = field(default_factory=list)
    ran: list[EncoderPlan] = field(default_factory=list)


class HybridLive:
    """The labels of one session."""

    def __init__(self, tagger: Tagger, policy: RestartPolicy) -> None:
        self._tagger = tagger
        self._policy = policy
        self._session = tagger.sessions.open()
        self._open: dict[str, _Words] = {}
        self._closed: dict[str, _Words] = {}
        self._reanchors = 0

    def plan(self, segment: str, text: str, closing: bool) -> _Plan:
        """Cut what was rewritten, choose the restart point."""
        is_edit = segment in self._closed
        before = (self._closed if is_edit else self._open).get(segment)
        encoded, _, token = self._tagger.tokenizer.update(before.encoded if before else EMPTY, text)
        keep = _whole_words(before.encoded, encoded, token) if before else 0
        words = self._stand(before, encoded, 0 if is_edit and token < len(encoded.ids) else keep)
        plan = _Plan(self, segment, closing and not is_edit, words, keep, None)
        if before is not None and token == len(before.encoded.ids) == len(encoded.ids):
            return plan  # white space or case: nothing that the encoder sees
        if is_edit:
            plan.compute, plan.keep = self._session.plan_edit(segment, encoded.ids), 0
        else:
            point = 0 if closing else self._point(words, keep)
            plan.compute = self._session.plan_update(segment, encoded.ids, token, int(encoded.word_token[point]))
        return plan

    def plan_close(self, segment: str) -> EncoderPlan:
        """After the segment's last update ran: what makes its labels those of the same text fed whole."""
        self._open.pop(segment, None)
        return self._session.plan_close(segment)

    def take_reanchors(self) -> int:
        """Re-anchors since this was asked last."""
        new, self._reanchors = self._session.reanchors - self._reanchors, self._session.reanchors
        return new

    def keep(self, plan: _Plan) -> None:
        """Labels were read: they stand."""
        if plan.closing or plan.segment in self._closed:
            plan.words.scores = plan.words.scores[:0]
            self._closed[plan.segment] = plan.words
        else:
            self._open[plan.segment] = plan.words

    def delete(self, segment: str) -> None:
        """Take a segment back, out of the context too."""
        self._closed.pop(segment, None)
        self._open.pop(segment, None)
        self._session.delete(segment)

    def forget(self, segment: str) -> None:
        """A closed segment will not be edited any more."""
        self._closed.pop(segment, None)

    def free(self) -> None:
        """The session is over."""
        self._session.free()

    def _point(self, words: _Words, word: int) -> int:
        """The policy's restart point among the words that stand unchanged."""
        point = self._policy.point(Standing(words.entropy[:word], words.probability[:word]))
        return min(max(point, 0), word)

    def _stand(self, before: _Words | None, encoded: Encoded, keep: int) -> _Words:
        """Arrays as long as the new text, with what stands of its first `keep` words."""
        n = encoded.words
        words = _Words(
            encoded,
            np.zeros((n, len(self._tagger.config.labels)), np.float32),
            np.zeros(n, np.int32),
            *(np.zeros(n, np.float32) for _ in range(2)),
        )
        if before is not None:
            words.scores[: min(keep, len(before.scores))] = before.scores[:keep]
            for name in ("labels", "probability", "entropy"):
                getattr(words, name)[:keep] = getattr(before, name)[:keep]
        return words


class HybridLabeller:
    """Labels the texts of many sessions over one tagger."""

    def __init__(self, tagger: Tagger) -> None:
        self.name = tagger.name
        self._tagger = tagger
        self._reanchors = 0

    def open(self, policy: RestartPolicy, context: Sequence[tuple[str, str]] = ()) -> HybridLive:
        """Begin a session; its closed segments so far are computed whole, one after the other."""
        live = HybridLive(self._tagger, policy)
        for segment, text in context:
            plan = live.plan(segment, text, closing=True)
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
        decoded = self._tagger.decoder.decode(np.concatenate([w.scores[first:] for w, first in parts]), starts, before)
        for (words, first), a, b in zip(parts, starts[:-1], starts[1:], strict=True):
            words.labels[first:] = decoded.labels[a:b]
            words.probability[first:] = decoded.probability[a:b]
            words.entropy[first:] = decoded.entropy[a:b]

    def _reading(self, plan: _Plan) -> Reading:
        words = plan.words
        return Reading(
            starts=words.encoded.word_start,
            ends=words.encoded.word_end,
            labels=words.labels,
            probability=words.probability,
            spans=labels_to_spans(words.labels, self._tagger.config.labels),
            work=_work(plan),
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
    last = plan.words.encoded.word_token[1:] - 1
    return min([plan.keep, *(int(last.searchsorted(rows.first)) for rows in plan.rows)])


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
