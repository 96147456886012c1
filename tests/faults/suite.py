"""All faults, and a run of several of them."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from tests.faults.injections import broker, hold, kill, stall, term
from tests.faults.measured import (
    hostile,
    load,
    measure_load,
    measure_memory,
    measure_overload,
    measure_pauses,
    measure_restore,
    overload,
    restore,
    scale,
)
from tests.faults.options import Finding, Options
from tests.faults.report import make_table, write_findings
from tests.faults.rig.environment import find_place
from tests.faults.trial import Fault, run_trial

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill", kill),
        Fault("term", term),
        Fault("stop", stall),
        Fault("hold", hold, held=True),
        Fault("broker", broker),
        Fault("scale", scale, measure_pauses, workers=1),
        Fault("scale-static", scale, measure_pauses, workers=1, static=True),
        Fault("restore", restore, measure_restore, live=True, own_load=True, workers=1),
        Fault("hostile", hostile, measure_memory, own_load=True),
        Fault("load", load, measure_load, live=True, own_load=True),
        Fault("overload", overload, measure_overload, live=True, own_load=True),
    )
}

WIDTH = 180
"""Columns that the table needs, also where nobody watches a terminal."""
SHOWN = 20
"""Problems shown of each run."""


async def run_all(plan: Sequence[tuple[str, Options]], address: str | None) -> list[Finding]:
    """Run faults one after the other, each on a broker of its own unless `address` names one; prints the table.

    Raises:
        OperationFailed: there is no broker, or it failed.
    """
    findings: list[Finding] = []
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True) as progress:
        for name, options in plan:
            task = progress.add_task(f"{name}, {options.guarantee}", total=None)
            with find_place(name, options.partitions, address) as place:
                finding = await run_trial(FAULTS[name], options, place, progress, task)
            findings.append(finding)
            for problem in finding.problems[:SHOWN]:
                errors.print(problem, highlight=False, markup=False)
            if options.out is not None:
                write_findings(findings, options.out)
    out = Console(width=max(Console().width, WIDTH))
    out.print(make_table(findings))
    for finding in findings:
        out.print(finding.fault, finding.guarantee, finding.figures)
    return findings
