"""Measures taggers under restart policies on labelled text, through the engine's own labeller.

Every word is an update; many sessions are batched. Knows no files but the data: tables and plots are made of the
`EvaluationReport` elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from encoder.restart.policies import parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.metrics.corpus_metrics import CorpusTally
from stream.evaluation.metrics.report import EvaluationReport, PolicyResult, compare, summarize
from stream.evaluation.progress import progress_bar
from stream.evaluation.replay.examples import EvaluationError, LabelledText, begin_table, read_examples, sessions_of
from stream.evaluation.replay.flops import count_tokens, dense_flops
from stream.evaluation.replay.oracle import ORACLE, OracleFeed
from stream.evaluation.replay.shown_spans import EmissionLevels
from stream.evaluation.replay.word_by_word import Advance, Feed, ignore
from stream.labelling.hybrid import HybridLabeller
from stream.revisions.emission import parse_emission

BATCH = 64
"""Sessions that are live at once."""


class EvaluationTask(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured."""

    data: Path
    taggers: tuple[str, ...]
    """Several: seeds of one recipe."""
    baselines: tuple[str, ...] = ()
    """Bidirectional checkpoints, re-run on every word."""
    policies: tuple[str, ...]
    """As `encoder.restart.policy_text.resolve_policy` reads them, and `oracle`."""
    limit: int | None = None
    rename: dict[str, str] = {}
    closing: bool = True
    spoken: bool = False
    join: int | None = None
    stability: tuple[str, ...] = ()
    """Levels (`stream.revisions.emission.parse_emission`): what readers are shown is measured, in place of what is
    found.
    """
    number_format: str = "auto"
    """Of the encoder's products (`encoder.runtime.number_format`)."""


def evaluate_policy(
    tagger: Tagger,
    policy: str,
    examples: Sequence[LabelledText],
    *,
    name: str,
    closing: bool,
    advance: Advance = ignore,
    stability: Sequence[str] = (),
) -> list[PolicyResult]:
    """Measure one tagger under one policy: without closing restarts, and if `closing`, with them too.

    Args:
        tagger: what labels.
        policy: as `encoder.restart.policy_text.resolve_policy` reads it, or `oracle`.
        examples: what is labelled; their gold numbers are those of the tagger's labels.
        name: the tagger's name in the results.
        closing: measure the closing restart as well.
        advance: is told how many words were done.
        stability: levels under which what readers are shown is measured; none: what is found is.

    Raises:
        EmissionError: there is no such level.
        PolicyError: the policy cannot be parsed.
    """
    kinds = list(product(stability or ("",), (False, True) if closing else (False,)))
    tallies = {kind: CorpusTally(tagger.config.labels) for kind in kinds}
    levels = EmissionLevels(tagger.config.labels, [parse_emission(level) for level in stability])
    for group in _batches(examples):
        feed = _feed(tagger, policy, group, levels)
        found = feed.run(closing, advance)
        charts = dict(zip(stability, feed.charts_shown(), strict=True)) or {"": found}
        arrived, dense, dense_open = _count(tagger, group)
        for (level, with_closing), tally in tallies.items():
            for chart, example, words in zip(charts[level], group, arrived, strict=True):
                kept = chart if with_closing else chart.unclosed()
                tally.add(replace(kept, arrived=words), example.gold, example.marks)
            tally.add_flops(feed.flops + (feed.closing_flops if with_closing else 0), dense, dense_open)
    return [
        PolicyResult(tagger=name, policy=policy, closing=with_closing, metrics=tally.result(), emission=level)
        for (level, with_closing), tally in tallies.items()
    ]


def _feed(tagger: Tagger, policy: str, group: Sequence[LabelledText], levels: EmissionLevels) -> Feed[Any]:
    labeller, begins = HybridLabeller(tagger), begin_table(tagger.config.labels)
    if policy == ORACLE:
        return OracleFeed(labeller, group, begins, levels)
    return Feed(labeller, parse_policy(resolve_policy(policy, tagger.default_policy)), group, begins, levels)


