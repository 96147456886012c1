"""Fidelity of an imported hybrid: distance of hidden states and labels from its source model, on text or random tokens.

Every sequence is a closed segment, computed whole, as the service computes it at the close.
"""

import random
from typing import Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.heads.viterbi import NO_LABEL, Decoder
from encoder.importing.source_model import SourceModel
from encoder.model.config import ConfigError, HybridConfig
from encoder.model.dense import HybridModel
from encoder.train.config import StageConfig
from encoder.train.data.batches import IGNORED, TrainingBatch, TrainingExample, WordPieces, make_batches
from encoder.train.data.sequence import TextSequence
from encoder.train.stages.loop import pick_device

LabelPiece = Literal["first", "last"]
"""At which of a word's pieces its label is read: the hybrid's at the last, most token classifiers' at the first."""

_STAGE = StageConfig(epochs=1, blocks="one", batch_tokens=2048)


class FidelityGap(msgspec.Struct, frozen=True, kw_only=True):
    """How far an encoder is from the original."""

    hidden: float
    """Mean squared error of the last layer's states."""
    share: float
    """The same, as a share of the variance of the original's states; 1 is as far away as their mean."""
    labels: float | None
    """Share of words that have another label; None without a label head."""


class RoundingError(msgspec.Struct, frozen=True, kw_only=True):
    """What storing the word embeddings in 8 bits and the rest in half precision changes."""

    largest: float
    """Largest difference of a label's score, or of a hidden state where there are no labels."""
    labels: float | None
    """Share of words that have another label; None without a label head."""


def text_batches(sequences: list[TextSequence], pieces: WordPieces, config: HybridConfig) -> list[TrainingBatch]:
    """Batch sequences, each one closed segment, cut to the positions.

    Raises:
        ConfigError: there is not a word in them.
    """
    examples = [pieces.example([(list(s.words), ["O"] * len(s.words))], 0, config.positions) for s in sequences]
    kept = [example for example in examples if len(example.ids)]
    if not kept:
        raise ConfigError("the held-out sequences have no words that the tokenizer knows of")
    return make_batches(kept, config, _STAGE, random.Random(0))


def random_batches(config: HybridConfig, count: int = 64, length: int = 32) -> list[TrainingBatch]:
    """Batch random pieces, each a word, for when there is no text."""
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (count, length))
    zeros, steps = np.zeros(length, np.int64), np.arange(length)
    return make_batches(
        [TrainingExample(row, zeros, steps, zeros, zeros) for row in ids], config, _STAGE, random.Random(0)
    )


def first_pieces(last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give the row, the first and the last piece of each of N words, (N,) int64 each.

    `last` (B, T) bool is true at the last piece of each word.
    """
    rows, ends = last.nonzero(as_tuple=True)
    first = torch.zeros_like(ends)
    first[1:] = torch.where(rows[1:] == rows[:-1], ends[:-1] + 1, 0)
    return rows, first, ends


class ReferenceOutputs:
    """The original's states and labels on some batches; others are measured against them."""

    def __init__(self, original: SourceModel, batches: list[TrainingBatch], label_piece: LabelPiece) -> None:
        """Run the source model over `batches`, and keep its outputs."""
        model = original.model.to(pick_device())
        self._batches = batches
        self._decoder = Decoder(model.config.labels)
        self._tagger = original.tagger
        self._states: list[Tensor] = []
        self._labels: list[NDArray[np.int32]] = []
        begins, strays = 0, 0
        with torch.inference_mode():
            for batch in batches:
                b = batch.to(pick_device())
                states = original.hidden_states(b.ids, b.real)[-1]
                self._states.append(states[b.real].cpu())
                rows, logits = _word_scores(model, states, b, label_piece)
                self._labels.append(_decode(self._decoder, rows, logits))
                begun, stray = _count_beginnings(model.config.labels, rows, logits.argmax(-1))
                begins, strays = begins + begun, strays + stray
        self.words = sum(map(len, self._labels))
        self.notes = () if strays <= begins else (_IOB1.format(100 * strays / (begins + strays)),)
        """Notes for the user on the source model's labels."""
        self._variance = float(torch.cat(self._states).var(dim=0, correction=0).mean())

    def gap(self, model: HybridModel, label_piece: LabelPiece = "last") -> FidelityGap:
        """Measure an encoder of the same pieces."""
        squares, moved, count = 0.0, 0, 0
        for batch, wanted, labels in zip(self._batches, self._states, self._labels, strict=True):
            states, rows, logits = _run(model, batch, label_piece)
            squares += float((states - wanted).square().double().sum())
            count += wanted.numel()
            moved += int((_decode(self._decoder, rows, logits) != labels).sum())
        hidden = squares / count
        return FidelityGap(
            hidden=hidden, share=hidden / self._variance, labels=moved / self.words if self._tagger else None
        )


_IOB1 = (
    "{:.0f} % of the original's spans begin with an I- label: it was trained in the scheme IOB1, whose labels cannot "
    "be read as they are; import it with --no-head and tune it on your own data"
)


def _count_beginnings(names: tuple[str, ...], rows: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[int, int]:
    """Count the spans that begin with a B- label, and those that begin with an I- label (scheme IOB1)."""
    kind = np.array([name[2:] for name in names])[labels]
    inside = np.array([name.startswith("I-") for name in names])[labels]
    fresh = np.r_[True, (rows[1:] != rows[:-1]) | (kind[1:] != kind[:-1])][: len(labels)]
    return int(((labels > 0) & ~inside).sum()), int((inside & fresh).sum())


def measure_rounding(
    exact: HybridModel, stored: HybridModel, batches: list[TrainingBatch], tagger: bool
) -> RoundingError:
    """Compare a model with what becomes of it when it is stored."""
    decoder = Decoder(exact.config.labels)
    largest, moved, words = 0.0, 0, 0
    for batch in batches:
        (states, rows, logits), (rounded, _, scores) = (_run(model, batch, "last") for model in (exact, stored))
        largest = max(largest, float(np.abs(logits - scores).max() if tagger else (states - rounded).abs().max()))
        moved += int((_decode(decoder, rows, logits) != _decode(decoder, rows, scores)).sum())
        words += len(rows)
    return RoundingError(largest=largest, labels=moved / words if tagger else None)


def _run(
    model: HybridModel, batch: TrainingBatch, label_piece: LabelPiece
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.float32]]:
    """Run a model over closed segments; returns the real tokens' last states (N, H) and what `_word_scores` does."""
    b = batch.to(pick_device())
    model = model.to(pick_device()).eval()
    with torch.inference_mode():
        states = model.hidden_states(b.ids, b.positions, b.tail_last, b.tail_first)[-1]
        rows, logits = _word_scores(model, states, b, label_piece)
    return states[b.real].cpu(), rows, logits


def _word_scores(
    model: HybridModel, states: Tensor, batch: TrainingBatch, label_piece: LabelPiece
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Score the words of a batch: the row of each (N,), and (N, labels)."""
    rows, first, last = first_pieces(batch.labels != IGNORED)
    logits = model.head(states[rows, first if label_piece == "first" else last])
    return rows.cpu().numpy(), logits.float().cpu().numpy()


def _decode(decoder: Decoder, rows: NDArray[np.int64], logits: NDArray[np.float32]) -> NDArray[np.int32]:
    """Decode words, given the row of each: (N,) label numbers."""
    starts = np.searchsorted(rows, np.arange(int(rows.max()) + 2))
    return decoder.decode(logits, starts, np.full(len(starts) - 1, NO_LABEL, np.int32)).labels
