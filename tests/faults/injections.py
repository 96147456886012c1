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


async def hold(trial: FaultTrial) -> None:
    """Hold a write of states of a worker in the network, and all its other traffic, beyond its session timeout.

    The group gives its partitions away, and the write arrives when the new owner has gone on. The sources pause then,
    so that what is wrong with a state is not written over before its partition is opened again.
    """
    options = trial.options
    await trial.wait_until_committed(SETTLE)
    for number, seconds in enumerate(options.hold):
        if trial.result.stuck:
            return
        trial.bar(number, len(options.hold))
        await asyncio.sleep(trial.random.uniform(*options.pause))
        name = await _choose_working(trial)
        if not await trial.proxies[name].hold_next(options.patience):
            trial.mark_stuck("no write of states came to be held")
            return
        trial.result.injected += 1
        await asyncio.sleep(seconds)
        trial.producer.flowing.clear()
        await trial.drain()  # by the other workers, so that the write arrives after all of theirs
        before = trial.workers.assignments(name)
        trial.proxies[name].release()
        await trial.wait_until(
            lambda name=name, before=before: trial.workers.assignments(name) > before,  # type: ignore[misc]
            "the worker whose write was held has its partitions again",
        )
        trial.producer.flowing.set()
        await trial.wait_for_commits(SETTLE)


async def broker(trial: FaultTrial) -> None:
    """SIGKILL the broker, and restart it on the same data.

    Raises:
        OperationFailed: the broker was not started by this run.
    """
    kafka = trial.env.kafka
    if kafka is None:
        raise OperationFailed("the fault broker kills the broker: run it without --broker")

    async def once(_: str) -> None:
        # What a worker does at its start without a broker is not what is tried here.
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
    return await _choose_working(trial)


async def _choose_working(trial: FaultTrial) -> str:
    await trial.wait_until(trial.workers.working, "some worker has a partition")
    return trial.random.choice(trial.workers.working() or trial.workers.names)
