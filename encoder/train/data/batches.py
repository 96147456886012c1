"""Examples as token ids with labels, blocks and key ranges; batches of about equal numbers of tokens."""

import random
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from encoder.model.config import HybridConfig
from encoder.tokenizer.incremental import IncrementalTokenizer
from encoder.train.config import AugmentConfig, StageConfig
from encoder.train.data.augment import Piece, join_sequences, speak
from encoder.train.data.sequence import UNKNOWN, TextSequence
from encoder.train.data.sessions import make_sessions

ScorePairs = tuple[tuple[str, float], ...] | None
"""Text scores by name (`TextSequence.scores`)."""
IGNORED = -100
BLOCK_MEANS = (1, 2, 3, 5, 8)
CUT = {"random": 0.3, "prefix": 0.65, "one": 0.0}
"""Share of the sequences that are cut to a random prefix."""
LONG, USUAL = 0.2, 256
"""Share of the made-up sessions whose examples may use all positions, and the tokens of the others' at most: long ones
cost twice as much a token, and the tail sees no further than its window."""
SPOKEN_ALL_THE_SAME = 0.5
"""Of texts that teach punctuation, the share that is without marks where its session is written: in written text the
labels are easy."""
RESTARTED = 0.3
"""Share of the segments that are two blocks where all others are one."""


def _no_scores() -> NDArray[np.float32]:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One sequence of T tokens."""

    ids: NDArray[np.int64]  # (T,)
    labels: NDArray[np.int64]  # (T,) at the last piece of a word, else IGNORED
    word: NDArray[np.int64]  # (T,) index of the token's word
    sentence: NDArray[np.int64]  # (T,) index of the token's sentence
    known: NDArray[np.int64]  # (T,) the token's source: row of the tagger's table of possible labels
    scores: NDArray[np.float32] = field(
        default_factory=_no_scores, kw_only=True
    )  # (segments, text scores), NaN: not known

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """Give what there is of each token, in the order of the fields."""
        return self.ids, self.labels, self.word, self.sentence, self.known


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Padded examples; padding sees itself only and carries no label."""

    ids: Tensor  # (B, T) int64
    positions: Tensor  # (B, T) int64
    tail_last: Tensor  # (B, T) int64
    tail_first: Tensor  # (B, T) int64
    labels: Tensor  # (B, T) int64
    known: Tensor  # (B, T) int64
    real: Tensor  # (B, T) bool
    segment: Tensor  # (B, T) int64, of the last piece of each word; -1 elsewhere
    scores: Tensor  # (B, segments, text scores) float32, NaN where one is not known

    def to(self, device: torch.device) -> "TrainingBatch":
        """Copy to a device."""
        return TrainingBatch(*(getattr(self, name).to(device) for name in self.__slots__))


