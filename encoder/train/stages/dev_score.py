"""Span F1 and text scores of a dense model on dev text: alone and in the session, written and spoken.

A live session's final labels are those of its segments computed whole, one after the other, under the window rules. The
same masks over a dense forward give them at once; only what a checkpoint in a very long segment computes twice is
computed once. Spans are compared word by word, after both have lost what no name holds
(`encoder.train.data.convention`).
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.heads.viterbi import NO_LABEL, Decoder, labels_to_spans
from encoder.model.dense import HybridModel
from encoder.session.closed_context import ClosedContext, ClosedSegment, WindowRules
from encoder.train.config import AugmentConfig
from encoder.train.data.augment import speak
from encoder.train.data.batches import IGNORED, TrainingExample, WordPieces
from encoder.train.data.convention import TagSpan, trim_span
from encoder.train.data.punctuation import COMMA, MARK_LABELS, PERIOD, QUESTION
from encoder.train.data.sequence import TextSequence
from encoder.train.data.sessions import FORMS, dev_sessions
from encoder.train.data.text import LabelledCorpus
from encoder.train.ranking import rank_auc
from encoder.train.stages.loop import bf16_is_faster, pick_device
from encoder.train.stages.text_scores import pool_segments

BATCH_TOKENS = 4096


@dataclass
class DevScore:
    """Counts of one source of dev text in one form."""

    name: str
    tagger: int
    found: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    """Words at which a sentence ends, with either mark: how many are `found`, `gold` and `right`."""
    texts: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By text score: its log odds and the wanted score of each text whose score is known."""

    def __str__(self) -> str:
        parts = [f"F1 {self.f1:.2f}"] if self.gold else []
        parts += [f"{kind} {f1:.2f}" for kind, f1 in self.marks().items()]
        for name, pairs in self.texts.items():
            if (area := rank_auc([x for x, _ in pairs], [y >= 0.5 for _, y in pairs])) is not None:
                parts.append(f"{name} AUC {100 * area:.1f}")
        return f"{self.name}: {', '.join(parts)}"

    @property
    def f1(self) -> float:
        """Exact span F1 in percent."""
        return 200.0 * self.right.total() / max(1, self.found.total() + self.gold.total())

    def marks(self) -> dict[str, float]:
        """F1 in percent of sentence ends, with either mark, and of commas; without those that the set does not have."""
        ends, commas = self.ends, self.found[COMMA] + self.gold[COMMA]
        shown = {"ends": 200.0 * ends["right"] / (ends["found"] + ends["gold"])} if ends["gold"] else {}
        return shown | ({"commas": 200.0 * self.right[COMMA] / commas} if self.gold[COMMA] else {})

    def recall(self) -> dict[str, float]:
        """Recall in percent by type."""
        return {kind: 100.0 * self.right[kind] / count for kind, count in sorted(self.gold.items())}


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of a session that lies in one slot: T tokens, with the window and the block of each; (T,) int64 each."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]  # at the last piece of a word, else IGNORED
    word: NDArray[np.int64]  # number of the word in its segment
    first: NDArray[np.int64]  # first key of the tail
    last: NDArray[np.int64]  # last key of the tail
    segment: NDArray[np.int64]
    read: NDArray[np.int64]  # 1 where the label counts; 0 in a context that is laid out again
    scores: dict[int, NDArray[np.float32]] = field(kw_only=True)  # (text scores,) that are wanted, by segment


def score_dev(
    model: HybridModel,
    pieces: WordPieces,
    dev: LabelledCorpus,
    modes: tuple[str, ...] = ("alone", "session"),
    forms: tuple[str, ...] = ("spoken", "written"),
    *,
    trim: bool = True,
) -> list[DevScore]:
    """Score every source of `dev`, in each mode and form, with the labels of its own tagger.

    `trim`: found spans and gold lose what no name holds; otherwise they are compared as they are.
    """
    rows = []
    taggers = [*model.config.label_sets]
    for number, (source, sequences) in enumerate(zip(dev.sources, dev.sequences, strict=True)):
        tagger = dev.taggers[number]
        for form in forms:
            for mode in modes:
                name = " ".join(x for x in (taggers[tagger], source.name(), form, mode) if x)
                row = DevScore(name, tagger)
                known = None if source.known is None else frozenset(source.known)
                _score(model, pieces, sequences, FORMS[form], mode, row, known, trim)
                rows.append(row)
    return rows


