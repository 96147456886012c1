"""/healthz: does work go on. /readyz: should work be sent here. Neither tells of sessions or texts.

Health is progress: what waits must go on within `stall_seconds`. Brokers that are away are no reason to be restarted:
their partitions are given up and opened again, and meanwhile the service is healthy and not ready.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from consumers.http.context import HttpContext
from consumers.http.ops.stalls import find_stalls


def routes(context: HttpContext) -> list[BaseRoute]:
    """Routes that need no token."""

    async def healthz(request: Request) -> JSONResponse:
        trouble = find_trouble(context)
        told = {"status": "stuck" if trouble else "ok", "why": trouble, **_figures(context)}
        return JSONResponse(told | _workers(context), 503 if trouble else 200)

    async def readyz(request: Request) -> JSONResponse:
        lacking = find_lacking(context)
        return JSONResponse({"ready": not lacking, "why": lacking}, 503 if lacking else 200)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def find_trouble(context: HttpContext) -> list[str]:
    """What does not go on although it should, here or in another worker of this machine; a line each."""
    patience, slot = context.settings.stall_seconds, context.slot
    trouble = find_stalls(context.worker, context.service, patience)
    return trouble if slot is None else trouble + slot.board.find_problems(slot.worker, patience)


def find_lacking(context: HttpContext) -> list[str]:
    """What has to be there before work can be done; a line each."""
    service = context.service
    if service is None:
        return find_trouble(context)
    if service.stopping:
        return ["the service ends"]
    given, opened = service.partitions
    if not service.ready.is_set():
        waiting = f"{given - opened} of {given} partitions are not open yet"
        return [waiting if given else "the group has given us no partition yet"]
    return []


def _workers(context: HttpContext) -> dict[str, Any]:
    """Who answers, and all workers that the supervisor looks after."""
    if context.slot is None:
        return {}
    board = context.slot.board
    posts = [(worker, board.status(worker)) for worker in range(board.count)]
    told = [{"worker": worker, "runs": x.pid is not None, "starts": x.starts} for worker, x in posts]
    return {"worker": context.slot.worker, "workers": told}


def _figures(context: HttpContext) -> dict[str, Any]:
    worker = context.worker
    return {
        "number_format": ", ".join(worker.engine.labeller.precisions),
        "in_flight": worker.in_flight,
        "queue_age_seconds": round(worker.queue_age, 3),
        "seconds_without_progress": round(worker.stalled_seconds, 3),
    }
