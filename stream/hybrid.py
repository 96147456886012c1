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
from encoder.tokenizer import Encoded
from stream.labeller import Counters, Kind, Reading, Work


@dataclass(slots=True)
class _Words:
    """What stands in a segment, one element a word."""

    encoded: Encoded
    scores: NDArray[np.float32]  # (words, labels) as last computed
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
    """What stands of the new text; elements from `keep` on are to be read."""
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
        self._closed: set[str] = set()

    def plan(self, segment: str, text: str, closing: bool) -> _Plan:
        """Cut what was rewritten, choose the restart point."""
        if segment in self._closed:
            return self._plan_edit(segment, text)
        before = self._open.get(segment)
        encoded, word, token = self._tagger.tokenizer.update(before.encoded if before else self._encode(""), text)
        words = self._stand(before, encoded, word)
        compute = None
        if before is None or token < max(len(before.encoded.ids), len(encoded.ids)):
            point = 0 if closing else self._point(words, word)
            compute = self._session.plan_update(segment, encoded.ids, token, int(encoded.word_token[point]))
        return _Plan(self, segment, closing, words, word, compute)

    def plan_close(self, segment: str) -> EncoderPlan:
        """After the segment's last update ran: what makes its labels those of the same text fed whole."""
        self._closed.add(segment)
        return self._session.plan_close(segment)

    def keep(self, plan: _Plan) -> None:
        """Labels were read: they stand, for as long as the segment is open."""
        if plan.segment in self._closed:
            self._open.pop(plan.segment, None)
        else:
            self._open[plan.segment] = plan.words

    def delete(self, segment: str) -> None:
        """Take a segment back, out of the context too."""
        self.forget(segment)
        self._open.pop(segment, None)
        self._session.delete(segment)

    def forget(self, segment: str) -> None:
        """A closed segment will not be edited any more."""
        self._closed.discard(segment)

    def free(self) -> None:
        """The session is over."""
        self._session.free()

    def _plan_edit(self, segment: str, text: str) -> _Plan:
        words = self._stand(None, self._encode(text), 0)
        return _Plan(self, segment, False, words, 0, self._session.plan_edit(segment, words.encoded.ids))

    def _encode(self, text: str) -> Encoded:
        return self._tagger.tokenizer.encode(text)

    def _point(self, words: _Words, word: int) -> int:
        """The policy's restart point among the words that stand unchanged."""
        point = self._policy.point(Standing(words.entropy[:word], words.probability[:word]))
        return min(max(point, 0), word)

    def _stand(self, before: _Words | None, encoded: Encoded, word: int) -> _Words:
        """Arrays as long as the new text, with what stands of the first `word` words."""
        n = len(encoded.word_start)
        words = _Words(
            encoded,
            np.zeros((n, len(self._tagger.config.labels)), np.float32),
            np.zeros(n, np.int32),
            *(np.zeros(n, np.float32) for _ in range(2)),
        )
        if before is not None:
            for name in ("scores", "labels", "probability", "entropy"):
                getattr(words, name)[:word] = getattr(before, name)[:word]
        return words


class HybridLabeller:
    """Labels the texts of many sessions over one tagger."""

    def __init__(self, tagger: Tagger) -> None:
        self.name = tagger.name
        self._tagger = tagger

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
        return Counters()

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


def _put_scores(plan: _Plan) -> None:
    """Take over the scores of each word whose last token was computed."""
    last = plan.words.encoded.word_token[1:] - 1  # (words,)
    for rows in plan.rows:
        a, b = np.searchsorted(last, (rows.first, rows.first + len(rows.logits)))
        plan.words.scores[a:b] = rows.logits[last[a:b] - rows.first]


def _first_word(plan: _Plan) -> int:
    """The first word to decode: of what was computed; at the close all, so that no label remembers its interims."""
    if plan.closing:
        return 0
    last = plan.words.encoded.word_token[1:] - 1
    computed = [int(np.searchsorted(last, rows.first)) for rows in plan.rows]
    return min([plan.keep, *computed])


def _work(plan: _Plan) -> Work:
    token = plan.words.encoded.word_token  # (words + 1,)
    kinds = {x.kind for x in plan.ran}
    kind: Kind = (
        "full" if "full" in kinds else "local" if "local" in kinds else "append" if kinds - {"none"} else "none"
    )
    words = 0
    for start, end in (r for x in plan.ran for r in x.ranges):
        a, b = np.searchsorted(token[1:] - 1, (start, end))
        words += int(b - a)
    return Work(kind, words, sum(x.computed for x in plan.ran))
