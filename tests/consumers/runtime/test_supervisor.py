"""The supervisor, with workers that only sleep, die or misbehave; and what they let each other know."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from consumers.common.worker_board import WorkerBoard
from tests.waiting import PATIENCE, killed_after, wait_until

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several workers under one command are for Linux")

PROGRAM = """
import os, select, signal, sys, time
from consumers.common.logs import configure_logging
from consumers.common.worker_board import WorkerBoard, WorkerSlot
from consumers.runtime.supervisor import Supervisor, SupervisorRules
from tests.waiting import PATIENCE, killed_after, wait_until

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def until_told(slot):
    select.select([slot.stop_pipe], [], [])

{work}

configure_logging()
limits = dict(short_life_seconds=5.0, max_short_lives=3, grace_seconds={grace})
rules = SupervisorRules(pause_seconds=0.05, max_pause_seconds=0.2, **limits)
code = Supervisor(WorkerBoard({count}), work, rules).run()
say("code", code)
sys.exit(code)
"""


class Flock:
    """A supervisor as a process; what its workers say comes line by line."""

    def __init__(self, work: str, count: int = 2, grace: float = 20.0) -> None:
        program = PROGRAM.format(work=work, count=count, grace=grace)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def hear(self, count: int) -> list[list[str]]:
        """The next lines, sorted, as words."""
        assert self.process.stdout is not None
        with killed_after(self.kill):
            lines = [self.process.stdout.readline() for _ in range(count)]
        assert all(lines), f"it said no more than {lines}"
        return sorted(line.split() for line in lines)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; gives the exit code and the rest of what was said."""
        out, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, log

    def kill(self) -> None:
        """End the supervisor and all its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture
def flocks() -> Iterator[list[Flock]]:
    """To be ended, whatever happens."""
    made: list[Flock] = []
    yield made
    for flock in made:
        flock.kill()
        flock.process.communicate(timeout=PATIENCE)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


GOOD = """
def work(slot):
    say("began", slot.worker, os.getpid())
    until_told(slot)
    say("ended", slot.worker)
    return 0
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_in_order(number: signal.Signals, flocks: list[Flock]) -> None:
    flocks.append(flock := Flock(GOOD))
    began = flock.hear(2)
    assert [words[:2] for words in began] == [["began", "0"], ["began", "1"]]
    flock.process.send_signal(number)
    code, out, log = flock.end()
    assert (code, sorted(out.split("\n"))) == (0, ["", "code 0", "ended 0", "ended 1"])
    assert "error" not in log
    assert not any(lives(int(words[2])) for words in began)


