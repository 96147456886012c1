"""Tables of the growth benchmark, by part."""

from collections.abc import Mapping
from typing import Any

from benchmarks.growth.subject import PartResult
from benchmarks.harness.tables import Columns, Table, format_number, make_table

PHASES = ("submit", "schedule", "point", "encode", "decode", "emit", "isolate")

_COLUMNS: Mapping[str, tuple[str, Columns[Any]]] = {
    "sessions": (
        "by number of live sessions",
        {
            "sessions": lambda x: f"{x.sessions:,}",
            "ms a word": lambda x: f"{x.ms:.3f}",
            "words/s": lambda x: f"{x.words_per_second:,.0f}",
            "KiB a session": lambda x: "" if x.resident_kib is None else f"{x.resident_kib:,.0f}",
            "in the cache": lambda x: f"{x.cached_kib:,.0f}",
            "at most": lambda x: f"{x.most_kib:,.0f}",
            "evictions a word": lambda x: format_number(x.evictions),
        },
    ),
    "length": (
        "by length of a session",
        {
            "words heard": lambda x: f"{x.words:,}",
            "ms a word": lambda x: f"{x.ms:.3f}",
            "in a short session": lambda x: f"{x.short_ms:.3f}",
            "ratio": lambda x: f"{x.ms / x.short_ms:.2f}",
            "memory, MiB": lambda x: f"{x.resident_mib:,.0f}",
            "pages": lambda x: str(x.pages),
        },
    ),
    "rewriting": (
        "by share of updates that rewrite",
        {
            "updates that rewrite": lambda x: f"{100 * x.share:.0f} %",
            "ms a word": lambda x: f"{x.ms:.3f}",
            "words/s": lambda x: f"{x.words_per_second:,.0f}",
            "words computed a word": lambda x: f"{x.recomputed:.2f}",
            "labels changed a word": lambda x: f"{x.flips:.3f}",
        },
    ),
    "threshold": (
        "restart policies",
        {
            "restart policy": lambda x: f"`{x.policy}`",
            "ms a word": lambda x: f"{x.ms:.3f}",
            "words/s": lambda x: f"{x.words_per_second:,.0f}",
            "words computed a word": lambda x: f"{x.recomputed:.2f}",
            "closing, ms a word": lambda x: f"{x.closing_ms:.3f}",
        },
    ),
    "floors": (
        "floors of a step",
        {
            "sessions": lambda x: f"{x.sessions:,}",
            "step, ms": lambda x: format_number(x.step_ms),
            "MFLOP": lambda x: format_number(x.mflops),
            "at GFLOP/s": lambda x: format_number(x.gflops_rate),
            "arithmetic, ms": lambda x: format_number(x.arithmetic_ms),
            "MiB": lambda x: format_number(x.mib),
            "at GiB/s": lambda x: format_number(x.gib_rate),
            "memory, ms": lambda x: format_number(x.memory_ms),
            "floor in step": lambda x: f"{100 * x.share:.0f} %",
            "floor in tensor part": lambda x: f"{100 * x.tensor_share:.0f} %",
        },
    ),
}


def growth_tables(part: str, found: PartResult[Any]) -> list[Table]:
    """Lay out a part's result."""
    title, columns = _COLUMNS[part]
    left = 1 if part == "threshold" else 0
    return [make_table(title, found.rows, columns, left), *([_phase_table(found)] if part == "floors" else [])]


def _phase_table(found: PartResult[Any]) -> Table:
    """Lay out the phases of a step, as shares of it."""
    columns: dict[str, Any] = {"sessions": lambda x: f"{x.sessions:,}"}
    for phase in PHASES:
        if any(phase in row.phases_ms for row in found.rows):
            columns[phase] = lambda x, phase=phase: (
                f"{100 * x.phases_ms.get(phase, 0.0) / sum(x.phases_ms.values()):.0f} %"
            )
    return make_table("phases of a step", found.rows, columns, 0)
