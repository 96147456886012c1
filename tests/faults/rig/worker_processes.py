"""Worker processes of a fault run: started, killed, suspended, resumed, and restarted when they exit unexpectedly."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
GRACE = 60.0
"""Seconds that a worker has to exit after SIGTERM."""


@dataclass(slots=True)
class Event:
    """One log event of a worker."""

    worker: str
    life: int
    at: float
    """Seconds since 1970."""
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the event."""
        return str(self.fields.get("event", ""))


@dataclass(slots=True)
class _WorkerSlot:
    name: str
    process: asyncio.subprocess.Process | None = None
    life: int = 0
    wanted: bool = False
    watch: asyncio.Task[None] | None = None


@dataclass(slots=True)
class WorkerProcesses:
    """Workers of one group.

    Args:
        command: starts a worker, with the flags that all share.
        folder: for their logs.
        static: whether each has an instance id.

    Attributes:
        own_flags: by worker, what follows the command.
        died: unexpected exits, as (name, exit code); these workers are restarted.
        bad_ends: failed stops: workers that were told to stop and did not exit with 0.
    """

    command: Sequence[str]
    folder: Path
    static: bool = False
    own_flags: dict[str, list[str]] = field(default_factory=dict)
    died: list[tuple[str, int]] = field(default_factory=list)
    bad_ends: list[tuple[str, int]] = field(default_factory=list)
    _slots: dict[str, _WorkerSlot] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The workers that should be running."""
        return [slot.name for slot in self._slots.values() if slot.wanted]

    def life(self, name: str) -> int:
        """Return how often a worker was started."""
        return self._slots[name].life

    async def start(self, name: str) -> None:
        """Start a worker that is not running."""
        slot = self._slots.setdefault(name, _WorkerSlot(name))
        slot.wanted = True
        slot.life += 1
        command = [*self.command, *self.own_flags.get(name, ()), *(["--instance-id", name] if self.static else [])]
        environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment["HEARKEN_HTTP_PORT"] = "off"  # several share this machine
        with self._log(name, slot.life).open("wb") as log:
            slot.process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=ROOT
            )
        slot.watch = asyncio.create_task(self._watch(slot, slot.process))

    async def kill(self, name: str) -> None:
        """SIGKILL a worker."""
        await self._end(name, signal.SIGKILL)

    async def terminate(self, name: str) -> None:
        """SIGTERM a worker, and wait for its exit. The signal may kill one that is still starting."""
        code = await self._end(name, signal.SIGTERM)
        has_begun = self._log(name, self._slots[name].life).stat().st_size > 0
        if code != 0 and (has_begun or code != -signal.SIGTERM):
            self.bad_ends.append((name, code))

    def suspend(self, name: str) -> None:
        """SIGSTOP a worker."""
        self._send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT a worker."""
        self._send(name, signal.SIGCONT)

    async def stop(self) -> None:
        """Stop all workers by SIGTERM."""
        names = self.names
        for name in names:
            self.resume(name)
        await asyncio.gather(*(self.terminate(name) for name in names))

    async def kill_all(self) -> None:
        """Kill all workers: for clean-up after an error."""
        for name in self.names:
            await self.kill(name)

    def memory(self) -> dict[str, int]:
        """Return the resident bytes of each running worker."""
        found = {}
        for slot in self._slots.values():
            if slot.process is not None and slot.process.returncode is None:
                with suppress(OSError):
                    pages = int(Path(f"/proc/{slot.process.pid}/statm").read_text().split()[1])
                    found[slot.name] = pages * os.sysconf("SC_PAGE_SIZE")
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """Return the processor time of each running worker, of all its threads."""
        found = {}
        for slot in self._slots.values():
            if slot.process is not None and slot.process.returncode is None:
                with suppress(OSError):
                    stat = Path(f"/proc/{slot.process.pid}/stat").read_text().rpartition(")")[2].split()
                    found[slot.name] = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def events(self) -> Iterator[Event]:
        """Yield all log events of the workers, of all their lives."""
        for slot in self._slots.values():
            for life in range(1, slot.life + 1):
                for line in self._log(slot.name, life).read_bytes().splitlines():
                    with suppress(ValueError, KeyError, TypeError):
                        fields = json.loads(line)
                        at = datetime.fromisoformat(fields["timestamp"]).timestamp()
                        yield Event(slot.name, life, at, fields)

    def working(self) -> list[str]:
        """Return the workers that have partitions, by their last log event."""
        has = self._assigned()
        return [name for name in self.names if has.get(name)]

    def all_joined(self) -> bool:
        """Return whether all workers have received an assignment, which may be empty."""
        return self._assigned().keys() >= set(self.names)

    def _assigned(self) -> dict[str, bool]:
        """Return the workers that are in the group, and whether they have partitions."""
        has: dict[str, bool] = {}
        for event in self.events():
            if event.name == "assigned" and event.life == self.life(event.worker):
                has[event.worker] = bool(event.fields["partitions"])
        return has

    def assignments(self, name: str) -> int:
        """How often the group has assigned partitions to a worker, in all its lives."""
        return sum(event.name == "assigned" for event in self.events() if event.worker == name)

    def log_tail(self, name: str) -> str:
        """Return the end of a worker's newest log that is not empty: the worker may have been restarted since."""
        for life in range(self._slots[name].life, 0, -1):
            if lines := self._log(name, life).read_text(errors="replace").splitlines():
                return "\n".join(lines[-5:])
        return ""

    def _log(self, name: str, life: int) -> Path:
        return self.folder / f"{name}.{life}.log"

    def _send(self, name: str, number: signal.Signals) -> None:
        process = self._slots[name].process
        if process is not None and process.returncode is None:
            process.send_signal(number)

    async def _end(self, name: str, number: signal.Signals) -> int:
        slot = self._slots[name]
        slot.wanted = False
        process = slot.process
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if slot.watch is not None:
            await slot.watch
        return process.returncode or 0

    async def _watch(self, slot: _WorkerSlot, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if slot.wanted:
            self.died.append((slot.name, code))
            await asyncio.sleep(0.5)  # limits restarts of a worker that cannot start
            if slot.wanted:
                await self.start(slot.name)


def as_flags(settings: Mapping[str, object]) -> list[str]:
    """Return settings as flags of a command."""
    flags: list[str] = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            for one in value if isinstance(value, tuple | list) else (value,):
                flags += [f"--{flag}", str(one)]
    return flags
