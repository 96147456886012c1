"""Results as a table, as JSON and as plots."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from tests.faults.options import FaultResult

if TYPE_CHECKING:
    from tests.faults.trial import FaultTrial


def results_table(results: Sequence[FaultResult]) -> Table:
    """Lay out one row for each run."""
    table = Table(title="Faults")
    for heading in (
        "fault", "guarantee", "compared", "messages", "revisions", "faults", "restarted",
        "lost", "doubled", "out of order", "after final", "altered", "stray", "seconds", "verdict",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("fault", "guarantee", "verdict") else "right")
    for one in results:
        kinds = ("lost", "doubled", "order", "after_final", "altered", "stray")
        table.add_row(
            one.fault,
            one.guarantee.replace("_", " "),
            "every byte" if one.exact else "finals",
            f"{one.messages:,}",
            f"{one.revisions:,}",
            f"{one.injected:,}",
            f"{one.died}",
            *(f"{one.counts.get(kind, 0):,}" for kind in kinds),
            f"{one.seconds:.0f}",
            "ok" if one.ok else "STUCK" if one.stuck else "WRONG",
        )
    return table


def write_results(results: Sequence[FaultResult], folder: Path) -> None:
    """Write all results as `faults.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.json").write_text(json.dumps([one.plain() for one in results], indent=1) + "\n")


def plot(trial: "FaultTrial", folder: Path) -> None:
    """Plot memory, backlog and, where it was measured, delay over the time of the run, as PNG."""
    import matplotlib.pyplot as plt

    delays = trial.result.figures.get("delay_p99_seconds_by_minute", [])
    figure, panels = plt.subplots(3 if delays else 2, 1, sharex=not delays, figsize=(8, 7), layout="constrained")
    for name in sorted({name for _, name, _ in trial.memory}):
        mine = [(at, size / (1 << 20)) for at, worker, size in trial.memory if worker == name]
        panels[0].plot(*zip(*mine, strict=True), label=name)
    panels[0].set(ylabel="resident MiB", ylim=(0, None), title=f"{trial.result.fault}, {trial.result.guarantee}")
    panels[0].legend()
    if trial.backlogs:
        panels[1].plot(*zip(*trial.backlogs, strict=True))
    panels[1].set(ylabel="messages behind", xlabel="seconds")
    if delays:
        for share in ("p50", "p99"):
            values = trial.result.figures[f"delay_{share}_seconds_by_minute"]
            panels[2].plot(range(1, len(values) + 1), values, marker="o", label=share)
        panels[2].set(ylabel="delay, seconds", xlabel="minute", ylim=(0, None))
        panels[2].legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{trial.result.fault}-{trial.result.guarantee}.png", dpi=120)
    plt.close(figure)
