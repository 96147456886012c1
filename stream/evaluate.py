"""Replays labelled sentences word by word through the engine's own labeller, and keeps what stood after each word.

Every sequence is a session with one segment, every word of it an update; many sessions are batched. Knows no files:
tables and plots are made of the `Report` elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from encoder.config import HybridConfig
from encoder.restart import RestartPolicy, parse_policy
from encoder.tagger import Tagger, load_tagger
from encoder.tokenizer import IncrementalTokenizer
from stream.examples import EvaluationError, Example, begin_table, read_examples, word_labels
from stream.hybrid import HybridLabeller
from stream.labeller import Labeller, Live, Reading, Work
from stream.metrics import Chart, Labels
from stream.tally import Metrics, Tally

SEGMENT = "1"
BATCH = 64
"""Sessions that are live at once."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One tagger under one policy."""

    tagger: str
    policy: str
    closing: bool
    """With a closing restart after the last word, whose labels then take the last row's place."""
    metrics: Metrics


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one evaluation found."""

    data: str
    sequences: int
    words: int
    results: list[Result]


def evaluate_policy(
    tagger: Tagger,
    policy: str,
    examples: Sequence[Example],
    *,
    name: str,
    closing: bool,
    advance: Callable[[int], None] = lambda words: None,
) -> list[Result]:
    """Measure one tagger under one policy: without closing restarts, and if `closing`, with them too.

    Args:
        tagger: what labels.
        policy: as `encoder.restart.parse_policy` reads it.
        examples: what is labelled; their gold numbers are those of the tagger's labels.
        name: the tagger's name in the results.
        closing: measure the closing restart as well.
        advance: is told how many words were done.

    Raises:
        PolicyError: the policy cannot be parsed.
    """
    labeller, restart, names = HybridLabeller(tagger), parse_policy(policy), tagger.config.labels
    tallies = {with_closing: Tally(names) for with_closing in ((False, True) if closing else (False,))}
    ordered = sorted(examples, key=lambda example: len(example.ends))
    for group in (ordered[i : i + BATCH] for i in range(0, len(ordered), BATCH)):
        feed = Feed(labeller, restart, group, begin_table(names))
        charts = feed.run(closing, advance)
        counts = [count_tokens(tagger.tokenizer, example) for example in group]
        dense = sum(dense_flops(tagger.config, tokens) for tokens, _ in counts)
        for with_closing, tally in tallies.items():
            for chart, example, (_, words) in zip(charts, group, counts, strict=True):
                kept = chart if with_closing else replace(chart, closed=None, closing=None)
                tally.add(replace(kept, arrived=np.diff(words, prepend=0).tolist()), example.gold)
            tally.add_flops(feed.flops + (feed.closing_flops if with_closing else 0), dense)
    return [
        Result(tagger=name, policy=policy, closing=with_closing, metrics=tally.result())
        for with_closing, tally in tallies.items()
    ]


P = TypeVar("P")


class Feed(Generic[P]):
    """A group of examples fed word by word as live sessions in lock step."""

    def __init__(
        self, labeller: Labeller[P], policy: RestartPolicy, group: Sequence[Example], begins: NDArray[np.int32]
    ) -> None:
        self.flops = 0
        """Of the updates."""
        self.closing_flops = 0
        """Of the closing restarts."""
        self._labeller = labeller
        self._group = group
        self._begins = begins
        self._lives: list[Live[P]] = [labeller.open(policy) for _ in group]

    def run(self, closing: bool, advance: Callable[[int], None] = lambda words: None) -> list[Chart]:
        """Feed every word, close the segments if asked to, and return the charts; once."""
        rows: list[list[Labels]] = [[] for _ in self._group]
        work: list[list[Work]] = [[] for _ in self._group]
        began = self._labeller.counters().flops
        for t in range(max(len(example.ends) for example in self._group)):
            members = [i for i, example in enumerate(self._group) if t < len(example.ends)]
            for i, reading in zip(members, self._step(members, [t] * len(members), False), strict=True):
                rows[i].append(word_labels(reading, self._group[i].ends[: t + 1], self._begins))
                work[i].append(reading.work)
            advance(len(members))
        charts = [Chart(r, work=w) for r, w in zip(rows, work, strict=True)]
        self.flops = self._labeller.counters().flops - began
        if closing:
            charts = self._close(charts)
            self.closing_flops = self._labeller.counters().flops - began - self.flops
        for live in self._lives:
            live.free()
        return charts

    def _close(self, charts: list[Chart]) -> list[Chart]:
        lasts = [len(example.ends) - 1 for example in self._group]
        readings = self._step(range(len(lasts)), lasts, True)
        return [
            replace(chart, closed=word_labels(reading, example.ends, self._begins), closing=reading.work)
            for chart, reading, example in zip(charts, readings, self._group, strict=True)
        ]

    def _step(self, members: Sequence[int], words: Sequence[int], closing: bool) -> list[Reading]:
        """Label each member's text up to and including one of its words."""
        plans = []
        for i, word in zip(members, words, strict=True):
            example = self._group[i]
            plans.append(self._lives[i].plan(SEGMENT, example.text[: example.ends[word]], closing))
        self._labeller.run(plans)
        return [reading for (reading,) in self._labeller.read(plans)]


