"""Stage three: the stability head, trained on states that its restarts reach, on text its tagger was not trained on.

A tagger is more confident on its training text than it will be live, so the states come from text that was held out, or
from taggers that were each trained without a fold (cross-fitting: Chernozhukov et al. 2018, section 1). They are
collected at random restarts first, then at the restarts of the head so far (as in DAgger: Ross et al. 2011).
"""

import random
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.dense import StabilityHead
from encoder.progress import progress_bar
from encoder.tokenizer.incremental import IncrementalTokenizer
from encoder.train.config import StabilityStage
from encoder.train.data.batches import TrainingExample
from encoder.train.stages.live_states import LiveStates, Points, StateCollector
from encoder.train.stages.loop import console
from encoder.train.stages.span_states import SpanRows, fit_confidence, log_loss

BATCH = 1024
CHECKED = 0.1
"""Share of the texts that choose the epoch."""
MOST_STEPS = 8.0
"""Largest weight of a row, in steps: otherwise old words would outweigh those that can still change."""


@dataclass(frozen=True)
class HeldOutSource:
    """Texts and the model that has not seen them."""

    checkpoint: Checkpoint
    examples: Seq[TrainingExample]
    known: Seq[frozenset[str] | None]
    """Types that each source of the examples annotates; None: all."""


class TrainedStability(NamedTuple):
    """The stability head of one tagger, and its span model's weights (2, span_weights)."""

    head: StabilityHead
    spans: NDArray[np.float32]


def train_stability(
    sources: Seq[HeldOutSource], tagger: int, labels: int, options: StabilityStage, seed: int
) -> TrainedStability:
    """Collect states and train the head of one tagger: label set number `tagger`, which has `labels` labels.

    Then the texts are fed once more, with the head, and the confidence in whole spans is fitted.
    """
    rng = random.Random(f"{seed}-stability-{tagger}")
    head: StabilityHead | None = None
    gathered: list[LiveStates] = []
    spans: list[tuple[SpanRows, SpanRows]] = []
    for number in range(options.rounds + 1):
        last = number == options.rounds
        for i, source in enumerate(sources):
            starts_word = IncrementalTokenizer(source.checkpoint.tokenizer).starts_word()
            collector = StateCollector(source.checkpoint, tagger, starts_word)
            examples = _some(source.examples, options.words // len(sources), rng)
            rule = partial(draw_points, trained=head is not None)
            with progress_bar() as bar:
                advance = partial(bar.advance, bar.add_task(f"states {number + 1}.{i + 1}", total=len(examples)))
                twins, known = options.target == "now" and not last, source.known if last else None
                states = collector.collect(examples, rule, head, rng, advance, twins=twins, known=known)
            gathered.append(states)
            spans += collector.span_rows
        if not last:
            head = fit(LiveStates.join(gathered), sources[0].checkpoint.config.hidden, labels, options, seed)
    assert head is not None
    return TrainedStability(head, fit_spans(spans))


def fit_spans(spans: Seq[tuple[SpanRows, SpanRows]]) -> NDArray[np.float32]:
    """Fit both regressions of a span model: (2, span_weights)."""
    found = []
    for name, rows in zip(("stand", "are right"), map(SpanRows.join, zip(*spans, strict=True)), strict=True):
        weights = fit_confidence(rows)
        share = float((rows.outcome * rows.weight).sum() / max(1e-9, float(rows.weight.sum())))
        console.print(
            f"spans: {len(rows.outcome):,} rows, {share:.2%} {name}, log loss {log_loss(rows, weights):.4f}",
            highlight=False,
        )
        found.append(weights)
    return np.stack(found)


def draw_points(rng: random.Random, trained: bool) -> Points:
    """Draw a text's restart rule: a random number of words back, or from the first word that the head doubts."""
    if trained and rng.random() < 0.8:
        threshold = 1 - 10 ** rng.uniform(-2.5, -0.5)
        return partial(_first_below, threshold=threshold)
    return partial(_back, words=rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 9, 99)), rng=rng)


def _first_below(stability: NDArray[np.float32], threshold: float) -> int:
    below = stability < threshold
    return int(below.argmax()) if below.any() else len(stability)


def _back(stability: NDArray[np.float32], words: int, rng: random.Random) -> int:
    return len(stability) - rng.randint(0, words)


def _some(examples: Seq[TrainingExample], words: int, rng: random.Random) -> list[TrainingExample]:
    """Draw random texts with about `words` words in their last segments in total."""
    chosen, count = [], 0
    for example in rng.sample(list(examples), len(examples)):
        if count >= words:
            break
        chosen.append(example)
        count += len(np.unique(example.word[example.sentence == example.sentence[-1]]))
    return chosen


def fit(states: LiveStates, hidden: int, labels: int, options: StabilityStage, seed: int) -> StabilityHead:
    """Train a head on states, by log loss; the epoch that does best on texts left out of training is kept."""
    torch.manual_seed(seed)
    head = StabilityHead(hidden, labels, options.units)
    checked = torch.from_numpy(np.random.default_rng(seed).random(int(states.text.max()) + 1) < CHECKED)
    there = checked[torch.from_numpy(states.text.astype(np.int64))]
    x = _tensors(states, states.agrees if options.target == "now" else states.stands)
    train, check = (~there).nonzero()[:, 0], there.nonzero()[:, 0]
    optimizer = torch.optim.AdamW(head.parameters(), options.lr, weight_decay=0.01)
    steps = options.epochs * (len(train) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps)
    best, kept = float("inf"), {k: v.clone() for k, v in head.state_dict().items()}
    for _ in range(options.epochs):
        for rows in torch.split(train[torch.randperm(len(train))], BATCH):
            loss = _loss(head, x, rows)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            value = float(_loss(head, x, check if len(check) else train))
        if value < best:
            best, kept = value, {k: v.clone() for k, v in head.state_dict().items()}
    head.load_state_dict(kept)
    share = float((x[-1] * x[-2]).sum() / x[-2].sum())
    plain = -(share * np.log(share) + (1 - share) * np.log(1 - share)) if 0 < share < 1 else 0.0
    console.print(
        f"stability: {len(states):,} states, {share:.2%} stand, log loss {best:.4f} (of the share alone {plain:.4f})",
        highlight=False,
    )
    return head.eval()


def _tensors(states: LiveStates, right: NDArray[np.bool_]) -> tuple[torch.Tensor, ...]:
    weight = np.minimum(states.weight, MOST_STEPS)
    return (
        torch.from_numpy(states.hidden),
        torch.from_numpy(states.labels.astype(np.int64)),
        torch.from_numpy(states.features),
        torch.from_numpy(np.log1p(states.unseen.astype(np.float32))),
        torch.from_numpy(weight / weight.mean()),
        torch.from_numpy(right.astype(np.float32)),
    )


def _loss(head: StabilityHead, x: tuple[torch.Tensor, ...], rows: torch.Tensor) -> torch.Tensor:
    hidden, labels, features, unseen, weight, stands = (column[rows] for column in x)
    out = head(head.hidden(hidden.float()), labels, features)
    logit = out[:, 0] + out[:, 1] * unseen
    return F.binary_cross_entropy_with_logits(logit, stands, weight)
