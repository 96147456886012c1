"""Where labels come from: taggers in this process, or a server."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from hearken.messages import Revision, Update
from hearken.model import Model
from hearken.stream import Stream

Deliver = Callable[[Revision], Awaitable[None]]
"""Is given a revision that answers a message."""


class LabelSource(Protocol):
    """Labels messages and redacts texts.

    Methods may be called by several tasks, `send` for one session by one at a time.
    """

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


class ModelSource:
    """Labels in this process, in threads of its own.

    Args:
        model: loaded by `hearken.load`; to redact, with `redact=...`.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._prefix = secrets.token_hex(4)
        """Of the sessions' names, so that two sources of one model have none in common."""
        self._closed = False
        self._streams: dict[str, Stream] = {}
        # One thread each: calls of a stream must not overlap, and a redactor must not wait behind labels.
        self._labelling = ThreadPoolExecutor(1, "hearken-labels")
        self._redacting = ThreadPoolExecutor(1, "hearken-redaction")

    async def send(self, message: Update, deliver: Deliver) -> None:
        """Label a message."""
        for revision in await asyncio.get_running_loop().run_in_executor(self._labelling, self._label, message):
            await deliver(revision)

    def _label(self, message: Update) -> list[Revision]:
        stream = self._streams.get(message.session)
        if stream is None:
            stream = self._streams[message.session] = self._model.stream(f"{self._prefix}/{message.session}")
        return stream.replace(
            message.text, message.segment, final=message.final, speaker=message.speaker, time=message.time
        )

    async def redact(self, text: str) -> str:
        """Redact a text."""
        found = await asyncio.get_running_loop().run_in_executor(self._redacting, self._model.label, text)
        return found.redacted or ""

    async def flush(self) -> None:
        """Nothing is under way after `send`."""

    async def end(self, session: str) -> None:
        """End a stream, after what its thread is at."""
        if not self._closed:
            self._labelling.submit(self._end, session)

    def _end(self, session: str) -> None:
        if stream := self._streams.pop(session, None):
            stream.end()

    async def close(self) -> None:
        """End the streams, after what their thread is at."""
        if self._closed:
            return
        for session in list(self._streams):
            await self.end(session)
        self._closed = True
        self._labelling.shutdown(wait=False)
        self._redacting.shutdown(wait=False)


def make_source(source: "Model | str | LabelSource", redact: bool = False) -> LabelSource:
    """Return the source of labels that a processor was given.

    Args:
        source: taggers of this process (`hearken.load`), the address of a server, or a source.
        redact: whether texts are to be redacted.

    Raises:
        ValueError: the taggers redact nothing, or the address is none.
    """
    if isinstance(source, str):
        from hearken.voice.server import ServerSource

        return ServerSource(source)
    if not isinstance(source, Model):
        return source
    if redact and not source.redacts:
        raise ValueError('the model redacts nothing: load it with redact="all", or name the labels to cover')
    return ModelSource(source)
