"""`hearken soak`: recorded streams through Kafka as fast as it goes, every promise checked, finals against offline."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from consumers.kafka.brokers.embedded import EmbeddedBroker
from consumers.kafka.brokers.harness import open_rig
from consumers.kafka.service.service import Service
from consumers.runtime.engine_factory import build_engine
from consumers.verify.revision_checker import RevisionChecker, TaggedKey, compare_finals, edited_segments, label_offline
from stream.engine.worker import Worker
from stream.messages.types import Message, Revision
from stream.sessions.stats import EngineStats

ON_THE_WAY = 2000
"""Messages sent and not yet finished: an embedded broker keeps 5 MiB a partition and forgets what is older."""
QUIET_SECONDS = 30.0
"""So long without a revision, after all messages are done, means that one was lost."""


@dataclass(slots=True)
class _SoakRun:
    service: Service
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer
    topic: str
    messages: Sequence[Message]
    witness: RevisionChecker
    read: int = 0
    sent: int = 0
    heard: float = field(default_factory=time.monotonic)

    async def send(self, progress: Progress) -> None:
        bar = progress.add_task("through Kafka", total=len(self.messages))
        await self.service.ready.wait()
        acks = []
        for message in self.messages:
            while self.sent - self.service.finished >= ON_THE_WAY:
                progress.update(bar, completed=self.service.finished)
                await asyncio.sleep(0.005)
            value = msgspec.json.encode(message)
            acks.append(await self.producer.send(self.topic, value, key=message.session.encode()))
            self.sent += 1
            if len(acks) >= ON_THE_WAY:
                await asyncio.gather(*acks)
                acks.clear()
        await asyncio.gather(*acks)
        while self.service.finished < self.sent or self.read < self.service.revisions:
            progress.update(bar, completed=self.service.finished)
            await asyncio.sleep(0.02)
            if self.service.finished >= self.sent and time.monotonic() - self.heard > QUIET_SECONDS:
                break
        progress.update(bar, completed=self.service.finished)

    async def listen(self) -> None:
        while True:
            for records in (await self.consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    self.witness.read(msgspec.json.decode(record.value, type=Revision))
                    self.read += 1
                    self.heard = time.monotonic()


async def soak(
    messages: list[Message], taggers: Sequence[str], policy: str, broker: str | None, *, coalesce: bool
) -> int:
    """Send, read, check, compare and print; returns 0 when nothing was lost and every final label is the offline one.

    Raises:
        SettingError: there is no such tagger or policy.
        OperationFailed: no broker answered, or the service broke.
    """
    console = Console(stderr=True)
    engine = await asyncio.to_thread(build_engine, taggers, policy, coalesce=coalesce)
    embedded = None if broker else EmbeddedBroker()
    address = embedded.address if embedded else str(broker)
    witness = RevisionChecker(reopened=edited_segments(messages))
    async with open_rig("soak", address) as rig:
        service = Service(rig.settings, Worker(engine, queue=rig.settings.in_flight))
        run = _SoakRun(service, rig.producer, rig.consumer, rig.settings.topics.input, messages, witness)
        seconds = await _finish(run, console)
        buried = service.dead_letters.counts.total()
    if embedded:
        embedded.close()
    console.print("labelling the same text offline, a whole segment at a time ...")
    offline_engine = await asyncio.to_thread(build_engine, taggers, policy, coalesce=False)
    offline = await asyncio.to_thread(label_offline, offline_engine, messages)
    agree, wrong = compare_finals(messages, witness.standing, offline)
    problems = [*witness.complaints, *wrong]
    Console().print(_table(run, engine.stats, seconds, offline, agree, len(problems)))
    for problem in problems[:20]:
        console.print(problem, highlight=False)
    lost = buried or run.read != service.revisions or service.finished != len(messages)
    return 1 if problems or lost else 0


def _table(
    run: _SoakRun, stats: EngineStats, seconds: float, offline: dict[TaggedKey, Revision], agree: int, problems: int
) -> Table:
    service = run.service
    rows = [
        ("sessions", f"{len({m.session for m in run.messages}):,}"),
        (
            "messages sent, finished, dead letters",
            f"{run.sent:,}, {service.finished:,}, {service.dead_letters.counts.total():,}",
        ),
        ("revisions written, read", f"{service.revisions:,}, {run.read:,}"),
        ("segments whose final labels are the offline ones", f"{agree:,} of {len(offline):,}"),
        ("spans in them", f"{sum(len(r.spans) for r in offline.values()):,}"),
        ("words a second", f"{stats.words / seconds:,.0f} ({stats.words:,} words in {seconds:.1f} s)"),
        ("words recomputed a word", f"{stats.words_recomputed / max(1, stats.words):.2f}"),
        ("flips by the model, by rewritten input", f"{stats.flips_model:,}, {stats.flips_input:,}"),
        ("broken promises", f"{problems:,}"),
    ]
    table = Table.grid(padding=(0, 3))
    for row in rows:
        table.add_row(*row)
    return table


async def _finish(run: _SoakRun, console: Console) -> float:
    """Serve, send and listen until all is read; returns the seconds that took."""
    end = asyncio.Event()
    serving = asyncio.create_task(run.service.run(end))
    listening = asyncio.create_task(run.listen())
    with Progress(console=console) as progress:
        sending = asyncio.create_task(run.send(progress))
        began = time.monotonic()
        await asyncio.wait([serving, listening, sending], return_when=asyncio.FIRST_COMPLETED)
        seconds = time.monotonic() - began
    end.set()
    failed = [task for task in (listening, sending) if task.done() and task.exception()]
    for task in (listening, sending):
        task.cancel()
    await asyncio.gather(listening, sending, return_exceptions=True)
    await serving
    for task in failed:
        task.result()
    return seconds
