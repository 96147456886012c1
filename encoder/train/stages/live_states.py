"""States that live sessions reach: words computed at some restart, and whether their labels stood.

The last segment of each text is fed word by word through the packed encoder, as the engine feeds it; the segments
before it are closed ones of the same session. For every word that is computed, the inputs of the stability head are
recorded, the number of following words until it is computed again, and whether its label is that of the close. With
twins the same texts are also fed to sessions that restart fully on every word, which
gives the label of a full restart at each step; that takes several times as long.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.heads.stability import StabilityLogit, stability_of
from encoder.heads.stability_head import PROBABILITY, make_features
from encoder.heads.viterbi import NO_LABEL, Decoder
from encoder.model.dense import StabilityHead
from encoder.runtime.encoder import HybridEncoder
from encoder.session.plan import SegmentPlan
from encoder.session.pool import SessionPool, run_plans
from encoder.session.session_encoder import SessionEncoder
from encoder.train.data.batches import IGNORED, TrainingExample
from encoder.train.stages.span_states import SpanCollector, SpanRows

BATCH = 64
"""Sessions that are live at once."""
LONGEST = 96
"""Words of a text that are used; a live segment is seldom longer."""
_SEGMENT = "1"

Points = Callable[[NDArray[np.float32]], int]
"""Stability of the standing words in, restart point out; one rule is drawn for each text."""


@dataclass(slots=True)
class LiveStates:
    """Words as they were computed, one row each."""

    hidden: NDArray[np.float16]  # (N, H) last hidden state
    labels: NDArray[np.int32]  # (N,) the label that was given
    features: NDArray[np.float32]  # (N, FEATURES)
    unseen: NDArray[np.int32]  # (N,) later words, at one step of the row's life
    weight: NDArray[np.float32]  # (N,) steps of its life that the row stands for
    stands: NDArray[np.bool_]  # (N,) the label is that of the close
    agrees: NDArray[np.bool_]  # (N,) the label is what a full restart gives at that step
    text: NDArray[np.int32]  # (N,) which text it is of

    @staticmethod
    def join(parts: Sequence["LiveStates"]) -> "LiveStates":
        """Concatenate the states of several runs; the texts are numbered consecutively."""
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in LiveStates.__slots__]
        shift = np.cumsum([0, *(int(part.text.max(initial=-1)) + 1 for part in parts[:-1])])
        columns[-1] = np.concatenate([part.text + n for part, n in zip(parts, shift, strict=True)])
        return LiveStates(*columns)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.labels)


def with_hidden_states(checkpoint: Checkpoint) -> Checkpoint:
    """Give an encoder of these weights whose columns are, of each tagger, its scores and then the last hidden state."""
    config = replace(checkpoint.config, stability=checkpoint.config.hidden, spans=False, text_scores={})
    weights = {k: v for k, v in checkpoint.weights.items() if not k.startswith(("stability.", "text_scores."))}
    for i in range(len(config.label_sets)):
        weights[f"stability.{i}.hidden.weight"] = np.eye(config.hidden, dtype=np.float32)
        weights[f"stability.{i}.hidden.bias"] = np.zeros(config.hidden, np.float32)
    return Checkpoint(checkpoint.name, config, weights, checkpoint.tokenizer)


class StateCollector:
    """Collects states of one tagger of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint, tagger: int, starts_word: NDArray[np.bool_]) -> None:
        """Make a packed encoder of the checkpoint; `tagger` is the number of its label set."""
        shown = with_hidden_states(checkpoint)
        sets = [*shown.config.label_sets.values()]
        self._first = sum(len(x) + shown.config.hidden for x in sets[:tagger])
        self._first_label = sum(map(len, sets[:tagger]))
        self._labels = sets[tagger]
        self._decoder = Decoder(self._labels)
        self._pool = SessionPool(
            HybridEncoder(shown, max_sessions=2 * BATCH), max_sessions=2 * BATCH, starts_word=starts_word
        )
        self.span_rows: list[tuple[SpanRows, SpanRows]] = []
        """Of each text: spans that stood, and that were right."""

    def collect(
        self,
        examples: Sequence[TrainingExample],
        points: Callable[[random.Random], Points],
        head: StabilityHead | None,
        rng: random.Random,
        advance: Callable[[int], None] = lambda texts: None,
        *,
        twins: bool = False,
        known: Sequence[frozenset[str] | None] | None = None,
    ) -> LiveStates:
        """Feed all texts.

        `points` draws a text's rule of restarts, `head` is for rules that look at stability, and `advance` is called
        with the number of texts that were done. With `twins` every step also computes what a full restart would give;
        otherwise `agrees` equals `stands`. If `known` is given, by source, spans are collected too: `span_rows`.
        """
        self.span_rows = []
        collect = partial(self._collect_spans, known) if known is not None else None
        ordered = sorted(examples, key=lambda e: len(e.ids))
        parts = []
        for i in range(0, len(ordered), BATCH):
            group = [_FedText(e, points(rng), rng, collect) for e in ordered[i : i + BATCH]]
            parts.append(self._feed(group, head, twins))
            advance(len(group))
        return LiveStates.join(parts)

    def _feed(self, group: list["_FedText"], head: StabilityHead | None, twins: bool) -> LiveStates:
        lives = [self._pool.open_session() for _ in group]
        others = [self._pool.open_session() for _ in group]
        for number in range(max(len(text.closed) for text in group)):
            here = [i for i, text in enumerate(group) if number < len(text.closed)]
            told = [(session, group[i].closed[number]) for i in here for session in (lives[i], others[i])]
            run_plans(self._pool, [session.plan_update(number, tokens, 0, 0) for session, tokens in told])
            run_plans(self._pool, [session.plan_close(number) for session, _ in told])
        for t in range(max(text.words for text in group)):
            here = [i for i, text in enumerate(group) if t < text.words]
            plans = [group[i].plan(lives[i], t, group[i].point(t)) for i in here]
            compared = [i for i in here if twins or t == group[i].words - 1]
            whole = [group[i].plan(others[i], t, 0, whole=not twins) for i in compared]
            run_plans(self._pool, [*plans, *whole])
            always = self._read([(group[i], p, 0, NO_LABEL) for i, p in zip(compared, whole, strict=True)])
            full = dict(zip(compared, always, strict=True))
            wanted = [(group[i], p, *group[i].read_from(p)) for i, p in zip(here, plans, strict=True)]
            for i, got in zip(here, self._read(wanted), strict=True):
                group[i].note(t, got, full.get(i), head)
        for live in (*lives, *others):
            live.free()
        self.span_rows += [rows for text in group if (rows := text.span_rows()) is not None]
        return LiveStates.join([text.states() for text in group])

    def _collect_spans(
        self, known: Sequence[frozenset[str] | None], gold: NDArray[np.int64], source: int
    ) -> SpanCollector:
        own = np.where(gold == IGNORED, IGNORED, gold - self._first_label)
        return SpanCollector(self._labels, own, known[source], source)

    def _read(self, wanted: Sequence[tuple["_FedText", SegmentPlan, int, int]]) -> list["_Read"]:
        """Decode packed: each text's words from a first one on, after the label before it."""
        if not wanted:
            return []
        rows = [text.rows(plan, first)[:, self._first :] for text, plan, first, _ in wanted]
        starts = np.cumsum([0] + [len(x) for x in rows], dtype=np.int64)
        columns = np.concatenate(rows)
        kinds = len(self._labels)
        logits = np.ascontiguousarray(columns[:, :kinds])
        hidden = columns[:, kinds : kinds + self._pool.encoder.config.hidden]
        decoded = self._decoder.decode(logits, starts, np.array([x[3] for x in wanted], np.int32))
        right = np.concatenate([np.arange(len(x), dtype=np.int32)[::-1] for x in rows])
        features = make_features(logits, decoded.labels, decoded.probability, decoded.entropy, right)
        return [
            _Read(first, hidden[a:b], decoded.labels[a:b], features[a:b])
            for (_, _, first, _), a, b in zip(wanted, starts[:-1], starts[1:], strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Read:
    first: int
    hidden: NDArray[np.float32]
    labels: NDArray[np.int32]
    features: NDArray[np.float32]


class _FedText:
    """One text that is fed: its closed segments, how the labels of its last one stand, and the rows noted so far."""

    def __init__(
        self,
        example: TrainingExample,
        points: Points,
        rng: random.Random,
        collect_spans: Callable[[NDArray[np.int64], int], SpanCollector] | None = None,
    ) -> None:
        cuts = np.flatnonzero(np.diff(example.sentence)) + 1
        *self.closed, live = np.split(example.ids.astype(np.int32), cuts)
        word = example.word[len(example.word) - len(live) :]
        ends = np.flatnonzero(np.r_[word[1:] != word[:-1], True]).astype(np.int64) + 1
        self.ends = ends[:LONGEST]
        self.words = len(self.ends)
        self._ids = live[: self.ends[-1]]
        gold = example.labels[len(example.word) - len(live) :][self.ends - 1]
        self._spans = collect_spans(gold, int(example.known[-1])) if collect_spans else None
        self._probability = np.zeros(self.words, np.float32)
        self._close: _Read | None = None
        self._points = points
        self._rng = rng
        self._labels = np.zeros(self.words, np.int32)
        self._row = np.zeros(self.words, np.int64)  # the row that each word's label is of
        self._logits = StabilityLogit(np.zeros(self.words, np.float32), np.zeros(self.words, np.float32))
        self._seen = np.zeros(self.words, np.int32)
        self._hidden: list[NDArray[np.float16]] = []
        self._features: list[NDArray[np.float32]] = []
        self._given: list[NDArray[np.int32]] = []
        self._place: list[NDArray[np.int64]] = []
        self._from: list[NDArray[np.int64]] = []
        self._count = 0
        self._until: dict[int, int] = {}
        self._always: dict[int, NDArray[np.int32]] = {}

    def point(self, t: int) -> int:
        """Choose the restart point before word `t`."""
        unseen = np.int32(t + 1) - self._seen[:t]
        logits = StabilityLogit(self._logits.base[:t], self._logits.drift[:t])
        return min(max(self._points(stability_of(logits, unseen)), 0), t)

    def plan(self, session: SessionEncoder, t: int, point: int, *, whole: bool = False) -> SegmentPlan:
        """Plan the words up to `t`, computed from `point` on; `whole`: the session has none of them yet."""
        before, first = (int(self.ends[n - 1]) if n else 0 for n in (0 if whole else t, point))
        return session.plan_update(_SEGMENT, self._ids[: self.ends[t]], before, first)

    def rows(self, plan: SegmentPlan, first: int) -> NDArray[np.float32]:
        """Columns of the words from `first` on that the plan computed: all of them are."""
        (rows,) = plan.rows()
        last = self.ends[first : np.searchsorted(self.ends, rows.first + len(rows.logits), side="right")] - 1
        return rows.logits[last - rows.first]

    def read_from(self, plan: SegmentPlan) -> tuple[int, int]:
        """Give the first word whose label is decoded, and the label before it."""
        (rows,) = plan.rows()
        first = int(np.searchsorted(self.ends - 1, rows.first))
        return first, int(self._labels[first - 1]) if first else NO_LABEL

    def note(self, t: int, got: _Read, always: "_Read | None", head: StabilityHead | None) -> None:
        """Take over what step `t` gave; `always` is the read of a full restart, if there was one."""
        at = slice(got.first, t + 1)
        for row in self._row[got.first : t].tolist():
            self._until[row] = t
        self._labels[at] = got.labels
        self._row[at] = np.arange(self._count, self._count + len(got.labels))
        self._seen[at] = t + 1
        self._count += len(got.labels)
        self._hidden.append(got.hidden.astype(np.float16))
        self._features.append(got.features)
        self._given.append(got.labels)
        self._place.append(np.arange(got.first, t + 1))
        self._from.append(np.full(len(got.labels), t))
        if always is not None:
            self._always[t] = always.labels
            self._close = always
        if head is not None:
            self._logits.base[at], self._logits.drift[at] = predict_logits(head, got.hidden, got.labels, got.features).T
        if self._spans is not None:
            self._probability[at] = got.features[:, PROBABILITY]
            unseen = np.int32(t + 1) - self._seen[: t + 1]
            logits = StabilityLogit(self._logits.base[: t + 1], self._logits.drift[: t + 1])
            self._spans.note(self._labels[: t + 1], stability_of(logits, unseen), self._probability[: t + 1])

    def span_rows(self) -> tuple[SpanRows, SpanRows] | None:
        """Give the rows of spans that stood and that were right; the last step's full restart is the close."""
        if self._spans is None:
            return None
        assert self._close is not None
        return self._spans.close(self._close.labels, self._close.features[:, PROBABILITY])

    def states(self) -> LiveStates:
        """All rows; the last step's full restart is the close."""
        place, begun = np.concatenate(self._place), np.concatenate(self._from)
        given = np.concatenate(self._given)
        until = np.array([self._until.get(row, self.words) for row in range(self._count)])
        step = np.array([self._rng.randint(a, b - 1) for a, b in zip(begun.tolist(), until.tolist(), strict=True)])
        close = self._always[self.words - 1]
        full = [self._always.get(s, close)[i] for s, i in zip(step.tolist(), place.tolist(), strict=True)]
        return LiveStates(
            np.concatenate(self._hidden),
            given,
            np.concatenate(self._features),
            (step - begun).astype(np.int32),
            (until - begun).astype(np.float32),
            given == close[place],
            given == np.array(full, np.int32),
            np.zeros(self._count, np.int32),
        )


def predict_logits(
    head: StabilityHead, hidden: NDArray[np.float32], labels: NDArray[np.int32], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Read the head of words (N,): (N, 2) base and drift."""
    with torch.inference_mode():
        out: Tensor = head(
            head.hidden(torch.from_numpy(np.ascontiguousarray(hidden, np.float32))),
            torch.from_numpy(labels.astype(np.int64)),
            torch.from_numpy(features),
        )
    values: NDArray[np.float32] = out.numpy()
    return values
