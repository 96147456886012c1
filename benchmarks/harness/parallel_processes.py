"""Processes that run the same work at the same time, with their durations and their memory.

Linux only: forked processes share their parent's pages until they write to them, and /proc says which pages are shared.
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
"""Matrix products in one run of an order for `products`."""


class Order(msgspec.Struct, frozen=True):
    """One run: of matrix products instead of the worker's own work or not, and on which core (None: any)."""

    products: bool = False
    core: int | None = None


class Done(msgspec.Struct, frozen=True):
    """Duration of a run in seconds, and the worker's memory in bytes after it."""

    wall: float
    cpu: float
    memory: dict[str, int]
    copied: int
    """Bytes of its parent's memory that it has written to, which are its own now."""


PrepareRun = Callable[[], Callable[[], None]]
"""Called in the process; returns what the process runs."""


class Runner(NamedTuple):
    """One process and the pipe to it."""

    process: Any
    """Process of any context of multiprocessing."""
    pipe: Connection

    def receive(self) -> Done:
        """Wait for the end of its run.

        Raises:
            RuntimeError: the process died.
        """
        if self.pipe not in wait([self.pipe, self.process.sentinel]):
            raise RuntimeError(f"a process that was measured died with exit code {self.process.exitcode}")
        done: Done = self.pipe.recv()
        return done


@contextmanager
def started(how: Literal["fork", "spawn"], workers: int, prepare: PrepareRun) -> Iterator[list[Runner]]:
    """Run `workers` processes inside the block."""
    context: Any = multiprocessing.get_context(how)
    pipes = [multiprocessing.Pipe() for _ in range(workers)]
    gc.collect()
    gc.freeze()  # as consumers/runtime/supervisor.py does
    processes = [context.Process(target=_run_orders, args=(there, prepare), daemon=True) for _, there in pipes]
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


def _run_orders(orders: Connection, prepare: PrepareRun) -> None:
    """Main loop of a process."""
    torch.set_num_threads(1)
    anywhere, before = os.sched_getaffinity(0), read_memory()
    run = prepare()
    while True:
        order: Order = orders.recv()
        os.sched_setaffinity(0, anywhere if order.core is None else {order.core})
        wall, cpu = time.perf_counter(), time.process_time()
        (_multiply if order.products else run)()
        wall, cpu, memory = time.perf_counter() - wall, time.process_time() - cpu, read_memory()
        orders.send(Done(wall, cpu, memory, max(0, before["Shared_Dirty"] - memory["Shared_Dirty"])))


def measure(workers: Sequence[Runner], orders: Sequence[Order]) -> list[Done]:
    """Let each worker run its order, all at the same time."""
    for worker, order in zip(workers, orders, strict=True):
        worker.pipe.send(order)
    return [worker.receive() for worker in workers]


def _multiply() -> None:
    """Multiply matrices of 16 KiB, which needs a core and nothing else."""
    left, right = torch.full((64, 64), 0.5), torch.full((64, 64), 0.25)
    out = torch.empty(64, 64)
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=out)


def read_busy() -> float:
    """Return the processor seconds of all programs so far, including those stolen by other guests of the hypervisor."""
    user, nice, system, _, _, *others = (int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def read_memory(pid: int | str = "self") -> dict[str, int]:
    """Return a process's memory by kind (`/proc/PID/smaps_rollup`), in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: 1024 * int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
