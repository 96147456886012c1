"""What it costs to have several taggers on one stream: all of them together against the first alone, in turns.

Heads of one trunk share its pass, so they should cost little more than one; taggers of different checkpoints run side
by side, so they cost the sum.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.dense import BenchReport, Times, make_texts, run_engine
from encoder.checkpoints.names import HeadChoice, choose_taggers
from encoder.restart.policies import most_cautious_policy, resolve_policy
from encoder.tagger import Tagger, load_tagger
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.multi_model import MultiModelLabeller


def run_taggers(names: Sequence[str], counts: Sequence[int], words: int, policy: str, repeats: int) -> BenchReport:
    """Measure at each number of sessions; a row's ratio is how many times as long the step takes as the first row's.

    Args:
        names: of taggers, at least two.
        counts: numbers of live sessions.
        words: of each session's segment.
        policy: where restarts begin.
        repeats: of each side, in turns.

    Raises:
        CheckpointError: a tagger cannot be read, or two have the same name.
        PolicyError: the policy cannot be parsed.
    """
    torch.set_num_threads(1)
    chosen = choose_taggers(names)
    loaded = {x.folder: load_tagger(str(x.folder), max_sessions=max(counts)) for x in chosen}
    policy = resolve_policy(
        policy, most_cautious_policy([head.default_policy for x in loaded.values() for head in x.heads])
    )
    first = [HeadChoice(chosen[0].folder, chosen[0].heads[:1])]
    rows = []
    for count in counts:
        texts = make_texts(count, words)
        times = [Times(), Times()]
        for choices in (first, chosen):
            run_engine(_labeller(loaded, choices), texts[:1], policy)  # warm
        for _ in range(repeats):
            for choices, measured in zip((first, chosen), times, strict=True):
                measured.repeats.append(run_engine(_labeller(loaded, choices), texts, policy))
        rows.append(times[0].row(count, _name(first), None))
        rows.append(times[1].row(count, _name(chosen), times[0]))
    formats = ", ".join(dict.fromkeys(x.encoder.number_format for x in loaded.values()))
    return BenchReport(tagger=_name(chosen), policy=policy, words=words, number_format=formats, rows=rows)


def _name(choices: Sequence[HeadChoice]) -> str:
    return " + ".join(head for choice in choices for head in choice.heads)


def _labeller(loaded: dict[Path, Tagger], choices: Sequence[HeadChoice]) -> MultiModelLabeller:
    return MultiModelLabeller([HybridLabeller(loaded[x.folder], x.heads) for x in choices])