def count_tokens(tokenizer: IncrementalTokenizer, example: Example) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the tokens, and the tagger's words, that stand after each word of the example arrived: two of (words,)."""
    encoded = tokenizer.encode(example.text)
    words = np.searchsorted(encoded.word_end, example.ends, side="right")
    return encoded.word_token[words].astype(np.int64), words.astype(np.int64)


def dense_flops(config: HybridConfig, tokens: NDArray[np.int64]) -> float:
    """Count the FLOPs of a bidirectional encoder of this shape over texts of so many tokens, one pass each.

    Every linear, both attention products and the head; a text longer than the window is cut to it.
    """
    n = np.minimum(tokens, config.window).astype(np.float64)
    linear = 2 * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    layers = config.layers * (n * linear + n * n * 4 * config.hidden)
    ends = (config.embedding or 0) + len(config.labels)  # what is linear before and behind the layers
    return float((layers + n * 2 * config.hidden * ends).sum())


def progress_bar() -> Progress:
    """Make the bar of words done; it draws on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def evaluate_all(
    data: Path,
    *,
    tagger: str,
    baseline: str | None,
    policies: Sequence[str],
    limit: int | None,
    rename: dict[str, str],
    closing: bool,
) -> Report:
    """Measure a tagger under each policy, and the bidirectional baseline re-run on every word, on one file.

    Raises:
        CheckpointError: a tagger cannot be read.
        ConfigError: the file cannot be read.
        EvaluationError: the file has types that a tagger has not, or the baseline is not bidirectional.
        PolicyError: a policy cannot be parsed.
    """
    torch.set_num_threads(1)
    for policy in policies:
        parse_policy(policy)  # all mistakes before the first hour of work
    plans = [(tagger, policies, closing)]
    if baseline is not None:
        plans.insert(0, (baseline, ["always"], False))
    results: list[Result] = []
    with progress_bar() as bar:
        for name, chosen, with_closing in plans:
            loaded = load_tagger(name)
            if name == baseline and loaded.config.causal_layers:
                raise EvaluationError(f"baseline {name} has causal layers; train one with causal_layers = 0")
            examples = read_examples(data, loaded.config.labels, rename, limit)
            words = sum(len(example.ends) for example in examples)
            for policy in chosen:
                advance = partial(bar.advance, bar.add_task(f"{loaded.name} {policy}", total=words))
                results += evaluate_policy(loaded, policy, examples, name=name, closing=with_closing, advance=advance)
    return Report(data=str(data), sequences=len(examples), words=words, results=results)
