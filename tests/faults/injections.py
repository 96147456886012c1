"""The faults: what is done to the workers and to the broker while they work."""

import asyncio
from collections.abc import Awaitable, Callable

from consumers.common.errors import OperationFailed
from tests.faults.trial import Trial

SETTLE = 20
"""Messages that must be done before the first fault: it should hit workers at work."""


async def kill(trial: Trial) -> None:
    """SIGKILL a worker at random moments, and start it again."""

    async def once(name: str) -> None:
        await trial.workers.kill(name)
        await asyncio.sleep(trial.random.uniform(0, 1))
        await trial.workers.start(name)

    await _rounds(trial, once)


async def term(trial: Trial) -> None:
    """SIGTERM a worker at random moments, and start it again when it has left."""

    async def once(name: str) -> None:
        await trial.workers.terminate(name)
        await trial.workers.start(name)

    await _rounds(trial, once)


async def stall(trial: Trial) -> None:
    """SIGSTOP a worker for longer than the session timeout: the group gives its partitions away behind its back."""

    async def once(name: str) -> None:
        trial.workers.freeze(name)
        await asyncio.sleep(trial.options.session_timeout + trial.random.uniform(1, 3))
        trial.workers.thaw(name)

    await _rounds(trial, once)


async def hold(trial: Trial) -> None:
    """Hold a write of states of a worker in the network, and all its other traffic, beyond its session timeout.

    The group gives its partitions away, and the write arrives when the new owner has gone on. The sources pause then,
    so that what is wrong with a state is not written over before its partition is opened again.
    """
    options = trial.options
    await trial.reach(SETTLE)
    for number, seconds in enumerate(options.hold):
        if trial.finding.stuck:
            return
        trial.bar(number, len(options.hold))
        await asyncio.sleep(trial.random.uniform(*options.pause))
        name = await _choose_working(trial)
        if not await trial.proxies[name].hold_next(options.patience):
            trial.give_up("no write of states came to be held")
            return
        trial.finding.injected += 1
        await asyncio.sleep(seconds - 1)
        trial.feeder.flowing.clear()
        await asyncio.sleep(1)
        before = trial.workers.assignments(name)
        trial.proxies[name].release()
        await trial.wait_until(
            lambda name=name, before=before: trial.workers.assignments(name) > before,  # type: ignore[misc]
            "the worker whose write was held has its partitions again",
        )
        trial.feeder.flowing.set()
        await trial.progress(SETTLE)


async def broker(trial: Trial) -> None:
    """SIGKILL the broker, and start it again on the same data.

    Raises:
        OperationFailed: the broker is not ours.
    """
    kafka = trial.place.kafka
    if kafka is None:
        raise OperationFailed("the fault broker kills the broker: run it without --broker")

    async def once(_: str) -> None:
        # A worker that is still looking at its topics would end, and be right to: whoever started it tries again.
        await trial.wait_until(trial.workers.all_joined, "all workers are in the group")
        await asyncio.to_thread(kafka.kill)
        await asyncio.sleep(trial.random.uniform(0.5, 2))
        await asyncio.to_thread(kafka.start)
        await trial.progress(SETTLE)

    await _rounds(trial, once)


async def _rounds(trial: Trial, once: Callable[[str], Awaitable[None]]) -> None:
    options = trial.options
    await trial.reach(SETTLE)
    for number in range(options.rounds):
        if trial.finding.stuck:
            return
        trial.bar(number, options.rounds)
        await asyncio.sleep(trial.random.uniform(*options.pause))
        await once(await _choose(trial))
        trial.finding.injected += 1
    trial.bar(options.rounds, options.rounds)
    await trial.progress(SETTLE)


async def _choose(trial: Trial) -> str:
    """Mostly a worker that has partitions, or the fault would hit no one; one in four is any, also in its start."""
    if trial.random.random() < 0.25:
        return trial.random.choice(trial.workers.names)
    return await _choose_working(trial)


async def _choose_working(trial: Trial) -> str:
    await trial.wait_until(trial.workers.working, "some worker has a partition")
    return trial.random.choice(trial.workers.working() or trial.workers.names)
