"""Node.js for the tests of the client for TypeScript: what is there, and what is installed for it.

`python -m tests.node` says in one line if these tests do not run here; nothing if they do.
"""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "clients/typescript"
OLDEST = 20
REQUIRED = "HEARKEN_REQUIRE_NODE"
"""Variable that makes missing tools a failure, as in continuous integration."""


@cache
def why_not() -> str | None:
    """Why the client cannot be built and tested, in one line; None if it can."""
    node = shutil.which("node")
    if node is None:
        return f"there is no Node.js (version {OLDEST} or newer)"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    if int((re.findall(r"\d+", version) or ["0"])[0]) < OLDEST:
        return f"Node.js {version.strip()} is older than {OLDEST}"
    if not (PACKAGE / "node_modules/typescript").is_dir():
        return "its tools are not installed (make node)"
    return None


def need_node() -> None:
    """Skip a test that needs Node.js, or fail if there has to be one."""
    reason = why_not()
    if reason and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {reason}", pytrace=False)
    if reason:
        pytest.skip(f"node: {reason}")


if __name__ == "__main__" and (missing := why_not()):
    print(f"NOT RUN: the tests of the client for TypeScript, because {missing}")