def dev_f1(model: HybridModel, pieces: WordPieces, dev: LabelledCorpus, tagger: int = 0) -> float:
    """Span F1 in percent of one tagger on whole sequences, written and alone, all sources together."""
    rows = [row for row in score_dev(model, pieces, dev, ("alone",), ("written",)) if row.tagger == tagger]
    total = DevScore("", tagger)
    for row in rows:
        for mine, its in ((total.found, row.found), (total.gold, row.gold), (total.right, row.right)):
            mine.update(its)
    return total.f1


def _score(
    model: HybridModel,
    pieces: WordPieces,
    sequences: list[TextSequence],
    form: AugmentConfig,
    mode: str,
    row: DevScore,
    known: frozenset[str] | None,
    trim: bool,
) -> None:
    sets = [*model.config.label_sets.values()]
    names, column = sets[row.tagger], sum(map(len, sets[: row.tagger]))
    decoder = Decoder(names)
    shape = model.config
    rules = WindowRules(shape.positions, shape.window, pieces.starts_word, shape.start_mark)
    laid_out = (_lay_out(session, pieces, form, row.tagger, rules) for session in dev_sessions(sequences, mode))
    stretches = [x for session in laid_out for x in session]
    stretches.sort(key=lambda x: len(x.ids))
    device = pick_device()
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_faster(device)):
        for batch in _batches(stretches):
            ids, positions, last, first = (x.to(device) for x in _padded(batch))
            states = model.hidden_states(ids, positions, last, first)[-1]
            logits = model.head(states).float().cpu().numpy()
            _add_texts(model, states, batch, row)
            for x, scores in zip(batch, logits, strict=True):
                for segment in np.unique(x.segment[x.read > 0]):
                    tokens = np.flatnonzero(x.segment == segment)
                    at = tokens[np.r_[np.diff(x.word[tokens]) > 0, True]]
                    own = np.ascontiguousarray(scores[at][:, column : column + len(names)])
                    read = decoder.decode(own, np.array([0, len(at)], np.int64), np.array([NO_LABEL], np.int32)).labels
                    gold = x.labels[at]
                    gold = np.where(gold == IGNORED, IGNORED, gold - column)
                    _compare(
                        read, gold, pieces.texts(x.ids % shape.vocab_size, int(tokens[0]), at), names, row, known, trim
                    )


def _add_texts(model: HybridModel, states: Tensor, batch: list[_Stretch], row: DevScore) -> None:
    """Note the text scores of the segments that count."""
    names = [*model.config.text_scores.get([*model.config.label_sets][row.tagger], ())]
    if not names:
        return
    head = model.text_scores[str(row.tagger)]
    first = sum(len(model.config.text_scores.get(x, ())) for x in [*model.config.label_sets][: row.tagger])
    for x, own in zip(batch, states, strict=True):
        word_ends = (x.read > 0) & np.r_[(x.word[1:] != x.word[:-1]) | (x.segment[1:] != x.segment[:-1]), True]
        segment = torch.from_numpy(np.where(word_ends, x.segment, -1))[None].to(states.device)
        columns = head(own[None, : len(x.ids)]).float()
        pooled = pool_segments(columns, segment, int(x.segment.max()) + 1)[0].cpu().numpy()
        for number in np.unique(x.segment[x.read > 0]).tolist():
            for i, name in enumerate(names):
                wanted = float(x.scores[number][first + i])
                if not np.isnan(wanted):
                    row.texts.setdefault(name, []).append((float(pooled[number, i]), wanted))


