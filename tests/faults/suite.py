"""The faults by name, and a run of several of them."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from tests.faults.injections import broker, hold, kill, stop, term
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
from tests.faults.options import FaultResult, Options
from tests.faults.report import results_table, write_results
from tests.faults.rig.environment import open_environment
from tests.faults.trial import Fault, run_trial

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("kill", kill),
        Fault("term", term),
        Fault("stop", stop),
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
"""Least width of the table in columns."""
SHOWN = 20
"""Most problems shown of each run."""


async def run_all(plan: Sequence[tuple[str, Options]], address: str | None) -> list[FaultResult]:
    """Run faults one after the other, each on a broker of its own unless `address` names one; print the table.

    Raises:
        OperationFailed: the broker did not start, or failed.
    """
    results: list[FaultResult] = []
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True) as progress:
        for name, options in plan:
            task = progress.add_task(f"{name}, {options.guarantee}", total=None)
            with open_environment(name, options.partitions, address) as env:
                result = await run_trial(FAULTS[name], options, env, progress, task)
            results.append(result)
            for problem in result.problems[:SHOWN]:
                errors.print(problem, highlight=False, markup=False)
            if options.out is not None:
                write_results(results, options.out)
    out = Console(width=max(Console().width, WIDTH))
    out.print(results_table(results))
    for result in results:
        out.print(result.fault, result.guarantee, result.figures)
    return results
