"""Run of `hearken demo`: a broker, the service, a replayed live transcript and a reader of its labels."""

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
from consumers.common.gc_tuning import tune_interpreter
from consumers.common.logs import configure_logging
from consumers.common.settings import EngineSettings, ServiceSettings
from consumers.demo.kafka_clients import open_clients
from consumers.demo.revision_reader import RevisionReader
from consumers.demo.summary import DemoSummary
from consumers.demo.terminal_view import View, make_view
from consumers.demo.transcript import Transcript
from consumers.http.frontend import HttpFrontend
from consumers.http.server import bind_socket
from consumers.http.settings import HttpSettings
from consumers.kafka.brokers.embedded import OwnBroker, open_broker
from consumers.kafka.service.service import Service
from consumers.recordings.jsonl import RecordedMessage, read_recording
from consumers.recordings.replay import send_recording
from consumers.runtime.engine_factory import build_engine
from consumers.runtime.serve import stopped_by_signals
from consumers.runtime.warm import warm_engine
from stream.engine.engine import Engine
from stream.engine.worker import Worker

SAMPLE = Path(__file__).parents[1] / "samples" / "interview.jsonl"
FRAME_SECONDS = 1 / 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """One demonstration.

    Attributes:
        engine: settings of the engine.
        broker: brokers to use, or which one to start.
        speed: factor of real time; None: without waiting.
        file: recorded stream; None: the sample.
        http: settings of the live page; None: no page.
    """

    engine: EngineSettings
    broker: str | OwnBroker = OwnBroker.EMBEDDED
    speed: float | None = None
    file: Path | None = None
    http: HttpSettings | None = None

    async def run(self) -> int:
        """Run to the end or to a signal; returns the exit code.

        Raises:
            SettingError: an unknown tagger, policy or emission level.
            OperationFailed: no broker answered or started, the file is no recorded stream, or the service failed.
        """
        recording = list(read_recording(self.file or SAMPLE))
        with stopped_by_signals() as stop:
            engine = await asyncio.to_thread(build_engine, self.engine)
            await asyncio.to_thread(warm_engine, engine, stop.is_set)
            configure_logging("warning")
            console = Console()
            async with open_broker(self.broker) as address:
                try:
                    summary = await self._show(recording, address, engine, console, stop)
                except KafkaError as error:
                    raise OperationFailed(f"{address}: {type(error).__name__}: {error}") from error
            if not stop.is_set():
                console.print()
                console.print(summary.table())
        return 130 if stop.is_set() else 0

    async def _show(
        self, recording: Sequence[RecordedMessage], broker: str, engine: Engine, console: Console, stop: asyncio.Event
    ) -> DemoSummary:
        kind = self.broker.value if isinstance(self.broker, OwnBroker) else "broker"
        title = (
            f"tagger {', '.join(engine.tagger_names)}, policy {self.engine.policy}, stability {self.engine.stability}, "
            f"{kind} {broker}"
        )
        transcript = Transcript()
        view = make_view(console, transcript, engine.tagger_names)
        async with open_clients(broker) as (settings, producer, consumer):
            reader = RevisionReader(consumer, transcript, view)
            worker = Worker(engine, queue=settings.in_flight)
            async with _serve_page(settings, worker, self.http) as (service, page):
                tune_interpreter()
                run = _DemoRun(service, producer, reader, view, recording, self.speed, settings.topics.input)
                view.start(f"live page {page}/   {title}" if page else title)
                try:
                    seconds = await run.run(stop)
                finally:
                    view.stop()
        return DemoSummary(engine.stats, reader.latencies, seconds, service.dead_letters.counts.total())


@dataclass(slots=True)
class _DemoRun:
    """The tasks that run at the same time: service, replay of the recording, reader of the revisions, view."""

    service: Service
    producer: AIOKafkaProducer
    reader: RevisionReader
    view: View
    recording: Sequence[RecordedMessage]
    speed: float | None
    topic: str
    sent: int | None = None
    """Number of updates, once all are sent."""
    started: float = 0.0
    """When the first update was sent."""

    async def run(self, stop: asyncio.Event) -> float:
        """Run until all updates are labelled and read, or until `stop`; returns the duration in seconds.

        Raises:
            OperationFailed: the service failed.
            KafkaError: an update was not acknowledged, or revisions cannot be read.
        """
        end = asyncio.Event()
        serving = asyncio.create_task(self.service.run(end))
        helpers = [asyncio.create_task(job) for job in (self._replay(), self.reader.read_forever())]
        watching = asyncio.create_task(self._draw_until_end(stop, [serving, *helpers]))
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
        """Replay once the service has its partitions, so that the group's start does not count as latency."""
        await self.service.ready.wait()
        self.started = time.perf_counter()
        self.sent = await send_recording(self.producer, self.topic, self.recording, self.speed, self.reader.add_sent)

    async def _draw_until_end(self, stop: asyncio.Event, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Draw until all revisions are read, `stop` is set, or a task failed."""
        failed = False
        while not (self._is_over() or stop.is_set() or failed):
            self.view.draw(f"{self.reader.revisions} revisions   Ctrl-C ends")
            await asyncio.sleep(FRAME_SECONDS)
            failed = any(task.done() and (task.cancelled() or task.exception()) for task in tasks)

    def _is_over(self) -> bool:
        sent, service = self.sent, self.service
        return sent is not None and service.finished >= sent and self.reader.revisions >= service.revisions


@asynccontextmanager
async def _serve_page(
    settings: ServiceSettings, worker: Worker, http: HttpSettings | None
) -> AsyncIterator[tuple[Service, str | None]]:
    """The service and the address of its live page; None without a page."""
    listener = bind_socket(http) if http else None
    if http is None or listener is None:
        yield Service(settings, worker), None
        return
    with listener:
        front = HttpFrontend(http, worker)
        service = Service(settings, worker, observer=front.observer)
        async with front.serve(listener, service) as address:
            yield service, address
