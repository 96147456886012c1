"""A browser for tests: the Chromium that is installed, driven by Playwright, which brings none of its own.

`python -m tests.browser` says in one line if tests in a browser do not run here; nothing if they do.
"""

import importlib.util
import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # containers give no namespaces, and root has no sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> str | None:
    """The program, from `HEARKEN_CHROMIUM` or the path."""
    named = os.environ.get("HEARKEN_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def why_not() -> str | None:
    """Why tests cannot have a browser, in one line; None if they can."""
    if find_browser() is None:
        return "there is no Chromium (on Debian: apt install chromium; or set HEARKEN_CHROMIUM)"
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed (make setup)"
    return None


def required() -> bool:
    """In continuous integration a missing browser is a failure."""
    return os.environ.get("HEARKEN_REQUIRE_BROWSER") == "1"


if __name__ == "__main__" and (reason := why_not()):
    print(f"NOT RUN: the tests of the live page in a browser, because {reason}")
