"""Faults that are injected into workers and broker under load."""

import asyncio
from collections.abc import Awaitable, Callable

from consumers.common.errors import OperationFailed
from tests.faults.trial import FaultTrial

SETTLE = 20
"""Messages committed before the first fault, so that it hits busy workers."""


async def kill(trial: FaultTrial) -> None:
    """SIGKILL a worker at random times, and restart it."""

    async def once(name: str) -> None:
        await trial.workers.kill(name)
        await asyncio.sleep(trial.random.uniform(0, 1))
        await trial.workers.start(name)

    await _rounds(trial, once)


async def term(trial: FaultTrial) -> None:
    """SIGTERM a worker at random times, and restart it after its exit."""

    async def once(name: str) -> None:
        await trial.workers.terminate(name)
        await trial.workers.start(name)

    await _rounds(trial, once)


async def stop(trial: FaultTrial) -> None:
    """SIGSTOP a worker for longer than the session timeout: the group reassigns its partitions meanwhile."""

    async def once(name: str) -> None:
        trial.workers.suspend(name)
        await asyncio.sleep(trial.options.session_timeout + trial.random.uniform(1, 3))
        trial.workers.resume(name)

    await _rounds(trial, once)


async def broker(trial: FaultTrial) -> None:
    """SIGKILL the broker, and restart it on the same data.

    Raises:
        OperationFailed: the broker was not started by this run.
    """
    kafka = trial.env.kafka
    if kafka is None:
        raise OperationFailed("the fault broker kills the broker: run it without --broker")

    async def once(_: str) -> None:
        # A worker that is still looking at its topics would end, and be right to: whoever started it tries again.
        await trial.wait_until(trial.workers.all_joined, "all workers are in the group")
        await asyncio.to_thread(kafka.kill)
        await asyncio.sleep(trial.random.uniform(0.5, 2))
        await asyncio.to_thread(kafka.start)
        await trial.wait_for_commits(SETTLE)

    await _rounds(trial, once)


async def _rounds(trial: FaultTrial, once: Callable[[str], Awaitable[None]]) -> None:
    options = trial.options
    await trial.wait_until_committed(SETTLE)
    for number in range(options.rounds):
        if trial.result.stuck:
            return
        trial.bar(number, options.rounds)
        await asyncio.sleep(trial.random.uniform(*options.pause))
        await once(await _choose(trial))
        trial.result.injected += 1
    trial.bar(options.rounds, options.rounds)
    await trial.wait_for_commits(SETTLE)


async def _choose(trial: FaultTrial) -> str:
    """Choose a worker: mostly one that has partitions; one in four times any, which may still be starting."""
    if trial.random.random() < 0.25:
        return trial.random.choice(trial.workers.names)
    await trial.wait_until(trial.workers.working, "some worker has a partition")
    return trial.random.choice(trial.workers.working() or trial.workers.names)
