"""Bounds on waiting end what does not end, and no test runs a command without one."""

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import bounded, killed_after, run, wait_until

TESTS = Path(__file__).parent
ENDLESS = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]


async def test_a_coroutine_is_given_up_where_it_waits() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await bounded(wait, 0.01)()


def test_a_condition_that_never_holds_fails() -> None:
    with pytest.raises(AssertionError, match="the end of time did not come"):
        wait_until(lambda: False, "the end of time", 0.02)


def test_a_command_that_does_not_end_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(ENDLESS, 0.2)
    with subprocess.Popen(ENDLESS, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        with killed_after(process.kill, 0.1):
            assert process.stdout.readline() == b""
        assert process.wait(10) != 0


def is_unbounded(node: ast.AST) -> bool:
    """A call of subprocess.run or the like that names no timeout."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    what = node.func
    runs = isinstance(what.value, ast.Name) and what.value.id == "subprocess"
    return runs and what.attr in ("run", "call", "check_call", "check_output") and "timeout" not in names_of(node)


def names_of(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


def test_commands_have_a_bound() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and is_unbounded(node)
    ]
    assert found == [], "use tests.waiting.run, or say a timeout"
