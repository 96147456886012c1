"""Starts of `hearken tag` until its first label: the first with an empty cache folder, and those after it.

Each is a process of its own, as a user starts it. Its input stays open after the first line, so that its memory is that
of a process at rest. Linux only.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, make_table
from encoder.cache_folder import VARIABLE

LINE = {"type": "update", "session": "a", "segment": "1", "text": "we met Angela Merkel in Paris", "final": True}
PATIENCE = 600.0
"""Seconds after which a start is given up."""


class StartRow(msgspec.Struct, frozen=True, kw_only=True):
    """One start."""

    start: str
    wall: float
    """Seconds until its first label."""
    cpu: float
    """Seconds of processor, user and system, until then."""
    resident_mb: float
    """Resident set after it, at rest; pages of mapped files are part of it."""
    private_mb: float
    """Anonymous memory alone."""
    written: int
    """Files of the cache folder that are new, or not as they were."""


class StartReport(msgspec.Struct, frozen=True, kw_only=True):
    """Starts in order."""

    tagger: str
    rows: list[StartRow]


def run_start(tagger: str, repeats: int, progress: ReportProgress) -> StartReport:
    """Start once with an empty folder, and `repeats` times after that."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1 + repeats):
            name = "first" if not number else f"start {number + 1}"
            progress(name, number / (1 + repeats))
            rows.append(_measure(tagger, Path(folder), name))
    return StartReport(tagger=tagger, rows=rows)


def start_tables(report: StartReport) -> Sequence[Table]:
    """Lay out the first start, and the median of the others."""
    first, *others = report.rows
    usual = StartRow(
        start=f"later ({len(others)})",
        wall=statistics.median(row.wall for row in others),
        cpu=statistics.median(row.cpu for row in others),
        resident_mb=max(row.resident_mb for row in others),
        private_mb=max(row.private_mb for row in others),
        written=max(row.written for row in others),
    )
    columns = {
        "start": lambda row: row.start,
        "s": lambda row: f"{row.wall:.2f}",
        "s of CPU": lambda row: f"{row.cpu:.2f}",
        "resident MB": lambda row: f"{row.resident_mb:.0f}",
        "private MB": lambda row: f"{row.private_mb:.0f}",
        "files written": lambda row: str(row.written),
    }
    return [make_table(f"hearken tag --tagger {report.tagger} until its first label", [first, usual], columns)]


def _measure(tagger: str, folder: Path, name: str) -> StartRow:
    before, began = _content(folder), time.perf_counter()
    command = [sys.executable, "-m", "consumers.cli.main", "tag", "--tagger", tagger]
    given = os.environ | {VARIABLE: str(folder)}
    with subprocess.Popen(command, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(LINE).encode() + b"\n")
        process.stdin.flush()
        label = process.stdout.readline()
        wall, cpu = time.perf_counter() - began, _processor_seconds(process.pid)
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert label, "it ended without a label"
    return StartRow(
        start=name,
        wall=wall,
        cpu=cpu,
        resident_mb=_megabytes(status["VmRSS"]),
        private_mb=_megabytes(status["RssAnon"]),
        written=len(_content(folder) - before),
    )


def _content(folder: Path) -> set[tuple[str, int, int]]:
    """Every file of a folder with its time and number: another one is another file."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {(str(path), stat.st_mtime_ns, stat.st_ino) for path, stat in found}


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(text: str) -> float:
    return int(text.split()[0]) * 1024 / 1e6
