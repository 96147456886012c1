"""What routes need: made once when the service starts, and never changed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.http.settings import HttpSettings
from stream.engine.worker import Worker

if TYPE_CHECKING:
    from consumers.http.api.gateway import Desk
    from consumers.http.live.model import Live
    from consumers.http.ops.timings import Meter
    from consumers.kafka.service.service import Service
    from consumers.runtime.supervisor import Place


@dataclass(frozen=True, kw_only=True)
class Context:
    """One HTTP server's view of the program that it is in."""

    settings: HttpSettings
    worker: Worker
    """Runs the engine: `worker.engine.names` are the taggers, `worker.engine.stats` what was done so far."""
    service: "Service | None" = None
    """None where nothing comes from Kafka (`hearken listen`)."""
    meter: "Meter | None" = None
    """What takes time; None: nobody looked on."""
    live: "Live | None" = None
    """What the page shows."""
    place: "Place | None" = None
    """Among several workers; None: it is alone."""
    desk: "Desk | None" = None
    """Submits messages of HTTP callers, and gives them their revisions."""
