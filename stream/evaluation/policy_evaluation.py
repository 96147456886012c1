"""Evaluation of taggers under restart policies, on labelled text or on recorded live streams, by replay.

Recorded streams have no gold labels. What they rewrite is caused by the input, not by the model, so flips are counted
by cause. Their reference is the tagger's own final labelling under `always`: of each segment once it is complete.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product, zip_longest

from encoder.progress import progress_bar
from encoder.restart.policies import Always, RestartPolicy, parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.metrics.chart_metrics import Labels, SpanCounts, row_spans
from stream.evaluation.metrics.corpus_metrics import CorpusTally
from stream.evaluation.metrics.report import Agreement, EvaluationReport, PolicyResult, compare, summarize
from stream.evaluation.replay.examples import EvaluationError, LabelledFile, LabelledText, batch_examples
from stream.evaluation.replay.oracle import ORACLE, OracleReplay
from stream.evaluation.replay.shown_spans import EmissionLevels
from stream.evaluation.replay.stream_replay import NO_LEVELS, Advance, StreamReplay
from stream.evaluation.replay.update_stream import message_stream, word_stream
from stream.labelling.hybrid import HybridLabeller
from stream.messages.types import Message, Update
from stream.revisions.emission import parse_emission


class EvaluationTask(LabelledFile, frozen=True, kw_only=True):
    """Evaluation of taggers on a file, or on `messages`, which `data` then only names."""

    messages: Sequence[Message] | None = None
    """Recorded streams in normal form, in order; they are evaluated instead of a file."""
    taggers: tuple[str, ...]
    """Several taggers are seeds of one recipe."""
    baselines: tuple[str, ...] = ()
    """Bidirectional checkpoints, which are run again on every update."""
    policies: tuple[str, ...]
    """As `encoder.restart.policy_text.resolve_policy` reads them; or, for a file, `oracle`."""
    closing: bool = True
    """Whether closing restarts are measured too."""
    stability: tuple[str, ...] = ()
    """Emission levels (`stream.revisions.emission.parse_emission`): for each, the labels that readers are shown are
    measured. If there is none, the labels that are found are measured.
    """
    number_format: str = "auto"
    """Number format of the encoder's products (`encoder.runtime.number_format`)."""


def run_evaluation(task: EvaluationTask, command: str = "") -> EvaluationReport:
    """Measure taggers under each policy, and bidirectional baselines that are run again on every update.

    Args:
        task: what is measured.
        command: the command line, for the report.

    Raises:
        CheckpointError: a tagger cannot be read.
        ConfigError: the file cannot be read.
        NumberFormatError: the number format is unknown, or this machine does not have it.
        EmissionError: an emission level cannot be parsed.
        EvaluationError: the file has types that a tagger lacks, or a baseline is not bidirectional.
        PolicyError: a policy cannot be parsed.
    """
    _check(task)
    results: list[PolicyResult] = []
    with progress_bar() as bar:
        for name in (*task.baselines, *task.taggers):
            tagger = load_single_tagger(name, number_format=task.number_format)
            messages = task.messages or ()
            examples = task.read_examples(tagger.config.labels) if task.messages is None else []
            total = sum(len(example.ends) for example in examples) or len(messages)
            is_baseline = name in task.baselines
            policies = ("always",) if is_baseline else task.policies
            results += evaluate_policies(
                tagger,
                {x: partial(bar.advance, bar.add_task(f"{tagger.name} {x}", total=total)) for x in policies},
                name=name,
                examples=examples,
                messages=messages,
                closing=task.closing and not is_baseline,
                stability=() if is_baseline else task.stability,
            )
    updates = None if task.messages is None else sum(isinstance(x, Update) for x in task.messages)
    return EvaluationReport(
        data=str(task.data),
        sequences=results[0].metrics.segments,
        words=results[0].metrics.words,
        results=results,
        command=command,
        spoken=task.spoken,
        join=task.join,
        updates=updates,
        baselines=list(task.baselines),
        summary=summarize(results, task.baselines),
        gains=compare(results, task.baselines),
    )


def _check(task: EvaluationTask) -> None:
    """Find mistakes before hours of work."""
    for level in task.stability:
        parse_emission(level)
    for name in (*task.baselines, *task.taggers):
        tagger = load_single_tagger(name, number_format=task.number_format)
        if name in task.baselines and tagger.config.causal_layers:
            raise EvaluationError(f"baseline {name} has causal layers; train one with causal_layers = 0")
        for policy in () if name in task.baselines else task.policies:
            if policy != ORACLE or task.messages is not None:
                resolve_policy(policy, tagger.default_policy)
        if task.messages is None:
            task.read_examples(tagger.config.labels)


