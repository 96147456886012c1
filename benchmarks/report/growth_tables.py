"""What the bench of growth found, as tables."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.growth.rewriting import RewritingRow
from benchmarks.growth.roofline import FloorRow
from benchmarks.growth.session_count import SessionsRow
from benchmarks.growth.session_length import LengthRow
from benchmarks.growth.subject import Measured
from benchmarks.growth.threshold import ThresholdRow
from benchmarks.report.table import Table, short

PHASES = ("submit", "schedule", "point", "encode", "decode", "emit", "isolate")


def length_table(found: Measured[LengthRow]) -> Table:
    """Deep in a session."""
    heads = ("words heard", "ms a word", "in a short session", "ratio", "memory, MiB", "pages")
    return Table(
        "one session, ever longer",
        heads,
        [
            [
                f"{x.words:,}",
                f"{x.ms:.3f}",
                f"{x.short_ms:.3f}",
                f"{x.ms / x.short_ms:.2f}",
                f"{x.resident_mib:,.0f}",
                str(x.pages),
            ]
            for x in found.rows
        ],
        0,
    )


def sessions_table(found: Measured[SessionsRow]) -> Table:
    """Ever more sessions."""
    heads = (
        "sessions",
        "ms a word",
        "words/s",
        "KiB a session",
        "in the cache",
        "at most",
        "evictions a word",
    )
    return Table(
        "ever more live sessions",
        heads,
        [
            [
                f"{x.sessions:,}",
                f"{x.ms:.3f}",
                f"{x.words_per_second:,.0f}",
                "" if x.resident_kib is None else f"{x.resident_kib:,.0f}",
                f"{x.cached_kib:,.0f}",
                f"{x.most_kib:,.0f}",
                short(x.evictions),
            ]
            for x in found.rows
        ],
        0,
    )


def rewriting_table(found: Measured[RewritingRow]) -> Table:
    """Ever more rewriting."""
    heads = ("updates that rewrite", "ms a word", "words/s", "words computed a word", "labels changed a word")
    return Table(
        "ever more rewriting",
        heads,
        [
            [
                f"{100 * x.share:.0f} %",
                f"{x.ms:.3f}",
                f"{x.words_per_second:,.0f}",
                f"{x.recomputed:.2f}",
                f"{x.flips:.3f}",
            ]
            for x in found.rows
        ],
        0,
    )


def threshold_table(found: Measured[ThresholdRow]) -> Table:
    """Policies, from those that compute most."""
    heads = ("restart policy", "ms a word", "words/s", "words computed a word", "closing, ms a word")
    return Table(
        "restart policies",
        heads,
        [
            [f"`{x.policy}`", f"{x.ms:.3f}", f"{x.words_per_second:,.0f}", f"{x.recomputed:.2f}", f"{x.closing_ms:.3f}"]
            for x in found.rows
        ],
    )


def floor_table(found: Measured[FloorRow]) -> Table:
    """Steps against their floors."""
    heads = (
        *("sessions", "step, ms", "MFLOP", "at GFLOP/s", "ms at least", "MiB", "at GiB/s", "ms at least"),
        *("floor in step", "floor in tensor part"),
    )
    return Table(
        "floors of a step",
        heads,
        [
            [
                f"{x.sessions:,}",
                short(x.step_ms),
                short(x.mflops),
                short(x.gflops_rate),
                short(x.arithmetic_ms),
                short(x.mib),
                short(x.gib_rate),
                short(x.memory_ms),
                f"{100 * x.share:.0f} %",
                f"{100 * x.tensor_share:.0f} %",
            ]
            for x in found.rows
        ],
        0,
    )


def phase_table(found: Measured[FloorRow]) -> Table:
    """Where a step goes, in shares of it."""
    phases = [phase for phase in PHASES if any(phase in row.phases_ms for row in found.rows)]
    rows = []
    for row in found.rows:
        whole = sum(row.phases_ms.values())
        shares = (f"{100 * row.phases_ms.get(phase, 0.0) / whole:.0f} %" for phase in phases)
        rows.append([f"{row.sessions:,}", *shares])
    return Table("where a step goes", ("sessions", *phases), rows, 0)


TABLES: Mapping[str, tuple[Callable[[Measured[Any]], Table], ...]] = {
    "sessions": (sessions_table,),
    "length": (length_table,),
    "rewriting": (rewriting_table,),
    "threshold": (threshold_table,),
    "floors": (floor_table, phase_table),
}
"""By part."""
