"""One run of one fault: workers, load, injections, then the oracle."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import copytree

from rich.progress import Progress, TaskID

from consumers.common.errors import OperationFailed
from consumers.verify.topic_check import verify_topics
from tests.faults.options import FaultResult, Options
from tests.faults.report import plot
from tests.faults.rig.environment import GroupLag, RunEnvironment
from tests.faults.rig.holding_proxy import HoldingProxy
from tests.faults.rig.producer import LoadProducer
from tests.faults.rig.worker_processes import WorkerProcesses, as_flags
from tests.faults.workload.dictation import Dictation
from tests.faults.workload.sessions import SyntheticSessions

MEMORY_SECONDS = 0.5
"""Interval of memory samples."""


@dataclass(slots=True)
class FaultTrial:
    """State of a run, for injections and measurements.

    Attributes:
        memory: (seconds since the beginning, worker, resident bytes).
        backlogs: (seconds since the beginning, messages sent and not committed).
    """

    options: Options
    env: RunEnvironment
    workers: WorkerProcesses
    producer: LoadProducer
    lag: GroupLag
    source: SyntheticSessions
    random: Random
    result: FaultResult
    bar: Callable[[int, int], None]
    began: float = field(default_factory=time.time)
    memory: list[tuple[float, str, int]] = field(default_factory=list)
    backlogs: list[tuple[float, int]] = field(default_factory=list)
    proxies: dict[str, HoldingProxy] = field(default_factory=dict)
    """By worker, where the fault needs them."""

    async def drain(self) -> None:
        """Wait until the workers have committed all sent messages, or are stuck."""
        await self.producer.flush()
        await self.wait_until_committed(self.producer.sent)

    async def wait_for_commits(self, messages: int) -> None:
        """Wait until `messages` more are committed, so that a fault hits busy workers."""
        await self.wait_until_committed(self.lag.committed + messages)

    async def wait_until_committed(self, goal: int) -> None:
        """Wait until `goal` messages are committed; the workers are stuck when there is no more progress."""
        if not self.result.stuck and not await self.lag.wait_until_committed(lambda: goal, self.options.patience):
            self.mark_stuck(f"no message was committed ({self.lag.committed} of {goal} are)")

    async def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition, described by `what`; the workers are stuck when it does not become true in time."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.options.patience
        while not self.result.stuck and not condition():
            if clock() > deadline:
                self.mark_stuck(f"this did not become true: {what}")
            await asyncio.sleep(0.2)

    def mark_stuck(self, what: str) -> None:
        """Record that the workers are stuck, and why."""
        self.result.stuck = True
        self.result.problems.append(f"stuck: for {self.options.patience:g} s {what}")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and how to run it.

    Attributes:
        inject: injects the fault; may add figures to the result.
        after: measures, after the workers have ended and before the oracle; blocks.
        live: the service coalesces and shortens restarts as in production, so only finals can be compared.
        own_load: `inject` sends the messages itself.
        workers: so many to begin with, whatever the options say.
        static: workers have names that they keep.
        held: each worker has a proxy between itself and the broker, and sessions are dictated (`Dictation`).
    """

    name: str
    inject: Callable[[FaultTrial], Awaitable[None]]
    after: Callable[[FaultTrial], None] | None = None
    live: bool = False
    own_load: bool = False
    workers: int | None = None
    static: bool = False
    held: bool = False


def worker_flags(options: Options, env: RunEnvironment, policy: str, live: bool) -> list[str]:
    """Return the flags of the workers of a run."""
    topics = env.topics
    exact: dict[str, object] = {} if live else {"coalesce": False, "overload_seconds": 0}
    return as_flags(
        {
            "broker": env.address,
            "input_topic": topics.input,
            "output_topic": topics.output,
            "dead_letter_topic": topics.dead_letter,
            "state_topic": topics.state,
            "group": env.run,
            "guarantee": options.guarantee,
            "tagger": options.taggers,
            "policy": policy,
            "commit_seconds": options.commit_seconds,
            "session_timeout_seconds": options.session_timeout,
            "idle_seconds": 86400,
            "log_level": "info",
        }
        | exact
    )


