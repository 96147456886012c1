"""Stage two: the label heads and all layers, trained on labelled text under random blocks.

With a bidirectional teacher of the same label set its scores are imitated too (Hinton et al. 2015, section 2): the
hybrid, which has seen part of an example, learns the scores that the teacher gives for the whole example.
"""

import random
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel
from encoder.train.config import StageConfig, TextSource
from encoder.train.data.batches import IGNORED, TrainingBatch, WordPieces, make_batches, make_examples
from encoder.train.data.text import LabelledCorpus
from encoder.train.stages.dev_score import score_dev
from encoder.train.stages.loop import StageJob, pick_device
from encoder.train.stages.text_scores import text_score_loss

TEMPERATURE = 2.0
"""Of the imitated scores."""


def possible_labels(labels: tuple[str, ...], sources: tuple[TextSource, ...]) -> Tensor:
    """Give the labels that a gold label may stand for in each source: (sources, labels, labels) bool.

    A source that does not annotate a type has "O" where that type may be, so "O" there stands for the type as well
    (marginal likelihood of partial labels: Tsuboi et al. 2008, section 3).
    """
    table = torch.eye(len(labels), dtype=torch.bool).repeat(len(sources), 1, 1)
    for i, source in enumerate(sources):
        for j, label in enumerate(labels[1:], 1):
            table[i, 0, j] = source.known is not None and label[2:] not in source.known
    return table


def possible_scores(config: HybridConfig, data: LabelledCorpus) -> tuple[Tensor, Tensor]:
    """Do so for all taggers' scores: (sources, scores, scores) bool; and which are a source's: (sources, scores)."""
    sets = [*config.label_sets.values()]
    firsts = np.cumsum([0, *map(len, sets)]).tolist()
    table = torch.zeros(len(data.sources), config.scores, config.scores, dtype=torch.bool)
    own = torch.zeros(len(data.sources), config.scores, dtype=torch.bool)
    for i, (source, tagger) in enumerate(zip(data.sources, data.taggers, strict=True)):
        mine = slice(firsts[tagger], firsts[tagger + 1])
        table[i, mine, mine] = possible_labels(sets[tagger], (source,))[0]
        own[i, mine] = True
    return table, own


def first_texts(corpus: LabelledCorpus, most: int) -> LabelledCorpus:
    """Keep the first texts of each source; all of them if `most` is 0."""
    return replace(corpus, sequences=[x[:most] if most else x for x in corpus.sequences])


def tagger_job(
    model: HybridModel,
    pieces: WordPieces,
    data: LabelledCorpus,
    dev: LabelledCorpus,
    stage: StageConfig,
    teachers: dict[int, HybridModel] | None = None,
) -> StageJob:
    """Build the stage; embeddings stay as they are (they ship in 8 bits and small data would only disturb them).

    `dev` is measured after each epoch. `teachers` are bidirectional models by tagger, each with that tagger's labels in
    the same order.
    """
    config = model.config
    model.dropout = stage.dropout
    device = pick_device()
    possible, own = (x.to(device) for x in possible_scores(config, data))
    tagger_of = torch.tensor(data.taggers, device=device)
    for teacher in (teachers or {}).values():
        teacher.eval().requires_grad_(False).to(device)

    def batches(rng: random.Random) -> list[TrainingBatch]:
        examples = make_examples(pieces, data.sequences, stage.augment, config.positions, rng, data.taggers)
        return make_batches(examples, config, stage, rng)

    def loss(batch: TrainingBatch) -> Tensor:
        states = model.hidden_states(batch.ids, batch.positions, batch.tail_last, batch.tail_first)[-1]
        logits: Tensor = model.head(states).float()
        labelled = batch.labels != IGNORED
        known = batch.known[labelled]
        scores = logits[labelled].masked_fill(~own[known], -torch.inf).log_softmax(-1)
        allowed = possible[known, batch.labels[labelled]]
        right = -scores.masked_fill(~allowed, -torch.inf).logsumexp(-1)
        words = right.sum() / max(1, len(right))  # a batch of texts may have nothing but text scores
        if teachers:
            apart = _distance(logits, batch, teachers, tagger_of[batch.known], own, labelled)
            words = (1 - stage.imitate) * words + stage.imitate * apart
        texts = stage.score_weight * text_score_loss(model, states, batch) if config.text_scores else 0.0
        return words + texts

    def after_epoch(epoch: int) -> str:
        rows = score_dev(model, pieces, first_texts(dev, stage.dev_texts))
        return ", ".join(f"dev {row}" for row in rows)

    return StageJob("tagger", model, stage, batches, loss, after_epoch)


def _distance(
    logits: Tensor,
    batch: TrainingBatch,
    teachers: dict[int, HybridModel],
    tagger: Tensor,
    own: Tensor,
    labelled: Tensor,
) -> Tensor:
    """Mean over labelled words of the divergence from the teacher's distribution, which saw the whole example."""
    end = batch.real.sum(dim=1, keepdim=True) - 1
    whole = torch.where(batch.real, end, batch.tail_last)
    total, words = logits.new_zeros(()), 0
    for number, teacher in teachers.items():
        taught = labelled & (tagger == number)  # (B, T)
        rows = taught.any(dim=1)
        if not rows.any():
            continue
        at = taught[rows]
        with torch.no_grad():
            first = batch.tail_first[rows] * ~batch.real[rows]
            wanted = teacher(batch.ids[rows] % teacher.config.vocab_size, batch.positions[rows], whole[rows], first)[
                at
            ].float()
        mine = own[batch.known[rows][at][0]]
        got = (logits[rows][at][:, mine] / TEMPERATURE).log_softmax(-1)
        apart = F.kl_div(got, (wanted / TEMPERATURE).log_softmax(-1), reduction="sum", log_target=True)
        total, words = total + apart * TEMPERATURE**2, words + len(wanted)
    return total / max(1, words)
