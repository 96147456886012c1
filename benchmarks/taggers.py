"""Cost of several taggers on one stream: all of them together against the first alone, in turns.

Heads of one trunk share its pass, so they should cost little more than one; taggers of different checkpoints run side
by side, so they cost the sum.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import torch

from benchmarks.harness.engine_feed import time_words
from benchmarks.harness.interleaved import Run, Side, SideRow, interleave
from benchmarks.harness.machine import Setting, this_machine
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, format_number, format_ratio, make_table
from benchmarks.harness.texts import make_texts
from encoder.checkpoints.names import HeadChoice, choose_taggers
from encoder.restart.policy_text import most_cautious_policy, resolve_policy
from encoder.tagger import Tagger, load_tagger
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.multi_model import MultiModelLabeller


class TaggersReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results: at each number of sessions a row of the first tagger alone, then one of all."""

    setting: Setting
    words: int
    rows: list[SideRow]

    def ratio(self, row: SideRow) -> float | None:
        """Return how many times as long as the first tagger alone a step takes; None for the first alone."""
        first = next(x for x in self.rows if x.sessions == row.sessions)
        return None if first is row else first.words_per_second / row.words_per_second


def run_taggers(
    names: Sequence[str], counts: Sequence[int], words: int, policy: str, repeats: int, progress: ReportProgress
) -> TaggersReport:
    """Measure at each number of sessions.

    Args:
        names: of taggers, at least two.
        counts: numbers of live sessions.
        words: of each session's segment.
        policy: restart policy.
        repeats: of each side, in turns.
        progress: called with what is done next.

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
    choices = [[HeadChoice(chosen[0].folder, chosen[0].heads[:1])], chosen]
    rows = []
    for number, count in enumerate(counts):
        progress(f"{count:,} sessions", number / len(counts))
        texts = make_texts(count, words)
        measures = [partial(time_words, _make_labeller(loaded, x), policy) for x in choices]
        for measure in measures:
            measure(texts[:1])  # compiles what is compiled
        runs = interleave([partial(measure, texts) for measure in measures], repeats)
        for choice, found in zip(choices, runs, strict=True):
            rows.append(Side(_name_of(choice), "", count, [Run(steps) for steps in found]).row(words, count))
    formats = ", ".join(dict.fromkeys(x.encoder.number_format for x in loaded.values()))
    setting = Setting(machine=this_machine(), tagger=_name_of(chosen), policy=policy, number_format=formats)
    return TaggersReport(setting=setting, words=words, rows=rows)


def taggers_tables(report: TaggersReport) -> list[Table]:
    """Lay out the results."""
    title = f"{report.setting.tagger}, {report.setting.policy}, {report.words} words a segment"
    columns = {
        "sessions": lambda x: f"{x.sessions:,}",
        "side": lambda x: x.side,
        "words/s": lambda x: f"{x.words_per_second:,.0f}",
        "spread": lambda x: f"{x.slowest:,.0f} - {x.fastest:,.0f}",
        "p50 ms": lambda x: format_number(x.p50_ms),
        "p99 ms": lambda x: format_number(x.p99_ms),
        "cost": lambda x: format_ratio(report.ratio(x) or 1.0),
    }
    return [make_table(f"{title}, {report.setting.number_format}", report.rows, columns, left=2)]


def _name_of(choices: Sequence[HeadChoice]) -> str:
    return " + ".join(head for choice in choices for head in choice.heads)


def _make_labeller(loaded: dict[Path, Tagger], choices: Sequence[HeadChoice]) -> MultiModelLabeller:
    return MultiModelLabeller([HybridLabeller(loaded[x.folder], x.heads) for x in choices])
