"""Labels of taggers in this process for a voice pipeline."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from hearken.messages import Revision, Update
from hearken.model import Model
from hearken.stream import Stream
from hearken.voice.label_source import Deliver


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
        self._warm = self._labelling.submit(self._warm_up)

    def _warm_up(self) -> None:
        """Label something: the first call of a process is slow, and on a new machine compiles for seconds."""
        with suppress(Exception), self._model.stream(f"{self._prefix} warm-up") as stream:
            stream.replace("hello")
            stream.replace("hello there", final=True)

    async def open(self) -> None:
        """Wait until the taggers are ready."""
        await asyncio.wait([asyncio.wrap_future(self._warm)])

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