async def run_trial(
    fault: Fault, options: Options, env: RunEnvironment, progress: Progress, task: TaskID
) -> FaultResult:
    """Run a fault to its end and compare the output with the oracle.

    Raises:
        OperationFailed: a topic cannot be read.
    """
    policy = options.policy or ("last:3" if fault.live else "always")
    exact = policy == "always" and not fault.live
    result = FaultResult(fault.name, options.guarantee, policy, exact)
    began = time.monotonic()

    def show(done: int, of: int) -> None:
        progress.update(task, completed=done, total=of)

    async with AsyncExitStack() as stack:
        logs = stack.enter_context(tempfile.TemporaryDirectory(prefix="hearken-faults-"))
        await env.create_run_topics()
        command = [*options.command, *worker_flags(options, env, policy, fault.live)]
        workers = WorkerProcesses(command, Path(logs), fault.static)
        stack.push_async_callback(workers.kill_all)
        lag = GroupLag(env)
        await _in_background(stack, lag.poll_forever())
        producer = await stack.enter_async_context(LoadProducer(env, lag, options.backlog, options.patience))
        source = SyntheticSessions(options.seed, options.sessions, reuse_names=options.reuse_names)
        trial = FaultTrial(options, env, workers, producer, lag, source, Random(options.seed), result, show)
        if fault.held:
            await _put_proxies(stack, trial)
        await _in_background(stack, _sample_usage(trial))
        await _run_fault(fault, trial)
        await workers.stop()
        result.died, result.bad_ends = len(workers.died), len(workers.bad_ends)
        result.figures["events"] = dict(Counter(event.name[:50] for event in workers.events()))
        if workers.died or workers.bad_ends:
            result.problems += [f"{name} ended with {code}" for name, code in [*workers.died, *workers.bad_ends][:5]]
            result.problems += [x for x in map(workers.log_tail, dict([*workers.died, *workers.bad_ends])) if x]
        if fault.after is not None:
            await asyncio.to_thread(fault.after, trial)
        if options.out is not None:
            plot(trial, options.out)
            copytree(logs, options.out / f"{fault.name}-{options.guarantee}-logs", dirs_exist_ok=True)
        progress.update(task, total=None)
        await asyncio.to_thread(_verify, trial, policy, exact)
    result.seconds = round(time.monotonic() - began, 1)
    progress.update(task, total=1, completed=1)
    return result


async def _run_fault(fault: Fault, trial: FaultTrial) -> None:
    options = trial.options
    for number in range(fault.workers or options.workers):
        await trial.workers.start(f"w{number + 1}")
    feeding = None
    if not fault.own_load:
        source = Dictation(options.seed, options.sessions) if fault.held else trial.source
        feeding = asyncio.create_task(trial.producer.send_at_rate(source, options.rate))
    await fault.inject(trial)
    trial.producer.stopping.set()
    if feeding is not None:
        await feeding
    await trial.drain()


async def _put_proxies(stack: AsyncExitStack, trial: FaultTrial) -> None:
    if trial.env.kafka is None and not trial.env.address.startswith("127.0.0.1:"):
        raise OperationFailed("the fault hold needs brokers that are known as 127.0.0.1: run it without --broker")
    for number in range(trial.options.workers):
        proxy = HoldingProxy(trial.env.address, trial.env.topics.state)
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        trial.proxies[f"w{number + 1}"] = proxy
        trial.workers.own_flags[f"w{number + 1}"] = ["--broker", proxy.address]


def _verify(trial: FaultTrial, policy: str, exact: bool) -> None:
    result, options = trial.result, trial.options
    engine = options.make_engine(policy)
    env = trial.env
    report = verify_topics(env.address, env.topics, engine, guarantee=options.guarantee, exact=exact, group=None)
    result.messages, result.revisions, result.repeats = report.messages, report.revisions, report.repeats
    result.counts = {str(kind): number for kind, number in report.counts.items()}
    result.problems += [str(problem) for problem in report.problems[:50]]
    result.figures["bad"], result.figures["sessions"] = report.bad, report.sessions
    result.figures["finals"], result.figures["dead_letters"] = report.finals, report.letters
    result.figures["stability_rounded"] = report.rounded


async def _sample_usage(trial: FaultTrial) -> None:
    """Record memory and backlog until cancelled."""
    while True:
        at = time.time() - trial.began
        trial.memory += [(at, name, size) for name, size in trial.workers.memory().items()]
        trial.backlogs.append((at, trial.producer.sent - trial.lag.committed))
        await asyncio.sleep(MEMORY_SECONDS)


async def _in_background(stack: AsyncExitStack, work: "Awaitable[None]") -> None:
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
