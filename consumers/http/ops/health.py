"""/healthz: whether the process makes progress. /readyz: whether it can take work. Neither exposes sessions or texts.

Waiting work must progress within `stall_seconds`. Unreachable brokers are no reason for a restart: their partitions are
closed and opened again, and meanwhile the service is healthy but not ready.
"""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from consumers.http.ops.stalls import find_stalls
from stream.engine.worker import Worker

if TYPE_CHECKING:
    from consumers.common.worker_board import WorkerSlot
    from consumers.kafka.service.service import Service


def health_routes(
    worker: Worker, stall_seconds: float, service: "Service | None" = None, slot: "WorkerSlot | None" = None
) -> list[BaseRoute]:
    """Return the routes of `/healthz` and `/readyz`, which need no token.

    Args:
        stall_seconds: time without progress after which waiting work counts as stalled.
        service: None without Kafka (`hearken listen`).
        slot: of this process among several workers of the machine; None for a single one.
    """

    def find_problems() -> list[str]:
        """Return a line for each kind of stalled work, of this process and of the machine's other workers."""
        problems = find_stalls(worker, service, stall_seconds)
        return problems if slot is None else problems + slot.board.find_problems(slot.worker, stall_seconds)

    async def healthz(request: Request) -> JSONResponse:
        problems = find_problems()
        body = {"status": "stuck" if problems else "ok", "why": problems, **_progress(worker)}
        if service is not None:
            body["topics"] = [str(problem) for problem in service.topic_problems]
        return JSONResponse(body | _worker_states(slot), 503 if problems else 200)

    async def readyz(request: Request) -> JSONResponse:
        reasons = find_problems() if service is None else _why_not_ready(service)
        return JSONResponse({"ready": not reasons, "why": reasons}, 503 if reasons else 200)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _why_not_ready(service: "Service") -> list[str]:
    """Return a line for each reason why the service cannot take work yet."""
    if service.stopping:
        return ["the service ends"]
    given, opened = service.partitions
    if not service.ready.is_set():
        waiting = f"{given - opened} of {given} partitions are not open yet"
        return [waiting if given else "the group has given us no partition yet"]
    return []


def _worker_states(slot: "WorkerSlot | None") -> dict[str, Any]:
    """Return the number of this worker, and the state of all workers of the machine."""
    if slot is None:
        return {}
    board = slot.board
    posts = [(worker, board.status(worker)) for worker in range(board.count)]
    body = [{"worker": worker, "runs": x.pid is not None, "starts": x.starts} for worker, x in posts]
    return {"worker": slot.worker, "workers": body}


def _progress(worker: Worker) -> dict[str, Any]:
    return {
        "number_format": ", ".join(worker.engine.labeller.precisions),
        "in_flight": worker.in_flight,
        "queue_age_seconds": round(worker.queue_age, 3),
        "seconds_without_progress": round(worker.stalled_seconds, 3),
    }