def _batches(examples: Sequence[LabelledText]) -> Iterator[list[LabelledText]]:
    """Sessions of about one length together, whole; the examples of one session stay in order."""
    sessions = sorted(sessions_of(examples), key=lambda session: sum(len(example.ends) for example in session))
    for i in range(0, len(sessions), BATCH):
        yield [example for session in sessions[i : i + BATCH] for example in session]


def _count(tagger: Tagger, group: Sequence[LabelledText]) -> tuple[list[list[int]], float, float]:
    """Count the tagger's words that arrive with each word of each example, and the FLOPs of the dense encoder.

    Returns:
        Words that arrive; the FLOPs of a re-run, on every word, over the session's last tokens, as many as the window
        has; and those of one over the open segment alone, cut to the window as well.
    """
    arrived, dense, dense_open = [], 0.0, 0.0
    for session in sessions_of(group):
        before = 0
        for example in session:
            tokens, words = count_tokens(tagger.tokenizer, example)
            arrived.append(np.diff(words, prepend=0).tolist())
            dense += dense_flops(tagger.config, before + tokens)
            dense_open += dense_flops(tagger.config, tokens)
            before += int(tokens[-1])
    return arrived, dense, dense_open


def check_baseline(name: str, tagger: Tagger, baselines: Sequence[str]) -> None:
    """Check that what is called a baseline is bidirectional.

    Raises:
        EvaluationError: it is not.
    """
    if name in baselines and tagger.config.causal_layers:
        raise EvaluationError(f"baseline {name} has causal layers; train one with causal_layers = 0")


def _check(task: EvaluationTask) -> None:
    """All mistakes before the first hour of work."""
    for level in task.stability:
        parse_emission(level)
    for name in (*task.baselines, *task.taggers):
        tagger = load_single_tagger(name, number_format=task.number_format)
        check_baseline(name, tagger, task.baselines)
        for policy in () if name in task.baselines else task.policies:
            if policy != ORACLE:
                resolve_policy(policy, tagger.default_policy)
        _read(task, tagger)


def _read(task: EvaluationTask, tagger: Tagger) -> list[LabelledText]:
    labels = tagger.config.labels
    return read_examples(task.data, labels, task.rename, task.limit, spoken=task.spoken, join=task.join)


Plan = tuple[str, tuple[str, ...], bool, tuple[str, ...]]
"""A tagger, its policies, whether to close, and levels of stability."""


def evaluate_all(task: EvaluationTask, command: str = "") -> EvaluationReport:
    """Measure taggers under each policy, and bidirectional baselines re-run on every word, on one file.

    Args:
        task: what is measured.
        command: what was typed, for the report.

    Raises:
        CheckpointError: a tagger cannot be read.
        ConfigError: the file cannot be read.
        NumberFormatError: a number format that there is not, or not here.
        EmissionError: a level of stability cannot be parsed.
        EvaluationError: the file has types that a tagger has not, or a baseline is not bidirectional.
        PolicyError: a policy cannot be parsed.
    """
    torch.set_num_threads(1)
    _check(task)
    plans: list[Plan] = [(name, ("always",), False, ()) for name in task.baselines]
    plans += [(name, task.policies, task.closing, task.stability) for name in task.taggers]
    results: list[PolicyResult] = []
    with progress_bar() as bar:
        for name, policies, closing, stability in plans:
            loaded = load_single_tagger(name, number_format=task.number_format)
            examples = _read(task, loaded)
            words = sum(len(example.ends) for example in examples)
            for policy in policies:
                advance = partial(bar.advance, bar.add_task(f"{loaded.name} {policy}", total=words))
                results += evaluate_policy(
                    loaded, policy, examples, name=name, closing=closing, advance=advance, stability=stability
                )
    return EvaluationReport(
        data=str(task.data),
        sequences=len(examples),
        words=words,
        results=results,
        command=command,
        spoken=task.spoken,
        join=task.join,
        baselines=list(task.baselines),
        summary=summarize(results, task.baselines),
        gains=compare(results, task.baselines),
    )
