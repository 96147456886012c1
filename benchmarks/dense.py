"""Words a second and step latency of live sessions, against the same weights re-run densely on every word.

All sides run in one process on one thread, in turns, so that whatever else the machine does meets them alike. The dense
sides get more than the engine: their texts are tokenised and laid out as tensors beforehand, and they need not say
what changed. The packed re-run has the engine's kernels and no padding but keeps nothing: what it is slower by than
the engine is what caches and restart points save, the rest is the kernels.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.model.dense import HybridModel
from encoder.restart.policies import parse_policy, resolve_policy
from encoder.runtime.interface import Encoder
from encoder.runtime.passes import Pass
from encoder.tagger import Tagger, load_single_tagger
from stream.engine.engine import Engine
from stream.labelling.labeller import Labeller
from stream.messages.types import End, Update

OURS, ALONE, BATCHED, PACKED = "hearken", "re-run one by one", "re-run batched", "re-run packed"
DENSE_EVERY = 4
"""The dense sides run only on every fourth word, another fourth in each repeat: they take minutes otherwise."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One side at one number of sessions; rates are words a second over all sessions."""

    sessions: int
    side: str
    words_per_second: float
    """Median over the repeats."""
    slowest: float
    fastest: float
    p50_ms: float
    """Of one step: a word for every session."""
    p99_ms: float
    ratio: float | None
    """How many times as fast `hearken` is, median against median."""


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one bench found."""

    tagger: str
    policy: str
    words: int
    number_format: str
    """Of the engine and the packed side; the dense sides have the faster one on this machine."""
    rows: list[Row]


@dataclass(slots=True)
class Times:
    """Seconds of steps, one list a repeat."""

    repeats: list[list[float]] = field(default_factory=list)

    def row(self, sessions: int, side: str, ours: "Times | None") -> Row:
        """Sum them up, against another side if there is one."""
        rates = [sessions * len(seconds) / sum(seconds) for seconds in self.repeats]
        steps = [1000 * second for seconds in self.repeats for second in seconds]
        rate = float(np.median(rates))
        return Row(
            sessions=sessions,
            side=side,
            words_per_second=rate,
            slowest=min(rates),
            fastest=max(rates),
            p50_ms=float(np.percentile(steps, 50)),
            p99_ms=float(np.percentile(steps, 99)),
            ratio=None if ours is None else ours.row(sessions, side, None).words_per_second / rate,
        )


def run_bench(
    name: str, counts: Sequence[int], words: int, policy: str, repeats: int, number_format: str = "auto"
) -> BenchReport:
    """Measure all sides for each number of sessions; `number_format` is that of the engine.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    tagger = load_single_tagger(name, max_sessions=2 * max(counts) + 1, number_format=number_format)  # slots for packed
    policy = resolve_policy(policy, tagger.default_policy)
    dense, dense_format = fastest_model(load_checkpoint(name).dense_model())
    rows: list[Row] = []
    for count in counts:
        rows += _compare(tagger, dense, make_texts(count, words), words, policy, repeats)
    formats = f"{tagger.encoder.number_format}, dense {dense_format}"
    return BenchReport(tagger=tagger.name, policy=policy, words=words, number_format=formats, rows=rows)


def _compare(
    tagger: Tagger, dense: HybridModel, texts: list[list[str]], words: int, policy: str, repeats: int
) -> list[Row]:
    """Run the sides in turns, and once unmeasured before."""
    tokens = [[_tokens(tagger, text[: t + 1]) for text in texts] for t in range(words)]
    batches = [dense_batch([torch.from_numpy(ids).long() for ids in step]) for step in tokens]
    alone = [[dense_batch([torch.from_numpy(ids).long()]) for ids in step] for step in tokens]
    times = {side: Times() for side in (OURS, ALONE, BATCHED, PACKED)}
    run_engine(tagger, texts[:1], policy)
    run_dense(dense, [[batch] for batch in batches[:2]])
    for repeat in range(repeats):
        due = slice(repeat % DENSE_EVERY, None, DENSE_EVERY)
        times[OURS].repeats.append(run_engine(tagger, texts, policy))
        times[ALONE].repeats.append(run_dense(dense, alone[due]))
        times[BATCHED].repeats.append(run_dense(dense, [[batch] for batch in batches[due]]))
        times[PACKED].repeats.append(run_packed(tagger.encoder, tokens[due]))
    return [times[side].row(len(texts), side, None if side == OURS else times[OURS]) for side in times]


def _tokens(tagger: Tagger, words: list[str]) -> NDArray[np.int32]:
    """Give the dense sides' tokens of a text, (n,): no more than one window of them."""
    return tagger.tokenizer.encode(" ".join(words)).ids[-tagger.config.window :]


