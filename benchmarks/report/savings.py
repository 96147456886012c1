"""Cores and money for live speakers: Hearken, its peers, and the best of them debounced."""

import math
from typing import NamedTuple

from benchmarks.harness.interleaved import SideRow
from benchmarks.harness.tables import Table
from benchmarks.peers import onnx, openvino
from benchmarks.peers import transformers as hugging
from benchmarks.peers.comparison import NO_RESTARTS
from benchmarks.peers.debounce import EVERY_WORD, THIRD_WORD, TIMER, DebounceFigures, count_runs, speech
from benchmarks.peers.report import OURS, PeersReport
from consumers.runtime.capacity import WORDS_A_SECOND

SPEAKERS = (100, 1_000, 10_000)
CORE_MONTH, SHARE = 30.0, 0.7
"""Dollars of a core for a month, and the share of it that is used at most: what a table is made for if nobody says."""
PLAIN_PEERS = (hugging.BATCHED, onnx.NAME, openvino.NAME)


class _Line(NamedTuple):
    side: str
    cpu_ms: float
    """Of a word."""
    late: DebounceFigures | None = None


def savings_table(report: PeersReport, core_month: float = CORE_MONTH, share: float = SHARE) -> Table:
    """Lay out whole cores and dollars a month of each side, at its largest number of sessions and of words.

    Args:
        report: of the peers.
        core_month: price of one core for a month, in dollars.
        share: of a core that is used.
    """
    words, sessions = max((x.words, x.sessions) for x in report.rows)
    rows = [x for x in report.rows if (x.words, x.sessions) == (words, sessions)]
    plain = [x for x in rows if x.side in PLAIN_PEERS]
    lines = [_Line(x.side, x.cpu_ms) for x in sorted(rows, key=_order)]
    if plain:
        best = min(plain, key=lambda x: x.cpu_ms)
        segments = list(speech())
        once = count_runs(EVERY_WORD, segments).runs_a_word
        for rule in (TIMER, THIRD_WORD):
            figures = count_runs(rule, segments)
            lines.append(_Line(f"{best.side}, {rule.name}", best.cpu_ms * figures.runs_a_word / once, figures))

    def cells(line: _Line) -> list[str]:
        late = line.late
        delay = "" if late is None else f"{late.late_ms:,.0f}, {late.late_p99_ms:,.0f}"
        found = [line.side, f"{line.cpu_ms:.2f}", delay, "" if late is None else f"{late.words_behind:.1f}"]
        for speakers in SPEAKERS:
            cores = math.ceil(speakers * WORDS_A_SECOND * line.cpu_ms / 1000 / share)
            found.append(f"{cores:,} (${cores * core_month:,.0f})")
        return found

    heads = ["", "CPU ms a word", "ms behind: mean, p99", "words behind", *(f"{x:,} speakers" for x in SPEAKERS)]
    return Table(
        f"cores, and dollars a month; segments of {words} words, {sessions} sessions", heads, list(map(cells, lines))
    )


def describe_savings(report: PeersReport, core_month: float = CORE_MONTH, share: float = SHARE) -> str:
    """Write the table, and what it was made for, for a page."""
    machine = report.setting.machine.processor or "an unknown processor"
    made = (
        f"Whole cores, of which {share:.0%} are used, and dollars a month at ${core_month:g} a core; speakers of "
        f"{WORDS_A_SECOND:g} words a second. Processor time of a word: tagger `{report.setting.tagger}`, policy "
        f"`{report.setting.policy}`, {machine}, {report.repeats} repeats in turns."
    )
    return f"{made}\n\n{savings_table(report, core_month, share).markdown()}"


def _order(row: SideRow) -> tuple[int, float]:
    """Hearken first, its own variant next, then the cheapest first."""
    return [OURS, NO_RESTARTS, row.side].index(row.side), row.cpu_ms
