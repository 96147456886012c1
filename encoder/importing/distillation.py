"""Distillation of an imported hybrid: it learns the outputs of its source model on unlabelled text.

The loss is that of `encoder.train.stages.distill`, against the source model with its special tokens. With a label head
the divergence of the label probabilities is added (Hinton et al. 2015, temperature 1): the source's are read at the
token where it was trained to be read, the hybrid's at the last token of a word. So it compensates for three changes:
layers that no longer see the right context, the missing special tokens, and labels that are read at another token.
"""

import random
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.files import FileRefused, read_text_file
from encoder.importing.fidelity import LabelPiece, first_pieces
from encoder.importing.source_model import SourceModel
from encoder.model.config import ConfigError
from encoder.model.dense import HybridModel
from encoder.train.config import StageConfig, TextSource
from encoder.train.data.batches import IGNORED, TrainingBatch, WordPieces, make_batches, make_examples
from encoder.train.data.sequence import TextSequence
from encoder.train.data.text import check_words, read_source
from encoder.train.stages.distill import hidden_loss, matched_layers
from encoder.train.stages.loop import StageJob, pick_device

_HELD_OUT = 0.1
_MOST_HELD_OUT = 500
_LEAST = 20


def read_unlabelled(path: Path) -> list[TextSequence]:
    """Read unlabelled text: `.txt`, a sequence a line; or the words of `.jsonl` or `.conll`.

    Raises:
        ConfigError: the file cannot be read, or has fewer than 20 sequences.
    """
    if path.suffix not in (".txt", ".jsonl", ".conll"):
        raise ConfigError(f"{path} must end in .txt, .jsonl or .conll")
    sequences = _read_lines(path) if path.suffix == ".txt" else read_source(TextSource(path=str(path)))
    if len(sequences) < _LEAST:
        raise ConfigError(f"{path} has {len(sequences)} sequences; healing and measuring it take {_LEAST} at least")
    return [TextSequence(s.document, s.words, ("O",) * len(s.words)) for s in sequences]


def _read_lines(path: Path) -> list[TextSequence]:
    try:
        lines = read_text_file(path).splitlines()
    except FileRefused as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{path}: {error}") from error
    split = [tuple(line.split()) for line in lines]
    return check_words(path, [TextSequence(str(path), words, ("O",) * len(words)) for words in split if words])


def hold_out(sequences: list[TextSequence], seed: int) -> tuple[list[TextSequence], list[TextSequence]]:
    """Split sequences into training data, in their order, and a random tenth (500 at most) that is only measured."""
    count = min(_MOST_HELD_OUT, max(1, int(len(sequences) * _HELD_OUT)))
    held = set(random.Random(f"{seed}-held-out").sample(range(len(sequences)), count))
    learned = [s for i, s in enumerate(sequences) if i not in held]
    return learned, [sequences[i] for i in sorted(held)]


def heal_job(
    student: HybridModel,
    original: SourceModel,
    pieces: WordPieces,
    texts: list[TextSequence],
    stage: StageConfig,
    label_piece: LabelPiece,
) -> StageJob:
    """Build the stage. The embedding tables stay: they are stored in 8 bits and the original has the same ones."""
    original.model.eval().requires_grad_(False).to(pick_device())
    student.word.requires_grad_(False)
    student.position.requires_grad_(False)
    student.head.requires_grad_(original.tagger)
    config, matched = student.config, matched_layers(student.config)

    def batches(rng: random.Random) -> list[TrainingBatch]:
        return make_batches(make_examples(pieces, [texts], stage.augment, config.positions, rng), config, stage, rng)

    def loss(batch: TrainingBatch) -> Tensor:
        with torch.no_grad():
            wanted = original.hidden_states(batch.ids, batch.real)
        got = student.hidden_states(batch.ids, batch.positions, batch.tail_last, batch.tail_first)
        total = hidden_loss(got, wanted, batch.real, matched)
        if original.tagger:
            total = total + _label_loss(original, student, wanted[-1], got[-1], batch, label_piece)
        return total

    return StageJob("heal", student, stage, batches, loss)


def _label_loss(
    original: SourceModel,
    student: HybridModel,
    wanted: Tensor,
    got: Tensor,
    batch: TrainingBatch,
    label_piece: LabelPiece,
) -> Tensor:
    """Divergence of the student's label probabilities from the original's, a word on average."""
    rows, first, last = first_pieces(batch.labels != IGNORED)
    with torch.no_grad():
        target = original.model.head(wanted[rows, first if label_piece == "first" else last]).float().log_softmax(-1)
    found = student.head(got[rows, last]).float().log_softmax(-1)
    return F.kl_div(found, target, reduction="batchmean", log_target=True)
