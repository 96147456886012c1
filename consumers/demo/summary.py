"""Figures of one run of the demo."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from stream.sessions.stats import EngineStats


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """The figures of one run.

    Args:
        stats: counters of the engine.
        latencies: seconds from sending an update to reading its revision.
        seconds: duration of the replay.
        dead_letters: number of records that could not be processed.
    """

    stats: EngineStats
    latencies: Sequence[float]
    seconds: float
    dead_letters: int

    def rows(self) -> list[tuple[str, str]]:
        """Names and figures in the order of the table."""
        stats = self.stats
        flips = f"{stats.flips_model} by the model, {stats.flips_input} by rewritten input"
        rows = [
            ("words", f"{stats.words} in {self.seconds:.1f} s"),
            ("revisions", f"{stats.revisions} for {stats.messages} updates"),
            ("words recomputed a word", f"{stats.words_recomputed / max(1, stats.words):.2f}"),
            ("labels of words that flipped", flips),
        ]
        if self.latencies:
            p50, p99 = np.percentile(np.array(self.latencies) * 1000, (50, 99))
            rows.append(("latency, update sent to label read", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"))
        if self.dead_letters:
            rows.append(("dead letters", str(self.dead_letters)))
        return rows

    def table(self) -> Table:
        """Table of the figures for a console."""
        table = Table.grid(padding=(0, 3))
        for name, figure in self.rows():
            table.add_row(name, figure)
        return table
