"""Processes of one machine that run the same thing at the same time, measured: how long it takes, and their memory.

Linux only: forked ones share their parent's pages until they write to them, and the system tells whose pages are whose.
"""

import gc
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import torch

PRODUCTS = 20_000
"""Of matrices, in one run of an order for `products`."""


class Order(msgspec.Struct, frozen=True):
    """What a worker shall run, and on which core; None: on any."""

    products: bool = False
    core: int | None = None


class Done(msgspec.Struct, frozen=True):
    """How long that took, and what memory the worker has."""

    wall: float
    cpu: float
    memory: dict[str, int]
    copied: int
    """Bytes of its parent's memory that it has written to, so that it has them for itself now."""


Run = Callable[[], Callable[[], None]]
"""Makes, in the process, what it runs."""


class Runner(NamedTuple):
    """One of the processes."""

    process: Any
    """Of multiprocessing, of any of its contexts."""
    pipe: Connection

    def receive(self) -> Done:
        """Wait until it is done.

        Raises:
            RuntimeError: it died.
        """
        if self.pipe not in wait([self.pipe, self.process.sentinel]):
            raise RuntimeError(f"a process that was measured died with exit code {self.process.exitcode}")
        done: Done = self.pipe.recv()
        return done


@contextmanager
def started(how: Literal["fork", "spawn"], workers: int, make: Run) -> Iterator[list[Runner]]:
    """Have so many processes inside the block."""
    context: Any = multiprocessing.get_context(how)
    pipes = [multiprocessing.Pipe() for _ in range(workers)]
    gc.collect()
    gc.freeze()  # as consumers/runtime/supervisor.py does
    processes = [context.Process(target=_obey, args=(there, make), daemon=True) for _, there in pipes]
    for process in processes:
        process.start()
    try:
        yield [Runner(process, here) for process, (here, _) in zip(processes, pipes, strict=True)]
    finally:
        for process in processes:
            process.terminate()
            process.join()
        for end in itertools.chain(*pipes):
            end.close()
        gc.unfreeze()


def _obey(orders: Connection, make: Run) -> None:
    """A worker's whole life."""
    torch.set_num_threads(1)
    anywhere, before = os.sched_getaffinity(0), read_memory()
    run = make()
    while True:
        order: Order = orders.recv()
        os.sched_setaffinity(0, anywhere if order.core is None else {order.core})
        wall, cpu = time.perf_counter(), time.process_time()
        (_multiply if order.products else run)()
        wall, cpu, memory = time.perf_counter() - wall, time.process_time() - cpu, read_memory()
        orders.send(Done(wall, cpu, memory, max(0, before["Shared_Dirty"] - memory["Shared_Dirty"])))


def measure(workers: Sequence[Runner], orders: Sequence[Order]) -> list[Done]:
    """Let each of them run once, all at the same time."""
    for worker, order in zip(workers, orders, strict=True):
        worker.pipe.send(order)
    return [worker.receive() for worker in workers]


def _multiply() -> None:
    """What needs a core and nothing else: three matrices of 16 KiB."""
    left, right = torch.full((64, 64), 0.5), torch.full((64, 64), 0.25)
    out = torch.empty(64, 64)
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=out)


def read_busy() -> float:
    """Seconds of processor that all programs have had so far, those of the hypervisor's other guests included."""
    user, nice, system, _, _, *others = (int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def read_memory(pid: int | str = "self") -> dict[str, int]:
    """What the system says of a process's pages (`/proc/PID/smaps_rollup`), in bytes, by the names there."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: 1024 * int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
