"""Processes of `hearken serve --workers N`: a supervisor and N workers, each a member of the consumer group.

All have the same taggers, which were loaded once. The first worker listens at the HTTP port of the settings, the others
at the next ones.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from consumers.common.cores import usable_cores
from consumers.common.exit_codes import end_with_code
from consumers.common.gc_tuning import tune_interpreter
from consumers.common.settings import ServiceSettings, SettingError
from consumers.common.worker_board import WorkerBoard, WorkerSlot
from consumers.http.settings import HttpSettings
from consumers.runtime.engine_factory import log_loaded
from consumers.runtime.serve import SIGNALS, ServeWorker, serve_until_signal
from consumers.runtime.supervisor import Supervisor, SupervisorRules

if TYPE_CHECKING:
    from stream.engine.engine import Engine

log = structlog.get_logger()


def check_workers(count: int) -> None:
    """Check the number of workers.

    Raises:
        SettingError: this system cannot run several workers, or this process may not use as many cores.
    """
    if count > 1 and sys.platform != "linux":
        raise SettingError(
            "workers",
            f"several workers under one command are for Linux; here, start {count} times `hearken serve` with the"
            " same --group, and an --http-port for each",
        )
    if count > 1 and count > (cores := usable_cores()):
        raise SettingError(
            "workers",
            f"each worker needs a core, and this process may use {cores} (its affinity and the CPU quota of its"
            f" container), so at most {cores} workers, not {count}",
        )


def serve_many(
    count: int,
    settings: ServiceSettings,
    make_engine: Callable[[], "Engine"],
    http: HttpSettings | None,
    format: str,
    configure_log: Callable[[int], None],
    tracing: bool = False,
) -> int:
    """Serve with several workers until a signal; returns the exit code.

    `make_engine` is called once, before the workers are forked. `format` is that of the records, as `--format` has it.
    `configure_log` configures the log of a worker, given its number. A worker's number is appended to the instance id.
    `tracing` records spans.

    Raises:
        SettingError: from `make_engine`, or a port cannot be bound.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the supervisor waits for them, and for those that come before
    listeners = [bind_worker_port(http, worker) for worker in range(count)]
    engine = make_engine()
    _import_early(http)
    from consumers.runtime.warm import warm_engine  # slow to import

    warm_engine(engine)
    tune_interpreter()
    log_loaded(engine, workers=count)

    def work(slot: WorkerSlot) -> int:
        configure_log(slot.worker)
        for worker, listener in enumerate(listeners):
            if listener is not None and worker != slot.worker:
                listener.close()
        own = replace(settings, instance_id=worker_instance_id(settings.instance_id, slot.worker))
        member = ServeWorker(slot, listeners[slot.worker])
        job = partial(serve_until_signal, own, lambda: engine, http, format, member, tracing)
        return end_with_code(lambda: asyncio.run(job()))

    try:
        return Supervisor(WorkerBoard(count), work, supervisor_rules(settings)).run()
    finally:
        for listener in listeners:
            if listener is not None:
                listener.close()
        log.info("all_workers_ended")


def _import_early(http: HttpSettings | None) -> None:
    """Import what every worker needs, once for all of them."""
    import consumers.kafka.service.service
    import stream.engine.worker  # noqa: F401

    if http is not None:
        import consumers.http.frontend  # noqa: F401


def bind_worker_port(http: HttpSettings | None, worker: int) -> socket.socket | None:
    """Bind the HTTP port of a worker. It stays bound while the worker is restarted; clients wait meanwhile.

    Raises:
        SettingError: it cannot be bound.
    """
    if http is None:
        return None
    from consumers.http.server import bind_socket

    own = replace(http, port=http.port + worker if http.port else 0)
    listener = bind_socket(own)
    try:
        if listener is not None:
            listener.listen()
    except OSError as error:
        raise SettingError("http_port", f"cannot listen at {own.host}:{own.port} ({error.strerror})") from error
    return listener


def worker_instance_id(instance_id: str | None, worker: int) -> str | None:
    """Static membership id of one worker."""
    return instance_id and f"{instance_id}-{worker}"


def supervisor_rules(settings: ServiceSettings) -> SupervisorRules:
    """Times of the supervisor: a worker may wait for brokers at its start, and forces its own exit."""
    return SupervisorRules(
        grace_seconds=2 * settings.shutdown_seconds + 25, short_life_seconds=settings.connect_seconds + 30
    )
