"""HTTP side of a process: the observers of its service, and the server of what they collect."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from consumers.common.tracing.spans import SpanRecorder
from consumers.formats.ignored import IgnoredRecords
from consumers.http.api.gateway import Gateway
from consumers.http.app import HttpContext, build_app
from consumers.http.live.model import LiveModel, LiveObserver
from consumers.http.ops.timings import StepTimings
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.server import serve_http
from consumers.http.settings import HttpSettings
from consumers.kafka.service.observer import ServiceObserver, ServiceObservers
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker

if TYPE_CHECKING:
    from consumers.common.worker_board import WorkerSlot


class HttpFrontend:
    """Creates gateway, live model and step timings before the service runs, and serves them over HTTP.

    Args:
        slot: of this process among several workers of the machine; None for a single one.
        ignored: count of values in which the formats of this process found nothing to label.
        spans: records the spans of requests that belong to a trace.
    """

    def __init__(
        self,
        settings: HttpSettings,
        worker: Worker,
        slot: "WorkerSlot | None" = None,
        ignored: IgnoredRecords | None = None,
        spans: SpanRecorder | None = None,
    ) -> None:
        self._spans = spans
        self._settings = settings
        self._slot = slot
        self._worker = worker
        self._ignored = ignored or IgnoredRecords()
        self._timings = StepTimings()
        self._traffic = HttpTraffic()
        engine = worker.engine
        self.live = LiveModel(engine.tagger_names, thresholds=engine.score_thresholds, received=engine.intake.segments)
        self._gateway = Gateway(worker, heard=lambda message: self.observer.on_message(message))
        redactor = engine.redactor
        live = LiveObserver(
            self.live, redactor is not None, settings.live_raw, redactor.hide_name if redactor else None
        )
        self.observer: ServiceObserver = ServiceObservers([self._timings, self._gateway, live])
        """Must be called with every step of the worker."""

    @asynccontextmanager
    async def serve(self, at: socket.socket, service: Service | None = None) -> AsyncIterator[str]:
        """Serve HTTP inside the block; yields the address."""
        context = HttpContext(
            settings=self._settings,
            worker=self._worker,
            service=service,
            timings=self._timings,
            live=self.live,
            gateway=self._gateway,
            slot=self._slot,
            traffic=self._traffic,
            ignored=self._ignored,
            spans=self._spans,
        )
        async with serve_http(build_app(context), at, self._settings, self._traffic) as address:
            try:
                yield address
            finally:
                self._gateway.close()
