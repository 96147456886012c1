"""Does work go on: what waits must go on within a time. /healthz asks, and so do a machine's other workers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.kafka.service.service import Service
    from stream.engine.worker import Worker

STALL_SECONDS = 60.0
"""Work that has waited for so long without any progress is stuck."""


def find_stalls(worker: "Worker", service: "Service | None", patience: float) -> list[str]:
    """What does not go on although it should; a line each.

    Args:
        worker: runs the engine.
        service: None where nothing comes from Kafka.
        patience: seconds that work may wait.
    """
    stalls = []
    if worker.error is not None:
        stalls.append("the compute thread has stopped; the log says why")
    elif worker.stalled_seconds > patience:
        stalls.append(f"messages wait and no step has ended for {worker.stalled_seconds:.0f} s")
    if service is not None:
        stuck, given_up = service.stuck
        if stuck > given_up + patience:
            stalls.append(f"records wait and nothing was delivered of their partition for {stuck:.0f} s")
    return stalls
