"""Labels of a server for a voice pipeline: text flows on while it is away, and it is tried again now and then."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from hearken.async_client import Answer, AsyncClient
from hearken.http import ServerRefused
from hearken.messages import End, Revision, ServerError, Update
from hearken.voice.label_source import Deliver

CONNECT_SECONDS = 5.0
"""Time for one attempt to connect, and between two attempts."""
REDACT_SECONDS = 2.0
"""Time for one request; the redactor gives up sooner."""
REMEMBERED = 4096
"""Messages whose answers find what they are about."""


class ServerSource:
    """Labels and redaction by a server (`hearken serve` or `hearken listen`), over its WebSocket and HTTP.

    Args:
        url: of the server, such as "http://localhost:8477".
        token: if it needs one.
        clock: monotonic, in seconds.

    Raises:
        ValueError: the address is none.
    """

    def __init__(self, url: str, token: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._token = url, token
        self._clock = clock
        self._client: AsyncClient | None = None
        self._redactor = AsyncClient(url, token=token, reconnect_seconds=REDACT_SECONDS)
        self._retry_at = 0.0
        self._failure: Exception = ConnectionError("not connected")
        self._sending = asyncio.Lock()
        self._about: dict[int, tuple[Update, Deliver]] = {}
        """Messages by number, and what their answers are given to."""
        self._numbers = 0
        self._closing: dict[tuple[str, str], set[str]] = {}
        """Closed segments, and the taggers that have closed them."""
        self._taggers: set[str] = set()
        self._refusal: ServerRefused | None = None
        """What was said of a message that was sent before."""
        self._answers: asyncio.Queue[Revision] = asyncio.Queue()
        self._news = asyncio.Event()
        self._delivering: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; a failure is told with the first message."""
        with suppress(Exception):
            async with self._sending:
                await self._connect()

    async def send(self, message: Update, deliver: Deliver) -> None:
        """Send a message; its revisions are delivered when they come.

        Raises:
            ServerUnreachable, TimeoutError: there is no connection; it is not tried with every message.
            ServerRefused: the server has refused the connection, or a message that was sent before.
        """
        key = message.session, message.segment
        async with self._sending:
            client = await self._connect()
            self._about[self._numbers] = message, deliver  # an answer may come before `send` returns
            if message.final:
                self._closing[key] = set()
            try:
                await client.send(message)
            except Exception as error:
                self._closing.pop(key, None)
                await self._disconnect(error)
                raise
            self._numbers += 1
            if len(self._about) > REMEMBERED:
                del self._about[next(iter(self._about))]
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise refusal

    async def redact(self, text: str) -> str:
        """Redact a text.

        Raises:
            ServerUnreachable, ServerRefused: there is no answer.
        """
        return await self._redactor.redact(text)

    async def flush(self) -> None:
        """Wait until every tagger that has answered anything has closed what is closed."""
        while self._closing and self._client is not None:
            self._news.clear()
            await self._news.wait()

    async def end(self, session: str) -> None:
        """End a session on the server."""
        async with self._sending:
            if self._client is None:
                return
            try:
                await self._client.send(End(session=session))
                self._numbers += 1
            except Exception as error:
                await self._disconnect(error)

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.gather(self._delivering, return_exceptions=True)
            self._delivering = None

    async def _connect(self) -> AsyncClient:
        if self._client is not None:
            return self._client
        if self._clock() < self._retry_at:
            raise self._failure
        client = AsyncClient(self._url, token=self._token, on_answer=self._take)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect()
        except Exception as error:
            await self._disconnect(error)
            raise
        self._about.clear()
        self._closing.clear()
        self._client, self._numbers = client, 0
        if self._delivering is None:
            self._delivering = asyncio.create_task(self._deliver())
        return client

    async def _disconnect(self, error: Exception) -> None:
        self._failure, self._retry_at = error, self._clock() + CONNECT_SECONDS
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        self._news.set()

    def _take(self, answer: Answer | ServerError) -> None:
        if isinstance(answer, Revision):
            self._answers.put_nowait(answer)
        elif isinstance(answer, ServerError):
            self._refusal = ServerRefused(answer.reason, answer.detail)
            about = None if answer.frame is None else self._about.get(answer.frame)
            if about is not None:
                self._closing.pop((about[0].session, about[0].segment), None)
                self._news.set()

    async def _deliver(self) -> None:
        while True:
            revision = await self._answers.get()
            self._taggers.add(revision.tagger)
            about = self._about.get(revision.offset)
            if about is not None:
                await about[1](revision)
            closing = self._closing.get((revision.session, revision.segment))
            if closing is not None and revision.final:
                closing.add(revision.tagger)
                if closing >= self._taggers:
                    del self._closing[revision.session, revision.segment]
            self._news.set()
