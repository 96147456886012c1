"""Bounds on waiting. Nothing in these tests waits without one, and each is far more than a busy machine takes.

A test that is a coroutine gets its bound from `tests/conftest.py` (`bounded`), so a wait inside one needs none of its
own. Whatever slips through is ended by pytest-timeout, with the stacks of all threads, and at last by faulthandler.
"""

import asyncio
import functools
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PATIENCE = 120.0
"""Seconds after which a test gives up waiting for something that takes few on a quiet machine."""
TEST_PATIENCE = 240.0
"""Seconds that a test may take as a whole: less than pytest-timeout allows, so that the traceback names the wait."""


def bounded(test: Callable[..., Awaitable[None]], seconds: float = TEST_PATIENCE) -> Callable[..., Awaitable[None]]:
    """The same test, given up after so many seconds: TimeoutError where it waits."""

    @functools.wraps(test)
    async def run(*args: Any, **options: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **options)

    return run


def wait_until(condition: Callable[[], object], what: str = "the condition", seconds: float = PATIENCE) -> None:
    """Look again and again; AssertionError when it never holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come in {seconds:.0f} s"
        time.sleep(0.01)


def run(command: Sequence[str], seconds: float = PATIENCE, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Run a command to its end; subprocess.TimeoutExpired if that does not come."""
    return subprocess.run(command, timeout=seconds, check=options.pop("check", False), **options)


@contextmanager
def killed_after(kill: Callable[[], None], seconds: float = PATIENCE) -> Iterator[None]:
    """Bound what blocks on a process' pipes: when the time is over, `kill` ends the process, and so the pipes."""
    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
