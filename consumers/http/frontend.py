"""The front door as one thing: what looks on, and the server that shows it."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from consumers.http.api.gateway import Gateway
from consumers.http.app import HttpContext, build_app
from consumers.http.live.model import LiveModel, LiveObserver
from consumers.http.ops.timings import StepTimings
from consumers.http.server import serving
from consumers.http.settings import HttpSettings
from consumers.kafka.service.observer import ServiceObserver, ServiceObservers
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker

if TYPE_CHECKING:
    from consumers.common.worker_board import WorkerSlot


class HttpFrontend:
    """Made before the service, so that it misses nothing; opened before it runs, and closed after.

    Args:
        settings: see there.
        worker: runs the engine.
        slot: among several workers; None: it is alone.
    """

    def __init__(self, settings: HttpSettings, worker: Worker, slot: "WorkerSlot | None" = None) -> None:
        self._settings = settings
        self._slot = slot
        self._worker = worker
        self._timings = StepTimings()
        self.live = LiveModel(worker.engine.tagger_names, received=worker.engine.intake.segments)
        self._gateway = Gateway(worker, heard=lambda message: self.observer.on_message(message))
        self.observer: ServiceObserver = ServiceObservers([self._timings, self._gateway, LiveObserver(self.live)])
        """Must be told of every step of the worker."""

    @asynccontextmanager
    async def open(self, at: socket.socket, service: Service | None = None) -> AsyncIterator[str]:
        """Serve HTTP inside the block; gives the address."""
        context = HttpContext(
            settings=self._settings,
            worker=self._worker,
            service=service,
            timings=self._timings,
            live=self.live,
            gateway=self._gateway,
            slot=self._slot,
        )
        async with serving(build_app(context), at, self._settings) as address:
            try:
                yield address
            finally:
                self._gateway.close()