def test_a_signal_to_the_whole_group_ends_all_in_order_too(flocks: list[Flock]) -> None:
    work = """
def work(slot):
    from consumers.runtime.serve import stopped_by_signals
    import asyncio
    async def serve():
        with stopped_by_signals(slot.stop_pipe) as stop:
            say("began", slot.worker, os.getpid())
            await stop.wait()
            await asyncio.sleep(0.3)  # a second signal would end it here
        return 0
    return asyncio.run(serve())
"""
    flocks.append(flock := Flock(work))
    pids = [int(words[2]) for words in flock.hear(2)]
    for pid in (*pids, flock.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert flock.end()[0] == 0


def test_who_is_killed_is_started_again_and_the_others_do_not_notice(flocks: list[Flock]) -> None:
    flocks.append(flock := Flock(GOOD))
    began = flock.hear(2)
    os.kill(int(began[0][2]), signal.SIGKILL)
    (again,) = flock.hear(1)
    assert again[:2] == ["began", "0"]
    assert again[2] != began[0][2]
    assert lives(int(began[1][2]))
    flock.process.terminate()
    code, _, log = flock.end()
    assert code == 0
    assert "worker_restarting" in log
    assert "SIGKILL" in log


def test_nobody_is_left_behind_when_the_supervisor_is_killed(flocks: list[Flock]) -> None:
    flocks.append(flock := Flock(GOOD))
    began = flock.hear(2)
    flock.process.kill()
    assert flock.hear(2) == [["ended", "0"], ["ended", "1"]], "they end in order even so"
    wait_until(lambda: not any(lives(int(words[2])) for words in began))


def test_who_dies_again_and_again_ends_all(flocks: list[Flock]) -> None:
    work = GOOD.replace("    until_told", "    if slot.worker: os.abort()\n    until_told")
    flocks.append(flock := Flock(work))
    code, out, log = flock.end()
    assert code == 1
    assert out.count("began 1") == 3
    assert out.count("ended 0") == 1
    assert log.count("worker_restarting") == 2
    assert "worker_failed_repeatedly" in log


def test_a_wrong_setting_ends_all_at_once(flocks: list[Flock]) -> None:
    flocks.append(flock := Flock(GOOD.replace("    until_told", "    if slot.worker: return 2\n    until_told")))
    code, out, _ = flock.end()
    assert code == 2
    assert out.count("began 1") == 1


def test_who_ends_by_itself_in_order_is_started_again_any_number_of_times(flocks: list[Flock]) -> None:
    flocks.append(flock := Flock(GOOD.replace("    until_told(slot)", "    if not slot.worker: until_told(slot)")))
    said = flock.hear(16)
    assert sum(words[:2] == ["began", "1"] for words in said) > 5
    flock.process.terminate()
    assert flock.end()[0] == 0


def test_health_of_one_tells_of_all_even_if_it_speaks_before_its_supervisor_does(flocks: list[Flock]) -> None:
    work = """
class WorkerBoard(WorkerBoard):
    def started(self, worker, pid):
        while not self.status(worker).stuck:
            time.sleep(0.01)
        super().started(worker, pid)

def work(slot):
    slot.board.beat(slot.worker, stuck=True)
    while not (trouble := [x for x in slot.board.find_problems(asking=slot.worker, patience=60) if "stuck" in x]):
        time.sleep(0.01)
    say(*trouble)
    until_told(slot)
    return 0
"""
    flocks.append(flock := Flock(work))
    assert [words[:4] for words in flock.hear(2)] == [["worker", "0", "is", "stuck;"], ["worker", "1", "is", "stuck;"]]
    flock.process.terminate()
    assert flock.end()[0] == 0


def test_who_does_not_end_is_killed_and_that_is_told(flocks: list[Flock]) -> None:
    stubborn = GOOD.replace("    until_told(slot)", "    while slot.worker: time.sleep(1)\n    until_told(slot)")
    flocks.append(flock := Flock(stubborn, grace=0.5))
    flock.hear(2)
    flock.process.terminate()
    code, out, log = flock.end()
    assert code == 1
    assert "ended 0" in out
    assert "worker_killed" in log


def test_a_second_signal_ends_all_at_once(flocks: list[Flock]) -> None:
    flocks.append(flock := Flock(GOOD.replace("    until_told(slot)", "    while True: time.sleep(1)")))
    began = flock.hear(2)
    flock.process.terminate()
    time.sleep(0.2)
    assert all(lives(int(words[2])) for words in began)
    flock.process.terminate()
    assert flock.end()[0] == 1
    assert not any(lives(int(words[2])) for words in began)


def test_an_error_of_a_worker_is_told_and_is_its_end(flocks: list[Flock]) -> None:
    flocks.append(flock := Flock("def work(slot):\n    raise ValueError('nobody expected this')\n", count=1))
    code, out, log = flock.end()
    assert (code, out) == (1, "code 1\n")
    assert log.count("nobody expected this") == 3


def test_weights_are_in_memory_once(flocks: list[Flock]) -> None:
    work = """
from pathlib import Path
held = os.urandom(1 << 25)

def work(slot):
    held.count(b"never there")  # read all of it
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    memory = {line.split()[0]: int(line.split()[1]) for line in lines}
    say("memory", slot.worker, memory["Private_Dirty:"], memory["Shared_Dirty:"])
    until_told(slot)
    return 0
"""
    flocks.append(flock := Flock(work))
    for words in flock.hear(2):
        assert int(words[3]) > 1 << 15, "KiB: it shares what its parent has"
        assert int(words[2]) < 1 << 14, "and has no copy of it"
    flock.process.terminate()
    assert flock.end()[0] == 0


def test_a_board_tells_of_the_others() -> None:
    now = [100.0]
    board = WorkerBoard(3, clock=lambda: now[0])
    for worker in range(3):
        board.starting(worker)
        board.started(worker, 1000 + worker)
    assert board.find_problems(asking=0, patience=60) == []
    now[0] += 61
    board.beat(0, stuck=False)
    board.beat(1, stuck=True)
    assert board.find_problems(asking=0, patience=60) == [
        "worker 1 is stuck; its own /healthz says why",
        "worker 2 has sent no heartbeat for 61 s",
    ]
    assert board.find_problems(asking=1, patience=60) == ["worker 2 has sent no heartbeat for 61 s"]
    board.ended(2)
    now[0] += 5
    assert board.find_problems(asking=1, patience=60) == ["worker 2 ended 5 s ago and does not run yet"]
    for worker in (2, 1):
        board.starting(worker)
        board.started(worker, 2000)
    assert board.find_problems(asking=0, patience=60) == []
    assert (board.status(2).pid, board.status(2).starts, board.status(0).starts) == (2000, 2, 1)
