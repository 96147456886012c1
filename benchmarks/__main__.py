"""`python -m benchmarks`: comparative benchmarks. Not part of the installed package."""

import os
import sys
from collections.abc import Sequence

from benchmarks.commands.bench import app
from benchmarks.commands.growth import growth
from benchmarks.commands.kafka import bench_kafka
from benchmarks.commands.peers import peers
from benchmarks.commands.report import report
from benchmarks.commands.workers import bench_workers
from consumers.common.exit_codes import end_with_code

app.command("kafka")(bench_kafka)
app.command()(peers)
app.command()(growth)
app.command()(report)
app.command("workers")(bench_workers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark; returns the exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = None if arguments is None else list(arguments)
    return end_with_code(lambda: app(args=given, prog_name="python -m benchmarks", standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
