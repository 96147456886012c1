"""`hearken serve --workers N`: what each of several services on one machine has for itself.

All are members of one group, and have the same taggers, which were loaded once. Each has an address for HTTP: the first
one the port that was asked for, the others the next ones.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from consumers.common.exit_codes import end_with_code
from consumers.common.gc_tuning import settle
from consumers.common.settings import ServiceSettings, SettingError
from consumers.common.worker_board import WorkerBoard
from consumers.http.settings import HttpSettings
from consumers.runtime.serve import SIGNALS, serve
from consumers.runtime.supervisor import Supervisor, SupervisorRules, WorkerSlot

if TYPE_CHECKING:
    from stream.engine.engine import Engine

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServeWorker:
    """One of several workers."""

    place: WorkerSlot
    at: socket.socket | None
    """Where HTTP is served; None: nowhere."""


def check_workers(count: int) -> None:
    """Check how many are asked for.

    Raises:
        SettingError: this system cannot run several.
    """
    if count > 1 and sys.platform != "linux":
        raise SettingError(
            "workers",
            f"several workers under one command are for Linux; here, start {count} times `hearken serve` with the"
            " same --group, and an --http-port for each",
        )


def serve_many(
    count: int,
    settings: ServiceSettings,
    make_engine: Callable[[], "Engine"],
    http: HttpSettings | None,
    format: str,
    log_as: Callable[[int], None],
) -> int:
    """Serve with several workers until a signal; returns the exit code.

    Args:
        count: of workers.
        settings: of all of them; an instance id gets a number behind it.
        make_engine: called once; each worker goes on with a copy of what it gives.
        http: where the first one listens; None for no HTTP.
        format: what records are, as `--format` has it.
        log_as: configures a worker's log, so that its lines say which one it is.

    Raises:
        SettingError: from `make_engine`, or a port cannot be had.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the supervisor takes them, also those that come meanwhile
    doors = [bind_next(http, worker) for worker in range(count)]
    engine = make_engine()
    _import_early(http)
    settle()
    log.info("tagger loaded", tagger=", ".join(engine.names), workers=count)
    if count > (cores := len(os.sched_getaffinity(0))):
        log.warning("more workers than cores; they wait for each other", workers=count, cores=cores)

    def work(place: WorkerSlot) -> int:
        log_as(place.worker)
        for worker, door in enumerate(doors):
            if door is not None and worker != place.worker:
                door.close()
        own = replace(settings, instance_id=name_instance(settings.instance_id, place.worker))
        member = ServeWorker(place, doors[place.worker])
        job = partial(serve, own, lambda: engine, http, format, member)
        return end_with_code(lambda: asyncio.run(job()))

    try:
        return Supervisor(WorkerBoard(count), work, wait_as(settings)).run()
    finally:
        for door in doors:
            if door is not None:
                door.close()
        log.info("all workers have ended")


def _import_early(http: HttpSettings | None) -> None:
    """What a worker would import at its start, once for all of them."""
    import consumers.kafka.service.service
    import stream.engine.worker  # noqa: F401

    if http is not None:
        import consumers.http.frontend  # noqa: F401


def bind_next(http: HttpSettings | None, worker: int) -> socket.socket | None:
    """Take the port of a worker. Nobody else gets it while a worker is started again: who asks then has to wait.

    Raises:
        SettingError: it cannot be had.
    """
    if http is None:
        return None
    from consumers.http.server import bind

    own = replace(http, port=http.port + worker if http.port else 0)
    door = bind(own)
    try:
        if door is not None:
            door.listen()
    except OSError as error:
        raise SettingError("http_port", f"cannot listen at {own.host}:{own.port} ({error.strerror})") from error
    return door


def name_instance(given: str | None, worker: int) -> str | None:
    """Static membership is a worker's own."""
    return given and f"{given}-{worker}"


def wait_as(settings: ServiceSettings) -> SupervisorRules:
    """The supervisor's times: a worker ends itself at last (`end_at_last`), and may wait for brokers at first."""
    return SupervisorRules(grace_seconds=2 * settings.shutdown_seconds + 25, calm_seconds=settings.connect_seconds + 30)
