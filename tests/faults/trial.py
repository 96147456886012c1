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
from tests.faults.options import Finding, Options
from tests.faults.report import plot
from tests.faults.rig.environment import Lag, Place
from tests.faults.rig.holding_proxy import HoldingProxy
from tests.faults.rig.producer import Feeder
from tests.faults.rig.worker_processes import Workers, as_flags
from tests.faults.workload.dictation import Dictation
from tests.faults.workload.sessions import Speech

MEMORY_SECONDS = 0.5
"""How often memory is looked at."""


@dataclass(slots=True)
class Trial:
    """What an injection works with.

    Attributes:
        memory: (seconds since the beginning, worker, resident bytes).
        backlogs: (seconds since the beginning, messages sent and not committed).
    """

    options: Options
    place: Place
    workers: Workers
    feeder: Feeder
    lag: Lag
    speech: Speech
    random: Random
    finding: Finding
    bar: Callable[[int, int], None]
    began: float = field(default_factory=time.time)
    memory: list[tuple[float, str, int]] = field(default_factory=list)
    backlogs: list[tuple[float, int]] = field(default_factory=list)
    proxies: dict[str, HoldingProxy] = field(default_factory=dict)
    """By worker, where the fault needs them."""

    async def drain(self) -> None:
        """Wait until the workers have committed all that was sent, or are stuck."""
        await self.feeder.flush()
        await self.reach(self.feeder.sent)

    async def progress(self, messages: int) -> None:
        """Wait until so many more messages are committed: a fault should hit workers at work."""
        await self.reach(self.lag.committed + messages)

    async def reach(self, goal: int) -> None:
        """Wait until so many messages are committed; notes that the workers are stuck when nothing moves any more."""
        if not self.finding.stuck and not await self.lag.reach(lambda: goal, self.options.patience):
            self.give_up(f"no message was done, {self.lag.committed} are and {goal} should be")

    async def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for workers to come to something; notes that they are stuck when they do not."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.options.patience
        while not self.finding.stuck and not condition():
            if clock() > deadline:
                self.give_up(f"it did not come to this: {what}")
            await asyncio.sleep(0.2)

    def give_up(self, what: str) -> None:
        """The workers are stuck: `what` came of nothing for as long as our patience lasts."""
        self.finding.stuck = True
        self.finding.problems.append(f"stuck: for {self.options.patience:g} s {what}")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and how it is run.

    Attributes:
        inject: does it, returns when it is done; may put figures into the finding.
        after: measures, once the workers have ended and before the oracle; blocks.
        live: the service coalesces and shortens restarts as in real life, so only finals can be compared.
        own_load: `inject` sends the messages itself.
        workers: so many to begin with, whatever the options say.
        static: workers have names that they keep.
        held: each worker has a proxy between itself and the broker, and sessions are dictated (`Dictation`).
    """

    name: str
    inject: Callable[[Trial], Awaitable[None]]
    after: Callable[[Trial], None] | None = None
    live: bool = False
    own_load: bool = False
    workers: int | None = None
    static: bool = False
    held: bool = False


def worker_flags(options: Options, place: Place, policy: str, live: bool) -> list[str]:
    """How the workers of a run are set."""
    topics = place.topics
    calm: dict[str, object] = {} if live else {"coalesce": False, "overload_seconds": 0}
    return as_flags(
        {
            "broker": place.address,
            "input_topic": topics.input,
            "output_topic": topics.output,
            "dead_letter_topic": topics.dead_letter,
            "state_topic": topics.state,
            "group": place.run,
            "guarantee": options.guarantee,
            "tagger": options.taggers,
            "policy": policy,
            "commit_seconds": options.commit_seconds,
            "session_timeout_seconds": options.session_timeout,
            "idle_seconds": 86400,
            "log_level": "info",
        }
        | calm
    )


async def run_trial(fault: Fault, options: Options, place: Place, progress: Progress, task: TaskID) -> Finding:
    """Run a fault to its end and ask the oracle.

    Raises:
        OperationFailed: a topic cannot be read.
    """
    policy = options.policy or ("last:3" if fault.live else "always")
    exact = policy == "always" and not fault.live
    finding = Finding(fault.name, options.guarantee, policy, exact)
    began = time.monotonic()

    def show(done: int, of: int) -> None:
        progress.update(task, completed=done, total=of)

    async with AsyncExitStack() as stack:
        logs = stack.enter_context(tempfile.TemporaryDirectory(prefix="hearken-faults-"))
        await place.make_topics()
        command = [*options.command, *worker_flags(options, place, policy, fault.live)]
        workers = Workers(command, Path(logs), fault.static)
        stack.push_async_callback(workers.kill_all)
        lag = Lag(place)
        await _in_background(stack, lag.watch())
        feeder = await stack.enter_async_context(Feeder(place, lag, options.backlog, options.patience))
        speech = Speech(options.seed, options.sessions, comebacks=options.comebacks)
        trial = Trial(options, place, workers, feeder, lag, speech, Random(options.seed), finding, show)
        if fault.held:
            await _put_proxies(stack, trial)
        await _in_background(stack, _look(trial))
        await _inject(fault, trial)
        await workers.stop()
        finding.died, finding.bad_ends = len(workers.died), len(workers.bad_ends)
        finding.figures["events"] = dict(Counter(event.name[:50] for event in workers.events()))
        if workers.died or workers.bad_ends:
            finding.problems += [f"{name} ended with {code}" for name, code in [*workers.died, *workers.bad_ends][:5]]
            finding.problems += [x for x in map(workers.last_words, dict([*workers.died, *workers.bad_ends])) if x]
        if fault.after is not None:
            await asyncio.to_thread(fault.after, trial)
        if options.out is not None:
            plot(trial, options.out)
            copytree(logs, options.out / f"{fault.name}-{options.guarantee}-logs", dirs_exist_ok=True)
        progress.update(task, total=None)
        await asyncio.to_thread(_judge, trial, policy, exact)
    finding.seconds = round(time.monotonic() - began, 1)
    progress.update(task, total=1, completed=1)
    return finding


async def _inject(fault: Fault, trial: Trial) -> None:
    options = trial.options
    for number in range(fault.workers or options.workers):
        await trial.workers.start(f"w{number + 1}")
    feeding = None
    if not fault.own_load:
        source = Dictation(options.seed, options.sessions) if fault.held else trial.speech
        feeding = asyncio.create_task(trial.feeder.run(source, options.rate))
    await fault.inject(trial)
    trial.feeder.stopping.set()
    if feeding is not None:
        await feeding
    await trial.drain()


async def _put_proxies(stack: AsyncExitStack, trial: Trial) -> None:
    if trial.place.kafka is None and not trial.place.address.startswith("127.0.0.1:"):
        raise OperationFailed("the fault hold needs brokers that are known as 127.0.0.1: run it without --broker")
    for number in range(trial.options.workers):
        proxy = HoldingProxy(trial.place.address, trial.place.topics.state)
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        trial.proxies[f"w{number + 1}"] = proxy
        trial.workers.own_flags[f"w{number + 1}"] = ["--broker", proxy.address]


def _judge(trial: Trial, policy: str, exact: bool) -> None:
    finding, options = trial.finding, trial.options
    engine = options.make_engine(policy)
    place = trial.place
    report = verify_topics(place.address, place.topics, engine, guarantee=options.guarantee, exact=exact, group=None)
    finding.messages, finding.revisions, finding.repeats = report.messages, report.revisions, report.repeats
    finding.counts = {str(kind): number for kind, number in report.counts.items()}
    finding.problems += [str(problem) for problem in report.problems[:50]]
    finding.figures["bad"], finding.figures["sessions"] = report.bad, report.sessions
    finding.figures["finals"], finding.figures["dead_letters"] = report.finals, report.letters
    finding.figures["stability_rounded"] = report.rounded


async def _look(trial: Trial) -> None:
    """Note memory and backlog, for ever."""
    while True:
        at = time.time() - trial.began
        trial.memory += [(at, name, size) for name, size in trial.workers.memory().items()]
        trial.backlogs.append((at, trial.feeder.sent - trial.lag.committed))
        await asyncio.sleep(MEMORY_SECONDS)


async def _in_background(stack: AsyncExitStack, work: "Awaitable[None]") -> None:
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
