"""Parts of the performance page: measured, kept as JSON, and written to the page with plots."""

from pathlib import Path
from typing import Any

import msgspec

from benchmarks.growth.registry import FULL, QUICK, read_part, run_part
from benchmarks.harness.progress import ReportProgress
from benchmarks.peers.report import PeersReport
from benchmarks.peers.run import run_peers
from benchmarks.report.page import PageError, blocks_of, write_page
from benchmarks.report.plots import PLOTS, plot_peers
from benchmarks.report.savings import describe_savings

PEERS = "peers"
PAGE = "performance.md"


def measure_part(name: str, tagger: str, policy: str, quick: bool, progress: ReportProgress) -> Any:
    """Measure the peers or one part of the growth benchmark."""
    if name != PEERS:
        return run_part(name, tagger, policy, QUICK if quick else FULL, progress)
    if quick:
        return run_peers(tagger, [1, 2], [6], policy, repeats=1, steps=2, progress=progress)
    return run_peers(tagger, [1, 8, 64], [20, 60, 250], policy, repeats=5, steps=6, progress=progress)


def read_peers(path: Path) -> PeersReport:
    """Read the results of a comparison with peers.

    Raises:
        PageError: the file cannot be read, or is of another version.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=PeersReport)
    except (OSError, msgspec.DecodeError) as error:
        raise PageError(f"{path} has no results of `peers`: {error}") from error


def write_savings(report: PeersReport, core_month: float, share: float, out: Path) -> Path:
    """Write the table of cores and money into the page in `out`; returns the page.

    Raises:
        PageError: the page cannot be read, or lacks a place for it.
    """
    write_page(out / PAGE, {"savings": describe_savings(report, core_month, share)})
    return out / PAGE


def write_report(keep: Path, out: Path) -> list[Path]:
    """Write the page and a plot of each result in `keep`; returns the files.

    Raises:
        PageError: a result is of another version, or the page lacks a place for it.
    """
    found = {name: path.read_bytes() for name in (*PLOTS, PEERS) if (path := keep / f"{name}.json").exists()}
    try:
        growth = {name: read_part(name, data) for name, data in found.items() if name != PEERS}
        peers = msgspec.json.decode(found[PEERS], type=PeersReport) if PEERS in found else None
    except msgspec.DecodeError as error:
        raise PageError(f"{keep} has results of another version ({error}): measure all parts again") from error
    write_page(out / PAGE, blocks_of(peers, growth))
    plots = {name: out / f"performance-{name}.png" for name in found}
    for name, part in growth.items():
        PLOTS[name](part, plots[name])
    if peers is not None:
        plot_peers(peers, plots[PEERS])
    return [out / PAGE, *plots.values()]
