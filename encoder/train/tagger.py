"""Stage two: the label head and all layers, tuned on labelled text under random blocks."""

import random

import numpy as np
import torch
from torch import Tensor

from encoder.decode import NOTHING, Decoder, labels_to_spans
from encoder.model import HybridModel
from encoder.train.batches import IGNORED, Batch, WordPieces, make_batches, make_examples
from encoder.train.config import Augment, Stage, TextSource
from encoder.train.loop import Job, pick_device
from encoder.train.text import Sequence


def possible_labels(labels: tuple[str, ...], sources: tuple[TextSource, ...]) -> Tensor:
    """Say which labels a gold label may stand for in each source: (sources, labels, labels) bool.

    A source that does not annotate a type has "O" where that type may be, so "O" there stands for the type as well
    (marginal likelihood of partial labels: Tsuboi et al. 2008, section 3).
    """
    table = torch.eye(len(labels), dtype=torch.bool).repeat(len(sources), 1, 1)
    for i, source in enumerate(sources):
        for j, label in enumerate(labels[1:], 1):
            table[i, 0, j] = source.known is not None and label[2:] not in source.known
    return table


def tagger_job(
    model: HybridModel,
    pieces: WordPieces,
    sources: tuple[TextSource, ...],
    train: list[list[Sequence]],
    dev: list[list[Sequence]],
    stage: Stage,
) -> Job:
    """Build the stage; embeddings stay as they are (they ship in 8 bits and small data would only disturb them)."""
    config = model.config
    model.dropout = stage.dropout
    possible = possible_labels(config.labels, sources).to(pick_device())

    def batches(rng: random.Random) -> list[Batch]:
        return make_batches(make_examples(pieces, train, stage.augment, config.positions, rng), config, stage, rng)

    def loss(batch: Batch) -> Tensor:
        logits: Tensor = model(batch.ids, batch.positions, batch.tail_last, batch.tail_first).float()
        labelled = batch.labels != IGNORED
        allowed = possible[batch.known[:, None].expand_as(batch.labels)[labelled], batch.labels[labelled]]
        scores = logits[labelled].log_softmax(-1)
        return -scores.masked_fill(~allowed, -torch.inf).logsumexp(-1).mean()

    def after_epoch(epoch: int) -> str:
        figures = {name: dev_f1(model, pieces, dev, form) for name, form in DEV_FORMS.items()} if dev else {}
        return ", ".join(f"dev F1 {name} {value:.2f}" for name, value in figures.items())

    return Job("tagger", model, stage, batches, loss, after_epoch)


DEV_FORMS = {"written": Augment(), "spoken": Augment(unpunctuated=1.0)}


def dev_f1(model: HybridModel, pieces: WordPieces, dev: list[list[Sequence]], form: Augment) -> float:
    """Span F1 in percent of the model re-run on whole sequences, each one block (offline, for choosing)."""
    device = pick_device()
    decoder = Decoder(model.config.labels)
    stage = Stage(epochs=1, blocks="one", batch_tokens=4096)
    examples = make_examples(pieces, dev, form, model.config.positions, random.Random(0))
    counts = np.zeros(3, dtype=np.int64)  # spans found, spans in the gold, both
    with torch.inference_mode():
        for batch in make_batches(examples, model.config, stage, random.Random(0)):
            b = batch.to(device)
            logits = model(b.ids, b.positions, b.tail_last, b.tail_first).float().cpu().numpy()
            for row, labels in zip(logits, batch.labels.numpy(), strict=True):
                words = labels != IGNORED
                ends = np.array([0, words.sum()], np.int64)
                read = decoder.decode(row[words], ends, np.array([NOTHING], np.int32)).labels
                found = set(labels_to_spans(read, model.config.labels))
                gold = set(labels_to_spans(labels[words], model.config.labels))
                counts += (len(found), len(gold), len(found & gold))
    return float(200.0 * counts[2] / max(1, counts[0] + counts[1]))