def _compare(
    read: NDArray[np.int32],
    gold: NDArray[np.int64],
    words: list[str],
    names: tuple[str, ...],
    row: DevScore,
    known: frozenset[str] | None,
    trim: bool = True,
) -> None:
    """Count the spans of one segment; what touches a word of unknown label does not count."""
    unknown = gold < 0
    sides = []
    for labels in (read, np.where(unknown, 0, gold)):
        spans = [TagSpan(*span) for span in labels_to_spans(labels, names)]
        trimmed = (trim_span(words, x) if trim and x.label not in MARK_LABELS else x for x in spans)
        kept = {s for s in trimmed if s is not None and not unknown[s.start : s.end].any()}
        sides.append({s for s in kept if known is None or s.label in known})
    for counter, side in ((row.found, sides[0]), (row.gold, sides[1]), (row.right, sides[0] & sides[1])):
        counter.update(span.label for span in side)
    found, right = ({x[:2] for x in side if x.label in (PERIOD, QUESTION)} for side in sides)
    row.ends.update(found=len(found), gold=len(right), right=len(found & right))


def _lay_out(
    session: list[TextSequence], pieces: WordPieces, form: AugmentConfig, tagger: int, rules: WindowRules
) -> Iterator[_Stretch]:
    """Lay the segments of a session out in slots, as a live session has them; a re-anchored context begins another."""
    rng = random.Random(0)
    context = ClosedContext(rules)
    texts: dict[int, TrainingExample] = {}
    stretch = _OpenStretch(rules)
    for number, x in enumerate(session):
        words, tags = speak(x, form, rng) if form.unpunctuated else (list(x.words), list(x.tags))
        text = pieces.sentence(words, tags, 0, rules.positions - context.length, tagger, x.scores)
        if not len(text.ids):
            continue
        texts[number] = text
        stretch.add(text, number, read=True)
        context.append_segment(ClosedSegment(number, text.ids.astype(np.int32)))
        if context.length != stretch.length:  # it was re-anchored
            yield stretch.close()
            stretch = _OpenStretch(rules)
            for span in context.spans:
                assert isinstance(span.segment.id, int)
                stretch.add(texts[span.segment.id], span.segment.id, read=False, first=span.first)
    if stretch.length:
        yield stretch.close()


class _OpenStretch:
    """A stretch that grows by segments."""

    def __init__(self, rules: WindowRules) -> None:
        self._rules = rules
        self._columns: list[tuple[NDArray[np.int64], ...]] = []
        self._scores: dict[int, NDArray[np.float32]] = {}
        self.length = 0

    def add(self, text: TrainingExample, number: int, *, read: bool, first: int = 0) -> None:
        """Append the tokens of a segment from `first` on; `read`: its labels count."""
        ids, labels, word = (column[first:] for column in (text.ids, text.labels, text.word))
        if not first:
            ids = ids + self._rules.start_mark * (np.arange(len(ids)) == 0)
        start, count = self.length, len(ids)
        self.length = end = start + count
        seen, last = np.empty(count, np.int64), np.empty(count, np.int64)
        window = self._rules.opening_window(start)
        for full in range(window + self._rules.window, end, self._rules.half):  # the window is full: a checkpoint
            seen[max(0, window - start) :], last[max(0, window - start) :] = window, full - 1
            window += self._rules.half
        seen[max(0, window - start) :], last[max(0, window - start) :] = window, end - 1
        self._scores[number] = text.scores[0]
        fixed = [np.full(count, x, np.int64) for x in (number, int(read))]
        self._columns.append((ids, labels, word, seen, last, *fixed))

    def close(self) -> _Stretch:
        """Give the stretch."""
        return _Stretch(*(np.concatenate(column) for column in zip(*self._columns, strict=True)), scores=self._scores)


def _batches(stretches: list[_Stretch]) -> Iterator[list[_Stretch]]:
    """Cut stretches of rising length into batches."""
    batch: list[_Stretch] = []
    for stretch in stretches:
        if batch and (len(batch) + 1) * len(stretch.ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(stretch)
    if batch:
        yield batch


def _padded(batch: list[_Stretch]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad ids, positions, last and first keys: (B, T) int64 each; padding sees itself only."""
    shape = (len(batch), max(len(x.ids) for x in batch))
    positions = np.tile(np.arange(shape[1]), (shape[0], 1))
    ids, last, first = np.zeros(shape, dtype=np.int64), positions.copy(), positions.copy()
    for row, x in enumerate(batch):
        n = len(x.ids)
        ids[row, :n], last[row, :n], first[row, :n] = x.ids, x.last, x.first
    ids_, positions_, last_, first_ = (torch.from_numpy(x) for x in (ids, positions, last, first))
    return ids_, positions_, last_, first_