class WordPieces:
    """Word pieces of words, remembered: training meets the same words again and again."""

    def __init__(self, tokenizer: Tokenizer, *label_sets: Seq[str], text_scores: Seq[Seq[str]] = ()) -> None:
        """Number the labels of all taggers, and their text scores: one after the other, as the head's columns are."""
        self._tokenizer = tokenizer
        self._units: dict[str, list[list[int]]] = {}
        first = 0
        self._index: list[dict[str, int]] = []
        for labels in label_sets:
            self._index.append({label: first + i for i, label in enumerate(labels)})
            first += len(labels)
        firsts = np.cumsum([0, *map(len, text_scores)]).tolist()
        self._score_index = [
            {x: first + i for i, x in enumerate(s)} for first, s in zip(firsts[:-1], text_scores, strict=True)
        ]
        self.text_scores: int = firsts[-1]
        """Number of text scores, all taggers together."""

    def units(self, word: str) -> list[list[int]]:
        """Split a word as live text is split (runs between punctuation), each with its pieces."""
        found = self._units.get(word)
        if found is None:
            encoding = self._tokenizer.encode(word, add_special_tokens=False)
            found = []
            before = None
            for piece, unit in zip(encoding.ids, encoding.word_ids, strict=True):
                if unit != before:
                    found.append([])
                found[-1].append(piece)
                before = unit
            self._units[word] = found
        return found

    @cached_property
    def starts_word(self) -> NDArray[np.bool_]:
        """(vocabulary,) tokens that begin a word."""
        return IncrementalTokenizer(self._tokenizer).starts_word()

    def texts(self, ids: NDArray[np.int64], first: int, last: NDArray[np.int64]) -> list[str]:
        """Give the text of the words that end at the tokens `last`, of which the first begins at token `first`."""
        firsts = [first, *(last[:-1] + 1).tolist()]
        return [self._tokenizer.decode(ids[a : b + 1].tolist()) for a, b in zip(firsts, last.tolist(), strict=True)]

    def example(
        self, pieces: list[Piece], known: int, limit: int, tagger: int = 0, scores: Seq[ScorePairs] | None = None
    ) -> TrainingExample:
        """Turn sentences of one source into one example of at most `limit` tokens; a cut falls between words."""
        made = _OpenExample()
        for i, (words, tags) in enumerate(pieces):
            own = scores[i] if scores else None
            made.add(self.sentence(words, tags, known, limit - len(made), tagger, scores=own))
        return made.close()

    def sentence(
        self,
        words: Seq[str],
        tags: Seq[str],
        known: int,
        limit: int | None = None,
        tagger: int = 0,
        scores: ScorePairs = None,
    ) -> TrainingExample:
        """Turn a sentence into an example, cut between words to at most `limit` tokens; a cut one has no scores."""
        index = self._index[tagger]
        targets = np.full((1, self.text_scores), np.nan, np.float32)
        for name, value in scores or ():
            targets[0, self._score_index[tagger][name]] = value
        ids: list[int] = []
        labels: list[int] = []
        word: list[int] = []
        for text, tag in zip(words, tags, strict=True):
            units = self.units(text)
            if limit is not None and len(ids) + sum(map(len, units)) > limit:
                targets[:] = np.nan
                break
            for i, unit in enumerate(units):
                inner = "I-" + tag[2:] if i and tag not in ("O", UNKNOWN) else tag
                ids += unit
                labels += [IGNORED] * (len(unit) - 1) + [IGNORED if tag == UNKNOWN else index.get(inner, index["O"])]
                word += [word[-1] + 1 if word else 0] * len(unit)
        arrays = [np.array(x, dtype=np.int64) for x in (ids, labels, word, [0] * len(ids), [known] * len(ids))]
        return TrainingExample(*arrays, scores=targets)


class _OpenExample:
    """An example that grows by sentences."""

    def __init__(self) -> None:
        self._parts: list[TrainingExample] = []
        self._tokens = self._words = 0
        self._segment = -1  # number of the last segment
        self._scores: list[NDArray[np.float32]] = []  # (1, text scores) of each segment

    def __len__(self) -> int:
        return self._tokens

    def add(self, part: TrainingExample, *, opens: bool = True) -> None:
        """Append a sentence; it opens a segment, or continues the last one."""
        if not len(part.ids):
            return
        if opens or not self._parts:
            self._segment += 1
            self._scores.append(part.scores)
        else:
            self._scores[-1] = _join_scores(self._scores[-1], part.scores)
        word, segment = part.word + self._words, np.full(len(part.ids), self._segment)
        self._parts.append(replace(part, word=word, sentence=segment))
        self._tokens += len(part.ids)
        self._words = int(word[-1]) + 1

    def close(self) -> TrainingExample:
        """Give the example, and begin another."""
        empty = np.zeros(0, dtype=np.int64)
        parts = zip(*(x.columns() for x in self._parts), strict=True) if self._parts else [()] * 5
        scores = np.concatenate(self._scores) if self._scores else _no_scores()
        made = TrainingExample(*(np.concatenate([empty, *part]) for part in parts), scores=scores)
        self._parts, self._scores = [], []
        self._tokens = self._words = 0
        self._segment = -1
        return made


