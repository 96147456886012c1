"""What routes need: made once when the service starts, and never changed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.http.settings import HttpSettings
from stream.engine.worker import Worker

if TYPE_CHECKING:
    from consumers.common.worker_board import WorkerSlot
    from consumers.http.api.gateway import Gateway
    from consumers.http.live.model import LiveModel
    from consumers.http.ops.timings import StepTimings
    from consumers.kafka.service.service import Service


@dataclass(frozen=True, kw_only=True)
class HttpContext:
    """One HTTP server's view of the program that it is in."""

    settings: HttpSettings
    worker: Worker
    """Runs the engine: `worker.engine.tagger_names` are the taggers, `worker.engine.stats` what was done so far."""
    service: "Service | None" = None
    """None where nothing comes from Kafka (`hearken listen`)."""
    meter: "StepTimings | None" = None
    """What takes time; None: nobody looked on."""
    live: "LiveModel | None" = None
    """What the page shows."""
    slot: "WorkerSlot | None" = None
    """Among several workers; None: it is alone."""
    desk: "Gateway | None" = None
    """Submits messages of HTTP callers, and gives them their revisions."""
