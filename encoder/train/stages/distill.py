"""Stage one: the hybrid learns its bidirectional teacher's hidden states, on unlabelled text.

The loss is the mean squared error of hidden states (as in TinyBERT, Jiao et al. 2020, equation 8, without a
projection), of the last layer and of the tail's middle layer. The student is trained under random blocks; the teacher
sees everything, and if the student has an attention sink, it sees the text between its special tokens, as it was
pretrained.
"""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel, Layer
from encoder.model.framed import FramedModel
from encoder.train.config import StageConfig
from encoder.train.data.batches import TrainingBatch, WordPieces, make_batches, make_examples
from encoder.train.data.sequence import TextSequence
from encoder.train.stages.loop import StageJob, pick_device

SINK_TEXTS = 64
"""Texts over which the opening token's keys and values are averaged, for the start of the sinks."""


def distill_job(
    student: HybridModel,
    teacher: HybridModel | FramedModel,
    pieces: WordPieces,
    texts: list[TextSequence],
    stage: StageConfig,
) -> StageJob:
    """Build the stage: `teacher` has `causal_layers = 0`, and as many layers as the student or a multiple of them."""
    model = teacher.model if isinstance(teacher, FramedModel) else teacher
    group = model.config.layers // student.config.layers
    model.eval().requires_grad_(False).to(pick_device())
    config, matched = student.config, matched_layers(student.config)

    def batches(rng: random.Random) -> list[TrainingBatch]:
        examples = make_examples(pieces, [texts], stage.augment, config.positions, rng)
        return make_batches(examples, config, stage, rng)

    def loss(batch: TrainingBatch) -> Tensor:
        with torch.no_grad():
            wanted = _wanted_states(teacher, batch)
        got = student.hidden_states(batch.ids, batch.positions, batch.tail_last, batch.tail_first)
        return hidden_loss(got, wanted[::group], batch.real, matched)

    return StageJob("distill", student, stage, batches, loss)


def _wanted_states(teacher: HybridModel | FramedModel, batch: TrainingBatch) -> list[Tensor]:
    """Run the teacher, which sees the whole example: L + 1 tensors (B, T, H)."""
    if isinstance(teacher, FramedModel):
        return [states[:, 1:-1] for states in teacher.hidden_states(batch.ids, batch.real)]
    end = batch.real.sum(dim=1, keepdim=True) - 1
    whole = torch.where(batch.real, end, batch.tail_last)
    return teacher.hidden_states(batch.ids, batch.positions, whole, batch.tail_first * ~batch.real)


def set_sinks(student: HybridModel, teacher: FramedModel, pieces: WordPieces, texts: list[TextSequence]) -> None:
    """Start the student's sinks at the mean keys and values that the teacher has for its opening token in `texts`."""
    rng = random.Random(0)
    chosen = rng.sample(texts, min(SINK_TEXTS, len(texts)))
    stage = StageConfig(epochs=1, blocks="one")
    examples = make_examples(pieces, [chosen], stage.augment, student.config.positions, rng)
    opening: list[list[Tensor]] = [[] for _ in student.layers]
    with torch.no_grad():
        for batch in make_batches(examples, student.config, stage, rng):
            states = teacher.hidden_states(batch.ids, batch.real)
            for found, state in zip(opening, states[:: (len(states) - 1) // len(opening)], strict=False):
                found.append(state[:, 0])  # (B, H), the input of the layer
        for layer, found in zip(student.layers, opening, strict=True):
            assert isinstance(layer, Layer)
            assert layer.sink is not None
            layer.sink.copy_(layer.qkv(torch.cat(found)).mean(dim=0)[student.config.hidden :].view(2, -1))


def matched_layers(config: HybridConfig) -> list[int]:
    """Layers whose states are compared, by their place in `hidden_states`: the tail's middle one and the last."""
    return sorted({(config.causal_layers + config.layers) // 2, config.layers})


def hidden_loss(got: list[Tensor], wanted: list[Tensor], real: Tensor, matched: list[int]) -> Tensor:
    """Sum the mean squared errors of the matched layers' states, over real tokens."""
    losses = [F.mse_loss(got[i].float()[real], wanted[i].float()[real]) for i in matched]
    return torch.stack(losses).sum()