def _join_scores(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the scores of two texts as one: the larger, if both are known or the known one is likely."""
    most = np.fmax(one, other)
    return np.where(np.isnan(one) | np.isnan(other), np.where(most >= 0.5, most, np.float32(np.nan)), most)


def make_examples(
    pieces: WordPieces,
    sources: Seq[Seq[TextSequence]],
    augment: AugmentConfig,
    limit: int,
    rng: random.Random,
    taggers: Seq[int] | None = None,
) -> list[TrainingExample]:
    """Join, speak and tokenise every source once; tokens of source i have `known` i.

    `taggers` numbers the tagger that each source teaches; None: the only one.
    """
    if augment.sessions:
        return _session_examples(pieces, sources, augment, limit, rng, taggers)
    examples = []
    for known, sequences in enumerate(sources):
        runs = join_sequences(list(sequences), rng) if augment.join else [[s] for s in sequences]
        for run in runs:
            spoken = rng.random() < augment.unpunctuated
            sentences = [_augment(s, spoken, augment, rng) for s in run]
            scores = [s.scores for s in run]
            example = pieces.example(sentences, known, limit, taggers[known] if taggers else 0, scores)
            if len(example.ids):
                examples.append(example)
    return examples


def _session_examples(
    pieces: WordPieces,
    sources: Seq[Seq[TextSequence]],
    augment: AugmentConfig,
    limit: int,
    rng: random.Random,
    taggers: Seq[int] | None,
) -> list[TrainingExample]:
    """Make examples of made-up sessions; one that is longer than an example may be goes on in the next."""
    examples = []
    made = _OpenExample()
    positions = limit
    for session in make_sessions(sources, rng):
        spoken = rng.random() < augment.unpunctuated
        limit = positions if rng.random() < LONG else min(positions, USUAL)
        for row in session:
            words, tags = _augment(row.sequence, spoken, augment, rng)
            tagger = taggers[row.source] if taggers else 0
            part = pieces.sentence(words, tags, row.source, limit, tagger, row.sequence.scores)
            if len(made) + len(part.ids) > limit:
                examples.append(made.close())
            made.add(part, opens=row.opens)
        if len(made):
            examples.append(made.close())
    return examples


def _augment(sequence: TextSequence, spoken: bool, augment: AugmentConfig, rng: random.Random) -> Piece:
    if sequence.punctuation and augment.unpunctuated:
        spoken = spoken or rng.random() < SPOKEN_ALL_THE_SAME
    return speak(sequence, augment, rng) if spoken else (list(sequence.words), list(sequence.tags))


def cut_to_prefix(example: TrainingExample, rng: random.Random) -> TrainingExample:
    """Cut an example after a random word of its last segment, as live text is cut by time."""
    words = int(example.word[-1]) + 1
    before = int(example.word[np.searchsorted(example.sentence, example.sentence[-1])])
    end = int(np.searchsorted(example.word, rng.randint(before + 1, words)))
    scores = example.scores
    if end < len(example.ids) and len(scores):  # what a whole text is, its beginning need not be
        scores = np.concatenate([scores[:-1], np.full_like(scores[-1:], np.nan)])
    return TrainingExample(*(column[:end] for column in example.columns()), scores=scores)


def block_ends(
    example: TrainingExample, rng: random.Random, window: int, whole: float = StageConfig(epochs=1).whole
) -> NDArray[np.int64]:
    """Draw a random partition at word ends; returns (T,) the last token of each token's block.

    It is the mask of block training (docs/architecture.md, "Training").
    In a share of `whole` every segment is one block (how closed ones are computed), or two: what an open one had when
    it was restarted whole, and what came then. Else segments before a random one are blocks, and the rest has blocks of
    a mean length of 1, 2, 3, 5 or 8 words. No block is longer than half the window.
    """
    words = int(example.word[-1]) + 1
    sentence_of = np.zeros(words, dtype=np.int64)
    sentence_of[example.word] = example.sentence
    starts = np.zeros(words, dtype=bool)
    starts[1:] = sentence_of[1:] != sentence_of[:-1]
    if rng.random() >= whole:
        noise = np.random.default_rng(rng.getrandbits(32))
        first_open = rng.randint(0, int(sentence_of[-1]))
        opened = sentence_of >= first_open
        starts |= opened & (noise.random(words) < 1.0 / rng.choice(BLOCK_MEANS))
    else:
        firsts = np.r_[np.flatnonzero(starts), words] if starts[0] else np.r_[0, np.flatnonzero(starts), words]
        for first, end in zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True):
            if rng.random() < RESTARTED and end - first > 1:
                starts[rng.randint(first + 1, end - 1)] = True
    token_starts = starts[example.word] & np.r_[True, example.word[1:] != example.word[:-1]]
    token_starts[0] = True
    return _ends(_limit_blocks(token_starts, example.word, window // 2))


def _limit_blocks(starts: NDArray[np.bool_], word: NDArray[np.int64], longest: int) -> NDArray[np.bool_]:
    """Split blocks that are longer than `longest` tokens, at word starts."""
    begun = 0
    word_start = np.r_[True, word[1:] != word[:-1]]
    for i in np.flatnonzero(word_start).tolist():
        if starts[i]:
            begun = i
        elif i - begun >= longest:
            starts[i] = True
            begun = i
    return starts


def _ends(starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Last token of each token's block, from the blocks' first tokens."""
    block = np.cumsum(starts) - 1
    last = np.r_[np.flatnonzero(starts)[1:], len(starts)] - 1
    ends: NDArray[np.int64] = last[block]
    return ends


def tail_first(ends: NDArray[np.int64], segment: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Find the first key of each tail query, as live (`encoder.session.closed_context.WindowRules.window_at`).

    Args:
        ends: (T,) the last token of each token's block.
        segment: (T,) the number of each token's segment; they rise.
        window: tokens that the tail may see.

    Returns:
        (T,) half a window before the segment's start, moved on in halves so that a block's end is inside the window.
    """
    half = window // 2
    opening = np.maximum(0, np.searchsorted(segment, segment) - half)
    first: NDArray[np.int64] = opening + half * np.maximum(0, -(-(ends + 1 - window - opening) // half))
    return first


def make_batches(
    examples: list[TrainingExample], config: HybridConfig, stage: StageConfig, rng: random.Random
) -> list[TrainingBatch]:
    """Cut, block, sort by length and pad; then shuffle the batches."""
    cut = CUT[stage.blocks]
    examples = [cut_to_prefix(e, rng) if rng.random() < cut else e for e in examples] if cut else examples
    rng.shuffle(examples)
    # neighbours of about equal length, random within: short ones of just the same, or a third of a batch is padding
    examples.sort(key=lambda e: len(e.ids) if len(e.ids) < 64 else len(e.ids) // 8 * 8)
    batches: list[list[TrainingExample]] = [[]]
    for example in examples:
        if batches[-1] and (len(batches[-1]) + 1) * len(example.ids) > stage.batch_tokens:
            batches.append([])
        batches[-1].append(example)
    rng.shuffle(batches)
    return [_pad(batch, config, stage, rng) for batch in batches]


def _pad(
    examples: list[TrainingExample], config: HybridConfig, stage: StageConfig, rng: random.Random
) -> TrainingBatch:
    shape = (len(examples), max(len(e.ids) for e in examples))
    ids, labels = np.zeros(shape, dtype=np.int64), np.full(shape, IGNORED, dtype=np.int64)
    known = np.zeros(shape, dtype=np.int64)
    positions = np.tile(np.arange(shape[1]), (shape[0], 1))
    last, first, real = positions.copy(), positions.copy(), np.zeros(shape, dtype=bool)
    segment = np.full(shape, -1, dtype=np.int64)
    segments, names = max(len(e.scores) for e in examples), max(e.scores.shape[1] for e in examples)
    scores = np.full((shape[0], segments, names), np.nan, np.float32)
    for row, example in enumerate(examples):
        n = len(example.ids)
        if stage.blocks == "random":
            ends = block_ends(example, rng, config.window, stage.whole)
        else:
            ends = _ends(_limit_blocks(np.arange(n) == 0, example.word, config.window))
        starts = np.r_[True, example.sentence[1:] != example.sentence[:-1]]
        ids[row, :n], labels[row, :n], last[row, :n] = example.ids + config.start_mark * starts, example.labels, ends
        first[row, :n] = tail_first(ends, example.sentence, config.window)
        real[row, :n], known[row, :n] = True, example.known
        word_ends = np.r_[example.word[1:] != example.word[:-1], True]
        segment[row, :n] = np.where(word_ends, example.sentence, -1)
        scores[row, : len(example.scores)] = example.scores
    arrays = ids, positions, last, first, labels, known, real, segment, scores
    return TrainingBatch(*(torch.from_numpy(np.ascontiguousarray(x)) for x in arrays))
