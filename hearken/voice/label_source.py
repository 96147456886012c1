"""Where labels come from: what a voice pipeline asks of taggers in this process, or of a server."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from hearken.messages import Revision, Update

Deliver = Callable[[Revision], Awaitable[None]]
"""Is given a revision that answers a message."""


class LabelSource(Protocol):
    """Labels messages and redacts texts.

    Methods may be called by several tasks, `send` for one session by one at a time.
    """

    async def open(self) -> None:
        """Prepare for the first text, which may take seconds. Never fails; nothing is lost by not waiting for it."""

    async def send(self, message: Update, deliver: Deliver) -> None:
        """Label a message; its revisions are given to `deliver`, now or later, none if nothing changed."""

    async def redact(self, text: str) -> str:
        """Redact a text by itself: the same text gives the same answer, whatever came before."""

    async def flush(self) -> None:
        """Wait until the final revisions of closed segments are delivered."""

    async def end(self, session: str) -> None:
        """Free a session, whose segments are closed or not needed any more. Never fails."""

    async def close(self) -> None:
        """Free what is left. May be called twice."""
