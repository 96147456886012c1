"""Worker processes: started, killed, stopped, continued, and started again when they die by themselves."""

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
"""Seconds that a worker has to end after SIGTERM."""


@dataclass(slots=True)
class Event:
    """A line of a worker's log."""

    worker: str
    life: int
    at: float
    """Seconds since 1970."""
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        """What happened."""
        return str(self.fields.get("event", ""))


@dataclass(slots=True)
class _Slot:
    name: str
    process: asyncio.subprocess.Process | None = None
    life: int = 0
    wanted: bool = False
    watch: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Workers:
    """Some workers of one group.

    Args:
        command: what starts one, with the flags that all share.
        folder: for their logs.
        static: whether each has an instance id of its own.

    Attributes:
        own_flags: by worker, what follows the command.
        died: workers that ended although nobody asked them to, as (name, exit code); they are started again.
        bad_ends: those that were told to end and did not do so with 0.
    """

    command: Sequence[str]
    folder: Path
    static: bool = False
    own_flags: dict[str, list[str]] = field(default_factory=dict)
    died: list[tuple[str, int]] = field(default_factory=list)
    bad_ends: list[tuple[str, int]] = field(default_factory=list)
    _slots: dict[str, _Slot] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The workers that should be running."""
        return [slot.name for slot in self._slots.values() if slot.wanted]

    def life(self, name: str) -> int:
        """How often a worker was started."""
        return self._slots[name].life

    async def start(self, name: str) -> None:
        """Start a worker that does not run."""
        slot = self._slots.setdefault(name, _Slot(name))
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
        """End a worker as a power cut would."""
        await self._end(name, signal.SIGKILL)

    async def terminate(self, name: str) -> None:
        """Ask a worker to end, and wait until it has. One that is still being started may just die of it."""
        code = await self._end(name, signal.SIGTERM)
        has_begun = self._log(name, self._slots[name].life).stat().st_size > 0
        if code != 0 and (has_begun or code != -signal.SIGTERM):
            self.bad_ends.append((name, code))

    def freeze(self, name: str) -> None:
        """Stop a worker as a stall would (SIGSTOP)."""
        self._send(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self._send(name, signal.SIGCONT)

    async def stop(self) -> None:
        """End all, in order where that works."""
        names = self.names
        for name in names:
            self.thaw(name)
        await asyncio.gather(*(self.terminate(name) for name in names))

    async def kill_all(self) -> None:
        """End all at once: for ways out that are not planned."""
        for name in self.names:
            await self.kill(name)

    def memory(self) -> dict[str, int]:
        """Resident bytes of each worker that runs."""
        found = {}
        for slot in self._slots.values():
            if slot.process is not None and slot.process.returncode is None:
                with suppress(OSError):
                    pages = int(Path(f"/proc/{slot.process.pid}/statm").read_text().split()[1])
                    found[slot.name] = pages * os.sysconf("SC_PAGE_SIZE")
        return found

    def events(self) -> Iterator[Event]:
        """What the workers have logged so far, of all their lives."""
        for slot in self._slots.values():
            for life in range(1, slot.life + 1):
                for line in self._log(slot.name, life).read_bytes().splitlines():
                    with suppress(ValueError, KeyError, TypeError):
                        fields = json.loads(line)
                        at = datetime.fromisoformat(fields["timestamp"]).timestamp()
                        yield Event(slot.name, life, at, fields)

    def working(self) -> list[str]:
        """The workers that have partitions, as they logged last."""
        has = self._assigned()
        return [name for name in self.names if has.get(name)]

    def all_joined(self) -> bool:
        """Whether the group has told all workers what is theirs, be it nothing."""
        return self._assigned().keys() >= set(self.names)

    def _assigned(self) -> dict[str, bool]:
        """The workers that are in the group, and whether they have partitions."""
        has: dict[str, bool] = {}
        for event in self.events():
            if event.name == "assigned" and event.life == self.life(event.worker):
                has[event.worker] = bool(event.fields["partitions"])
        return has

    def assignments(self, name: str) -> int:
        """How often the group has assigned partitions to a worker, in all its lives."""
        return sum(event.name == "assigned" for event in self.events() if event.worker == name)

    def last_words(self, name: str) -> str:
        """The end of a worker's newest log that has anything: one that ended may have been started again since."""
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

    async def _watch(self, slot: _Slot, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if slot.wanted:
            self.died.append((slot.name, code))
            await asyncio.sleep(0.5)  # not a storm of starts, where a worker cannot start at all
            if slot.wanted:
                await self.start(slot.name)


def as_flags(settings: Mapping[str, object]) -> list[str]:
    """Settings as flags of a command."""
    flags: list[str] = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            for one in value if isinstance(value, tuple | list) else (value,):
                flags += [f"--{flag}", str(one)]
    return flags
