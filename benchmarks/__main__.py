"""`python -m benchmarks`: comparative benchmarks. Not part of the installed package."""

import os
import sys
from collections.abc import Sequence

from benchmarks import commands, perspective_commands, service_commands
from benchmarks.options import app
from consumers.common.exit_codes import end_with_code

COMMANDS = (commands, service_commands, perspective_commands)
"""Modules whose import registers the commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark; returns the exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = None if arguments is None else list(arguments)
    return end_with_code(lambda: app(args=given, prog_name="python -m benchmarks", standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
