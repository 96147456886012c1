"""Stage one: the hybrid learns its bidirectional teacher's hidden states, on unlabelled text.

The loss is the mean squared error of hidden states (as in TinyBERT, Jiao et al. 2020, equation 8, without a
projection), of the last layer and of the tail's middle layer. The student is trained under random blocks; the teacher
sees everything.
"""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel
from encoder.train.config import StageConfig
from encoder.train.data.batches import TrainingBatch, WordPieces, make_batches, make_examples
from encoder.train.data.text import TextSequence
from encoder.train.stages.loop import StageJob, pick_device


def distill_job(
    student: HybridModel, teacher: HybridModel, pieces: WordPieces, texts: list[TextSequence], stage: StageConfig
) -> StageJob:
    """Build the stage: `teacher` has the same depth with `causal_layers = 0`."""
    teacher.eval().requires_grad_(False).to(pick_device())
    config, matched = student.config, matched_layers(student.config)

    def batches(rng: random.Random) -> list[TrainingBatch]:
        examples = make_examples(pieces, [texts], stage.augment, config.positions, rng)
        return make_batches(examples, config, stage, rng)

    def loss(batch: TrainingBatch) -> Tensor:
        end = batch.real.sum(dim=1, keepdim=True) - 1
        whole = torch.where(batch.real, end, batch.tail_last)  # the teacher sees the whole example
        with torch.no_grad():
            wanted = teacher.hidden_states(batch.ids, batch.positions, whole, batch.tail_first * ~batch.real)
        got = student.hidden_states(batch.ids, batch.positions, batch.tail_last, batch.tail_first)
        return hidden_loss(got, wanted, batch.real, matched)

    return StageJob("distill", student, stage, batches, loss)


def matched_layers(config: HybridConfig) -> list[int]:
    """Layers whose states are compared, by their place in `hidden_states`: the tail's middle one and the last."""
    return sorted({(config.causal_layers + config.layers) // 2, config.layers})


def hidden_loss(got: list[Tensor], wanted: list[Tensor], real: Tensor, matched: list[int]) -> Tensor:
    """Sum the mean squared errors of the matched layers' states, over real tokens."""
    losses = [F.mse_loss(got[i].float()[real], wanted[i].float()[real]) for i in matched]
    return torch.stack(losses).sum()
