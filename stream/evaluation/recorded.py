"""Measures taggers under restart policies on recorded live streams, which have no reference labels.

What the streams rewrite is theirs, not the model's: flips are told apart by cause. In place of a reference there is the
tagger's own last word: what it says of each segment once all of it is there.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product

import torch

from encoder.restart.policies import parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.labelled import Plan, check_baseline
from stream.evaluation.metrics.chart_metrics import Chart, Labels, SpanCounts, row_spans
from stream.evaluation.metrics.corpus_metrics import CorpusTally, Metrics
from stream.evaluation.metrics.report import Agreement, EvaluationReport, PolicyResult, compare, summarize
from stream.evaluation.progress import progress_bar
from stream.evaluation.replay.message_replay import MessageReplay
from stream.evaluation.replay.shown_spans import EmissionLevels
from stream.evaluation.replay.word_by_word import Advance
from stream.messages.types import Message, Update
from stream.revisions.emission import parse_emission


def evaluate_streams(
    messages: Sequence[Message],
    *,
    source: str,
    taggers: Sequence[str],
    baselines: Sequence[str],
    policies: Sequence[str],
    closing: bool,
    stability: Sequence[str] = (),
    command: str = "",
) -> EvaluationReport:
    """Measure taggers under each policy, and bidirectional baselines re-run on every update.

    Args:
        messages: in normal form, in order.
        source: where they are from, for the report.
        taggers: several are seeds of one recipe.
        baselines: bidirectional checkpoints.
        policies: as `encoder.restart.policy_text.resolve_policy` reads them.
        closing: measure closing restarts as well.
        stability: levels under which what readers are shown is measured; none: what is found is.
        command: what was typed, for the report.

    Raises:
        CheckpointError: a tagger cannot be read.
        EmissionError: a level of stability cannot be parsed.
        EvaluationError: a baseline is not bidirectional.
        PolicyError: a policy cannot be parsed.
    """
    torch.set_num_threads(1)
    for policy in policies:
        if ":" in policy:  # the others may need the tagger to be known
            parse_policy(policy)
    for level in stability:
        parse_emission(level)
    plans: list[Plan] = [(name, ("always",), False, ()) for name in baselines]
    plans += [(name, tuple(policies), closing, tuple(stability)) for name in taggers]
    results: list[PolicyResult] = []
    with progress_bar() as bar:
        for name, chosen, with_closing, levels in plans:
            tagger = load_single_tagger(name)
            check_baseline(name, tagger, baselines)
            bars: dict[str, Advance] = {
                x: partial(bar.advance, bar.add_task(f"{tagger.name} {x}", total=len(messages))) for x in chosen
            }
            results += replay_policies(tagger, bars, messages, name=name, closing=with_closing, stability=levels)
    return EvaluationReport(
        data=source,
        sequences=results[0].metrics.segments,
        words=results[0].metrics.words,
        results=results,
        command=command,
        updates=sum(isinstance(message, Update) for message in messages),
        baselines=list(baselines),
        summary=summarize(results, baselines),
        gains=compare(results, baselines),
    )


def replay_policies(
    tagger: Tagger,
    policies: dict[str, Advance],
    messages: Sequence[Message],
    *,
    name: str,
    closing: bool,
    stability: Sequence[str] = (),
) -> list[PolicyResult]:
    """Measure one tagger under each policy.

    Args:
        tagger: what labels.
        policies: and who is told of the progress of each.
        messages: in normal form, in order.
        name: the tagger's name in the results.
        closing: measure closing restarts as well.
        stability: levels under which what readers are shown is measured; none: what is found is.
    """
    reference, results = [chart.final for chart in MessageReplay(tagger, parse_policy("always"), messages).run()], []
    levels = EmissionLevels(tagger.config.labels, [parse_emission(level) for level in stability])
    for policy, advance in policies.items():
        replay = MessageReplay(tagger, parse_policy(resolve_policy(policy, tagger.default_policy)), messages, levels)
        found = replay.run(advance)
        charts = dict(zip(stability, replay.charts_shown, strict=True)) or {"": found}
        for level, with_closing in product(charts, (False, True) if closing else (False,)):
            kept = charts[level] if with_closing else [chart.unclosed() for chart in charts[level]]
            spent = replay.flops + (replay.closing_flops if with_closing else 0)
            results.append(
                PolicyResult(
                    tagger=name,
                    policy=policy,
                    closing=with_closing,
                    metrics=_measure(kept, replay, spent, tagger.config.labels),
                    emission=level,
                    agreement=agree(kept, reference, tagger.config.labels),
                )
            )
    return results


def _measure(charts: Sequence[Chart], replay: MessageReplay, spent: int, names: tuple[str, ...]) -> Metrics:
    tally = CorpusTally(names)
    for chart in charts:
        tally.add(chart)
    tally.add_flops(spent, replay.dense, replay.dense_open)
    return tally.result()


def agree(charts: Sequence[Chart], reference: Sequence[Labels], names: tuple[str, ...]) -> Agreement:
    """Set final labels beside those of `always`, segment by segment; a segment has the same words under any policy."""
    score = SpanCounts()
    right = whole = words = 0
    for chart, expected in zip(charts, reference, strict=True):
        same = chart.final == expected
        right += int(same.sum())
        words += len(same)
        whole += bool(same.all())
        score.add(*row_spans([chart.final, expected], names))
    return Agreement(
        words=right / words if words else 1.0,
        segments=whole / len(charts) if charts else 1.0,
        f1=score.f1 if score.found + score.wanted else 1.0,
    )
