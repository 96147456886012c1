"""Bounded send queue of one live-page subscriber; on overflow it is replaced by a snapshot of what it watches."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from consumers.http.live.queue import QueueRequest

MAX_QUEUED_CHARACTERS = 1 << 20
"""Limit of characters queued for one subscriber."""

_ENCODER = msgspec.json.Encoder()


def encode_frame(frame: Any) -> str:
    """Encode a frame as JSON text."""
    return _ENCODER.encode(frame).decode()


class Subscriber:
    """Bounded queue of frames of one session, or of the messages that a moderator has to see.

    Args:
        snapshot: returns the current state of a session as a frame.
        queue_snapshot: returns the messages that a request includes as a frame.
        limit: characters that may be queued. A frame beyond it empties the queue, and the next frame is a snapshot made
            when it can be sent. So a slow subscriber may be late, but never sees a wrong state.
    """

    def __init__(
        self,
        snapshot: Callable[[str], dict[str, Any]],
        queue_snapshot: Callable[[QueueRequest], dict[str, Any]],
        limit: int = MAX_QUEUED_CHARACTERS,
    ) -> None:
        self.session: str | None = None
        """Name of the watched session."""
        self.queue: QueueRequest | None = None
        """The messages that are watched, instead of a session."""
        self._snapshot = snapshot
        self._queue_snapshot = queue_snapshot
        self._limit = limit
        self._frames: deque[str] = deque()
        self._queued_characters = 0
        self._stale = False
        self._ready = asyncio.Event()

    def watch(self, session: str | None) -> None:
        """Watch a session, beginning with a snapshot; None: no session."""
        self.session, self.queue = session, None
        self._reset_queue(session is not None)

    def watch_queue(self, request: QueueRequest) -> None:
        """Watch the messages that a request includes, instead of a session, beginning with a snapshot."""
        self.session, self.queue = None, request
        self._reset_queue(True)

    def put(self, frame: str) -> None:
        """Queue a frame."""
        if self._stale:
            return  # the snapshot will include it
        if self._queued_characters + len(frame) > self._limit:
            return self._reset_queue(True)
        self._frames.append(frame)
        self._queued_characters += len(frame)
        self._ready.set()

    async def next_frames(self, seconds: float) -> list[str]:
        """Wait up to `seconds` for frames; returns all queued ones in order."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._ready.wait()
        except TimeoutError:
            return []
        taken = list(self._frames)
        if self._stale and self.queue is not None:
            taken = [encode_frame(self._queue_snapshot(self.queue))]
        elif self._stale and self.session is not None:
            taken = [encode_frame(self._snapshot(self.session))]
        self._reset_queue(False)
        return taken

    def _reset_queue(self, stale: bool) -> None:
        self._frames.clear()
        self._queued_characters = 0
        self._stale = stale
        (self._ready.set if stale else self._ready.clear)()
