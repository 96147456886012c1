"""Failures of labelling, told once: text flows on while they last, and a voice pipeline needs no line for each word."""

from collections.abc import Awaitable, Callable

OnError = Callable[[Exception], Awaitable[None]]


class FailureReport:
    """Tells the first failure, and the first one after a success.

    Args:
        on_error: told of a failure. An exception of its own is ignored: there is nobody left to tell.
    """

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._failing = False

    async def tell(self, error: Exception) -> None:
        """Take a failure. Never fails."""
        if self._failing:
            return
        self._failing = True
        try:
            await self._on_error(error)
        except Exception:
            return

    def clear(self) -> None:
        """Take note that it works."""
        self._failing = False
