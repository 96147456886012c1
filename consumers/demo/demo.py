"""`hearken demo`: the whole path. A broker, the real service, a replayed live transcript, a reader of its labels."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.console import Console

from consumers.common.errors import OperationFailed
from consumers.common.settings import DEFAULT_STABILITY, ServiceSettings
from consumers.demo.revision_reader import RevisionReader
from consumers.demo.screenshot import ScreenshotView
from consumers.demo.summary import DemoSummary
from consumers.demo.terminal_view import View, make_view
from consumers.demo.transcript import Transcript
from consumers.http.frontend import HttpFrontend
from consumers.http.server import bind
from consumers.http.settings import HttpSettings
from consumers.kafka.brokers.embedded import OwnBroker, open_broker
from consumers.kafka.brokers.harness import open_rig
from consumers.kafka.service.service import Service
from consumers.recordings.jsonl import RecordedMessage, read_recording
from consumers.recordings.replay import send_recording
from consumers.runtime.engine_factory import build_engine
from consumers.runtime.serve import stopped_by_signals
from stream.engine.engine import Engine
from stream.engine.worker import Worker

SAMPLE = Path(__file__).parents[1] / "samples" / "interview.jsonl"
PATIENCE = 10.0
FRAME = 1 / 12
"""Seconds between two pictures."""


@dataclass(slots=True)
class DemoRun:
    """What runs at the same time, and what it tells each other.

    `service` labels; `producer` replays `recording` at `speed`; `reader` reads the labels into `view`.
    """

    service: Service
    producer: AIOKafkaProducer
    reader: RevisionReader
    view: View
    recording: Sequence[RecordedMessage]
    speed: float | None
    topic: str
    sent: int | None = None
    """How many updates there were, once all are sent."""
    started: float = 0.0
    """When the first update was sent."""

    async def run(self, stop: asyncio.Event) -> float:
        """Run until all that was sent is labelled and read, or until `stop`; returns the seconds that took.

        Raises:
            OperationFailed: the service broke.
            KafkaError: an update was not acknowledged, or revisions cannot be read.
        """
        end = asyncio.Event()
        serving = asyncio.create_task(self.service.run(end))
        helpers = [asyncio.create_task(job) for job in (self._replay(), self.reader.read())]
        watching = asyncio.create_task(self._watch(stop, [serving, *helpers]))
        try:
            await watching
            seconds = time.perf_counter() - self.started
        finally:
            for task in (watching, *helpers):
                task.cancel()
            results = await asyncio.gather(*helpers, return_exceptions=True)
            end.set()
            await serving
        for result in results:
            if isinstance(result, Exception):
                raise result
        return seconds

    async def _replay(self) -> None:
        """Replay once the service has its partitions: the group's start is no part of the latency."""
        await self.service.ready.wait()
        self.started = time.perf_counter()
        self.sent = await send_recording(self.producer, self.topic, self.recording, self.speed, self.reader.expect)

    async def _watch(self, stop: asyncio.Event, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Draw until the end: everything was read, somebody stops it, or something broke."""
        broken = False
        while not (self._over() or stop.is_set() or broken):
            self.view.tick(f"{self.reader.revisions} revisions   Ctrl-C ends")
            await asyncio.sleep(FRAME)
            broken = any(task.done() and (task.cancelled() or task.exception()) for task in tasks)

    def _over(self) -> bool:
        sent, service = self.sent, self.service
        return sent is not None and service.finished >= sent and self.reader.revisions >= service.revisions


async def demo(
    speed: float | None,
    broker: str | OwnBroker,
    file: Path | None,
    taggers: Sequence[str],
    policy: str,
    stability: str = DEFAULT_STABILITY,
    picture: tuple[Path, float] | None = None,
    http: HttpSettings | None = None,
) -> int:
    """Show it; returns the exit code.

    Args:
        speed: a factor of real time; None as fast as it goes.
        broker: brokers to use, or which one to start.
        file: recorded stream; None plays the sample.
        taggers: names or folders.
        policy: where restarts begin.
        stability: how sure a span must be before it is shown or changed.
        picture: where to save a picture of the view, and after how many seconds.
        http: where the live page is to be seen meanwhile; None: nowhere.

    Raises:
        SettingError: there is no such tagger, policy or level of stability.
        OperationFailed: no broker answered or started, the file is no recorded stream, or something broke.
    """
    recording = list(read_recording(file or SAMPLE))
    with stopped_by_signals() as stop:
        engine = await asyncio.to_thread(build_engine, taggers, policy, coalesce=True, stability=stability)
        console = Console()
        async with open_broker(broker) as address:
            kind = broker.value if isinstance(broker, OwnBroker) else "broker"
            title = f"tagger {', '.join(engine.names)}, policy {policy}, stability {stability}, {kind} {address}"
            try:
                summary = await _show(recording, speed, address, engine, title, console, stop, picture, http)
            except KafkaError as error:
                raise OperationFailed(f"{address}: {type(error).__name__}: {error}") from error
        if not stop.is_set():
            console.print()
            console.print(summary.table())
    return 130 if stop.is_set() else 0


async def _show(
    recording: Sequence[RecordedMessage],
    speed: float | None,
    broker: str,
    engine: Engine,
    title: str,
    console: Console,
    stop: asyncio.Event,
    picture: tuple[Path, float] | None,
    http: HttpSettings | None,
) -> DemoSummary:
    transcript = Transcript()
    view = make_view(console, transcript, engine.names)
    if picture is not None:
        view = ScreenshotView(view, transcript, *picture)
    async with open_rig("demo", broker) as rig:
        reader = RevisionReader(rig.consumer, transcript, view)
        async with _serve_page(rig.settings, Worker(engine, queue=rig.settings.in_flight), http) as (service, page):
            show = DemoRun(service, rig.producer, reader, view, recording, speed, rig.settings.topics.input)
            view.start(f"live page {page}/   {title}" if page else title)
            try:
                seconds = await show.run(stop)
            finally:
                view.stop()
    return DemoSummary(engine.stats, reader.latencies, seconds, service.dead_letters.counts.total())


@asynccontextmanager
async def _serve_page(
    settings: ServiceSettings, worker: Worker, http: HttpSettings | None
) -> AsyncIterator[tuple[Service, str | None]]:
    """The service that is to run, and where its live page is; None where it has none."""
    at = bind(http) if http else None
    if http is None or at is None:
        yield Service(settings, worker), None
        return
    with at:
        front = HttpFrontend(http, worker)
        service = Service(settings, worker, observer=front.observer)
        async with front.open(at, service) as address:
            yield service, address
