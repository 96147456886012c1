"""Detection of stalled work, for /healthz and for the heartbeats between the workers of a machine."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.kafka.service.service import Service
    from stream.engine.worker import Worker

STALL_SECONDS = 60.0
"""Time without progress after which waiting work counts as stalled."""


def find_stalls(worker: "Worker", service: "Service | None", stall_seconds: float) -> list[str]:
    """Return a line for each kind of stalled work.

    Args:
        worker: runs the engine.
        service: None without Kafka.
        stall_seconds: time that work may wait without progress.
    """
    stalls = []
    if worker.error is not None:
        stalls.append("the compute thread has stopped; the log says why")
    elif worker.stalled_seconds > stall_seconds:
        stalls.append(f"messages wait and no step has ended for {worker.stalled_seconds:.0f} s")
    if service is not None:
        stuck, given_up = service.stuck
        if stuck > given_up + stall_seconds:
            stalls.append(f"records wait and nothing was delivered of their partition for {stuck:.0f} s")
    return stalls
