"""Redaction of the texts that pass through a voice pipeline.

A text is redacted by itself, as a closed one. So an interim, a preflight and a final transcript with the same text have
the same redacted text: frameworks that answer a preflight one compare it with the final one.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from hearken.voice.failures import FailureReport, OnError
from hearken.voice.label_source import LabelSource

OnFailure = Literal["hide", "pass"]
HIDDEN = "[text withheld]"
"""Stands in place of a text that could not be redacted."""
START_SECONDS = 30.0
"""Time for which the first text waits for a source that is still getting ready."""
PAUSE_SECONDS = 2.0
"""Time for which no text is held back after the source has not answered in time: not each of them waits in vain."""
REMEMBERED = 128
"""Texts whose redaction is remembered: a final transcript often repeats the interim one before it."""


class TextRedactor:
    """Redacts texts, in bounded time and without failing.

    Args:
        source: redacts a text.
        on_error: given the first failure, and the first one after it has worked again.
        seconds: limit of the time that a text is held back, once the source is ready.
        on_failure: what becomes of a text that could not be redacted: "hide" it, or "pass" it on as it is.
    """

    def __init__(
        self,
        source: LabelSource,
        on_error: OnError,
        *,
        seconds: float = 1.0,
        on_failure: OnFailure = "hide",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._seconds = seconds
        self._on_failure = on_failure
        self._clock = clock
        self._ready = False
        self._paused_until = 0.0
        self._known: OrderedDict[str, str] = OrderedDict()
        self._failures = FailureReport(on_error)

    async def redact(self, text: str) -> str:
        """Redact a text. Never fails."""
        if not text.strip():
            return text
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known
        if self._clock() < self._paused_until:
            return self._give_up(text)
        try:
            if not self._ready:
                self._ready = True
                async with asyncio.timeout(START_SECONDS):
                    await self._source.open()
            async with asyncio.timeout(self._seconds):
                redacted = await self._source.redact(text)
        except Exception as error:
            if isinstance(error, TimeoutError | ConnectionError):
                self._paused_until = self._clock() + PAUSE_SECONDS
            await self._failures.tell(error)
            return self._give_up(text)
        self._failures.clear()
        self._known[text] = redacted
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return redacted

    def _give_up(self, text: str) -> str:
        return HIDDEN if self._on_failure == "hide" else text
