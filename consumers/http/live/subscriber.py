"""Somebody who watches a session: what waits to be sent to them.

A slow one loses frames and is shown the whole anew; nobody waits for them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

WAITING = 1 << 20
"""Characters that wait for one watcher at most."""

_ENCODER = msgspec.json.Encoder()


def encode_frame(frame: Any) -> str:
    """Encode as the text of one frame."""
    return _ENCODER.encode(frame).decode()


class Subscriber:
    """A bounded queue of frames of one session.

    Args:
        snapshot: gives a session as it stands.
        limit: characters that may wait; what would be more is dropped together with all that waits, and the next
            frame is a snapshot, made when it can be sent. So a reader is behind, or whole, but never wrong.
    """

    def __init__(self, snapshot: Callable[[str], dict[str, Any]], limit: int = WAITING) -> None:
        self.session: str | None = None
        """The session that is watched."""
        self._snapshot = snapshot
        self._limit = limit
        self._frames: deque[str] = deque()
        self._waiting = 0
        self._stale = False
        self._moved = asyncio.Event()

    def watch(self, session: str | None) -> None:
        """Watch this session from now on, beginning with all of it as it stands; None: no session."""
        self.session = session
        self._void(session is not None)

    def put(self, frame: str) -> None:
        """One more frame."""
        if self._stale:
            return  # the snapshot will tell
        if self._waiting + len(frame) > self._limit:
            return self._void(True)
        self._frames.append(frame)
        self._waiting += len(frame)
        self._moved.set()

    async def take(self, seconds: float) -> list[str]:
        """All that waits, in order; after so many seconds nothing, if nothing came."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._moved.wait()
        except TimeoutError:
            return []
        taken = list(self._frames)
        if self._stale and self.session is not None:
            taken = [encode_frame(self._snapshot(self.session))]
        self._void(False)
        return taken

    def _void(self, stale: bool) -> None:
        self._frames.clear()
        self._waiting = 0
        self._stale = stale
        (self._moved.set if stale else self._moved.clear)()