def run_engine(tagger: Tagger | Labeller[Any], texts: list[list[str]], policy: str) -> list[float]:
    """Feed every session one word a step; returns the seconds of each step, from messages in to revisions out."""
    engine = Engine(tagger, parse_policy(policy))
    seconds = []
    offset = 0
    for t in range(len(texts[0])):
        updates = [Update(session=f"s{i}", segment="1", text=" ".join(text[: t + 1])) for i, text in enumerate(texts)]
        began = time.perf_counter()
        for update in updates:
            engine.submit(update, offset)
            offset += 1
        while engine.pending:
            engine.step()
        seconds.append(time.perf_counter() - began)
    for i in range(len(texts)):
        engine.submit(End(session=f"s{i}"), offset + i)
    while engine.pending:
        engine.step()
    return seconds


def run_dense(model: HybridModel, steps: Sequence[Sequence[tuple[Tensor, Tensor, Tensor]]]) -> list[float]:
    """Run the model over each step's batches and take the best label of each token; returns each step's seconds."""
    seconds = []
    with torch.inference_mode():
        for batches in steps:
            began = time.perf_counter()
            for ids, positions, last in batches:
                model(ids, positions, last).argmax(-1)
            seconds.append(time.perf_counter() - began)
    return seconds


def run_packed(encoder: Encoder, steps: Sequence[Sequence[NDArray[np.int32]]]) -> list[float]:
    """Run the engine's encoder over each step's texts (each (n,)) from nothing; returns each step's seconds."""
    slots = [encoder.open_slot() for _ in steps[0]]
    seconds = []
    for texts in steps:
        began = time.perf_counter()
        passes = [Pass(slot, 0, ids, 0, 0) for slot, ids in zip(slots, texts, strict=True)]
        encoder.step(passes).logits.argmax(-1)
        seconds.append(time.perf_counter() - began)
    for slot in slots:
        encoder.free_slot(slot)
    return seconds


def dense_batch(texts: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Pad token ids (each (n,)) to a batch: ids, positions and last visible key, each (B, T)."""
    ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    lengths = torch.tensor([len(text) for text in texts])
    return ids, torch.arange(ids.shape[1]).expand_as(ids), (lengths - 1)[:, None].expand_as(ids)


def fastest_model(model: HybridModel) -> tuple[HybridModel, str]:
    """Return the model in the number format in which this machine runs it faster, and that format's name."""
    batch = dense_batch([torch.arange(min(64, model.config.positions)) % model.config.vocab_size] * 8)
    half = HybridModel(model.config).eval()
    half.load_state_dict(model.state_dict())
    half = half.to(torch.bfloat16)
    seconds: dict[str, float] = {}
    for name, candidate in (("float32", model), ("bfloat16", half)):
        run_dense(candidate, [[batch]])
        seconds[name] = min(run_dense(candidate, [[batch]] * 3))
    return (half, "bfloat16") if seconds["bfloat16"] < seconds["float32"] else (model, "float32")


def make_texts(sessions: int, words: int, seed: int = 7) -> list[list[str]]:
    """Make up spoken-like text: that many words for each session, other ones for each."""
    return [_ramble(random.Random(seed * 1_000_003 + i), words) for i in range(sessions)]


def _ramble(rng: random.Random, words: int) -> list[str]:
    said: list[str] = []
    while len(said) < words:
        if rng.random() < 0.3:
            said.append(rng.choice(FILLERS))
        template = rng.choice(TEMPLATES)
        said += [rng.choice(FILLINGS[word]) if word in FILLINGS else word for word in template.split()]
    return " ".join(said).split()[:words]


FILLERS = ["um", "uh", "well", "you know", "i mean", "so", "right", "and"]
TEMPLATES = [
    "PERSON told us on DAY that ORG will open another office in PLACE",
    "we were in PLACE with PERSON and PERSON until DAY morning",
    "the thing about ORG is that nobody in PLACE had heard of it before DAY",
    "i i spoke to PERSON from ORG and she said they are moving to PLACE",
    "did you see PERSON at the EVENT in PLACE",
    "it was DAY no sorry it was the week after the EVENT when PERSON called",
    "my brother bought a PRODUCT in PLACE and it it never worked",
    "they say that the EVENT is going to be in PLACE next year",
    "that was PERSON of ORG speaking to us from PLACE",
    "we had the PRODUCT for three weeks and then ORG took it back",
]
FILLINGS = {
    "PERSON": ["mira vansen", "doctor osei", "helen rice", "tam", "priya nair", "old mister alcott", "joanna"],
    "PLACE": ["lisbon", "glasgow", "the north of italy", "rotterdam", "new mexico", "millbrook", "peru"],
    "ORG": ["atlas civil works", "the county council", "volvo", "harbour radio", "the museum", "kanelec"],
    "DAY": ["monday", "last friday", "the third of may", "tuesday", "half past six", "christmas"],
    "EVENT": ["regatta", "book fair", "world cup", "spring congress", "film festival"],
    "PRODUCT": ["skyhawk two", "sonoscan", "washing machine", "volvo", "little red radio"],
}