def evaluate_policies(
    tagger: Tagger,
    policies: Mapping[str, Advance],
    *,
    name: str,
    examples: Sequence[LabelledText] = (),
    messages: Sequence[Message] = (),
    closing: bool,
    stability: Sequence[str] = (),
) -> list[PolicyResult]:
    """Measure one tagger under each policy: without closing restarts, and if `closing`, with them too.

    Args:
        tagger: what is measured.
        policies: what receives the progress of each policy.
        name: name of the tagger in the results.
        examples: labelled text; its gold labels are numbered as those of the tagger.
        messages: recorded streams in normal form, in order, in place of labelled text.
        closing: whether closing restarts are measured too.
        stability: as in `EvaluationTask`.

    Raises:
        EmissionError: an emission level cannot be parsed.
        PolicyError: a policy cannot be parsed.
    """
    labels, results = tagger.config.labels, []
    levels = EmissionLevels(labels, [parse_emission(level) for level in stability])
    kinds = list(product(stability or ("",), (False, True) if closing else (False,)))
    reference = [x.final for x in _replay_messages(tagger, Always(), messages).run()] if messages else []
    for policy, advance in policies.items():
        tallies = {kind: CorpusTally(labels) for kind in kinds}
        finals = defaultdict[tuple[str, bool], list[Labels]](list)
        for replay in _replays(tagger, policy, examples, messages, closing, levels):
            found = replay.run(advance)
            dense = replay.dense_flops
            charts = dict(zip(stability, replay.charts_shown, strict=True)) or {"": found}
            for (level, with_closing), tally in tallies.items():
                for chart, example in zip_longest(charts[level], replay.gold):
                    kept = chart if with_closing else chart.unclosed()
                    gold, marks = (example.gold, example.marks) if example else (None, None)
                    tally.add(kept, gold, marks)
                    finals[level, with_closing].append(kept.final)
                spent = replay.flops + (replay.closing_flops if with_closing else 0)
                tally.add_flops(spent, *dense)
        results += [
            PolicyResult(
                tagger=name,
                policy=policy,
                closing=kind[1],
                metrics=tally.result(),
                emission=kind[0],
                agreement=None if examples else measure_agreement(finals[kind], reference, labels),
            )
            for kind, tally in tallies.items()
        ]
    return results


def _replays(
    tagger: Tagger,
    policy: str,
    examples: Sequence[LabelledText],
    messages: Sequence[Message],
    closing: bool,
    levels: EmissionLevels,
) -> Iterator[StreamReplay]:
    labels = tagger.config.labels
    oracle = policy == ORACLE and not messages
    restarts = Always() if oracle else parse_policy(resolve_policy(policy, tagger.default_policy))
    if not examples:
        yield _replay_messages(tagger, restarts, messages, levels)
    for numbers in batch_examples(examples):
        labeller, group = HybridLabeller(tagger), [examples[i] for i in numbers]
        if oracle:
            yield OracleReplay(labeller, group, labels, closing=closing, levels=levels, tagger=tagger)
        else:
            yield StreamReplay(labeller, restarts, word_stream(group, labels, closing=closing), levels, tagger)


def _replay_messages(
    tagger: Tagger, policy: RestartPolicy, messages: Sequence[Message], levels: EmissionLevels = NO_LEVELS
) -> StreamReplay:
    return StreamReplay(HybridLabeller(tagger), policy, message_stream(messages), levels, tagger)


def measure_agreement(finals: Sequence[Labels], reference: Sequence[Labels], names: tuple[str, ...]) -> Agreement:
    """Compare final labels with those of `always`, segment by segment; the words are the same under any policy."""
    score = SpanCounts()
    right = whole = words = 0
    for final, expected in zip(finals, reference, strict=True):
        same = final == expected
        right += int(same.sum())
        words += len(same)
        whole += bool(same.all())
        score.add(*row_spans([final, expected], names))
    return Agreement(
        words=right / words if words else 1.0,
        segments=whole / len(finals) if finals else 1.0,
        f1=score.f1 if score.found + score.wanted else 1.0,
    )
