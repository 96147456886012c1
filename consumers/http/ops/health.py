"""/healthz: does work go on. /readyz: should work be sent here. Neither tells of sessions or texts.

Health is progress: what waits must go on within `stall_seconds`. Brokers that are away are no reason to be restarted:
their partitions are given up and opened again, and meanwhile the service is healthy and not ready.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from consumers.http.ops.stalls import find_stalls
from stream.engine.worker import Worker

if TYPE_CHECKING:
    from consumers.common.worker_board import WorkerSlot
    from consumers.kafka.service.service import Service


@dataclass(frozen=True, kw_only=True)
class HealthSources:
    """Parts of the process whose progress the health checks report."""

    worker: Worker
    stall_seconds: float
    """Time without progress after which waiting work counts as stuck."""
    service: "Service | None" = None
    """None where nothing comes from Kafka (`hearken listen`)."""
    slot: "WorkerSlot | None" = None
    """Slot among several workers of this machine; None for a single one."""


def health_routes(sources: HealthSources) -> list[BaseRoute]:
    """Return the routes of `/healthz` and `/readyz`, which need no token."""

    async def healthz(request: Request) -> JSONResponse:
        trouble = find_trouble(sources)
        told = {"status": "stuck" if trouble else "ok", "why": trouble, **_figures(sources.worker)}
        return JSONResponse(told | _workers(sources.slot), 503 if trouble else 200)

    async def readyz(request: Request) -> JSONResponse:
        lacking = find_lacking(sources)
        return JSONResponse({"ready": not lacking, "why": lacking}, 503 if lacking else 200)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def find_trouble(sources: HealthSources) -> list[str]:
    """What does not go on although it should, here or in another worker of this machine; a line each."""
    patience, slot = sources.stall_seconds, sources.slot
    trouble = find_stalls(sources.worker, sources.service, patience)
    return trouble if slot is None else trouble + slot.board.find_problems(slot.worker, patience)


def find_lacking(sources: HealthSources) -> list[str]:
    """What has to be there before work can be done; a line each."""
    service = sources.service
    if service is None:
        return find_trouble(sources)
    if service.stopping:
        return ["the service ends"]
    given, opened = service.partitions
    if not service.ready.is_set():
        waiting = f"{given - opened} of {given} partitions are not open yet"
        return [waiting if given else "the group has given us no partition yet"]
    return []


def _workers(slot: "WorkerSlot | None") -> dict[str, Any]:
    """Who answers, and all workers that the supervisor looks after."""
    if slot is None:
        return {}
    board = slot.board
    posts = [(worker, board.status(worker)) for worker in range(board.count)]
    told = [{"worker": worker, "runs": x.pid is not None, "starts": x.starts} for worker, x in posts]
    return {"worker": slot.worker, "workers": told}


def _figures(worker: Worker) -> dict[str, Any]:
    return {
        "number_format": ", ".join(worker.engine.labeller.precisions),
        "in_flight": worker.in_flight,
        "queue_age_seconds": round(worker.queue_age, 3),
        "seconds_without_progress": round(worker.stalled_seconds, 3),
    }
