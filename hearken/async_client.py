"""Client of a server for asyncio: its stream goes on over connections that break (`hearken.resume`)."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from hearken.http import RETRIED, HttpApi, ServerRefused, ServerUnreachable, explain_status
from hearken.messages import (
    Message,
    RedactedDelete,
    RedactedEnd,
    RedactedMessage,
    RedactedUpdate,
    Revision,
    ServerError,
    decode_event,
    decode_redacted,
)
from hearken.resume import ResumableStream
from hearken.state import LiveSegment, LiveSession, LiveState
from hearken.writer import TextWriter

DEFAULT_URL = "http://localhost:8477"
Output = Literal["revisions", "redacted"]
Answer = Revision | RedactedMessage
_DONE, _BAD_QUERY, _IDLE = 1000, 4400, 4410
_MAX_ANSWER = 1 << 26


class AsyncStream(TextWriter[Coroutine[Any, Any, int]]):
    """One session of an `AsyncClient`; its methods are awaited and return the number of the message."""

    def __init__(self, session: str, client: "AsyncClient") -> None:
        super().__init__(session)
        self._client = client

    @property
    def session(self) -> LiveSession:
        """State of this session, as far as answers have come."""
        return self._client.state.session(self.name)

    def send(self, message: Message) -> Coroutine[Any, Any, int]:
        """Send a message in normal form.

        Raises:
            ValueError: it is of another session, or the client was ended.
            ServerRefused, ServerUnreachable: the connection is lost for good.
        """
        self._check(message)
        self._note(message)
        return self._client.send(message)


class AsyncClient:
    """Client of a server: live streams over its WebSocket, and one-shot labels over HTTP.

    What is sent is labelled by the server; iterate over the client for the answers (and do: they wait here until they
    are read). A connection that breaks is made again, and the stream goes on; the reader sees no repeats and no gaps.

        async with hearken.AsyncClient("http://localhost:8477") as client:
            stream = client.stream("call-17")
            await stream.replace("we met anna rice in rome", final=True)
            await client.end()
            async for revision in client:
                print(revision.tagger, revision.spans)

    Args:
        url: of the server.
        token: if it needs one.
        output: "revisions", or "redacted" for the redacted stream of a server that redacts.
        reconnect_seconds: how long a server that cannot be reached is tried again.
        on_answer: called with each answer and each error instead of keeping it for the reader; it must not block.

    Attributes:
        connections: number of connections that were made.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        output: Output = "revisions",
        reconnect_seconds: float = 60.0,
        on_answer: Callable[[Answer | ServerError], None] | None = None,
    ) -> None:
        scheme, _, place = url.rstrip("/").partition("://")
        if scheme not in ("http", "https", "ws", "wss") or not place:
            raise ValueError(f"{url!r} is no address of a server; for example {DEFAULT_URL}")
        secure = "s" if scheme in ("https", "wss") else ""
        self.connections = 0
        self._socket_url = f"ws{secure}://{place}/v1/stream?output={output}"
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = HttpApi(f"http{secure}://{place}", token, reconnect_seconds)
        self._decode: Callable[[str | bytes], Answer | ServerError] = (
            decode_redacted if output == "redacted" else decode_event
        )
        self._protocol = ResumableStream(redacted=output == "redacted")
        self._reconnect_seconds = reconnect_seconds
        self._on_answer = on_answer
        self._socket: ClientConnection | None = None
        self._sending = asyncio.Lock()
        self._answers: deque[Answer | ServerError] = deque()
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._wanted.set()
        """Set while there is a reason to be connected."""
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> LiveState:
        """Texts, standing spans, settled and redacted text of all sessions."""
        return self._protocol.state

    def stream(self, session: str = "stream") -> AsyncStream:
        """Write the text of a session; its open segments close with it, or with the client."""
        return AsyncStream(session, self)

    async def send(self, message: Message) -> int:
        """Send a message in normal form; returns its number, which revisions name as their `offset`.

        Waits while the server takes no more. Without a connection it returns at once: the message is sent, or what has
        become of its segment, when there is one.

        Raises:
            ValueError: the client was ended.
            ServerRefused, ServerUnreachable: the connection is lost for good.
        """
        self._check_running()
        async with self._sending:
            frame = self._protocol.send(message)
            number = self._protocol.sent - 1
            self._give(*self._protocol.take_answers())
            self._wanted.set()
            if frame is not None:
                await self._transmit(self._socket, frame)
        return number

    async def end(self) -> None:
        """End all sessions; iteration ends after the last answer."""
        self._check_running()
        async with self._sending:
            if not self._protocol.finished:
                self._wanted.set()
                await self._transmit(self._socket, self._protocol.finish())

    async def label(self, text: str, taggers: Iterable[str] | None = None) -> LiveSegment:
        """Label one finished text; raises as `label_all`."""
        return (await self.label_all([text], taggers))[0]

    async def label_all(self, texts: Iterable[str], taggers: Iterable[str] | None = None) -> list[LiveSegment]:
        """Label finished texts, independently of each other, by the taggers of the server or some of them.

        Raises:
            ServerRefused: a text or a tagger cannot be used, or the token is wrong.
            ServerUnreachable: there is no answer in time.
        """
        return await asyncio.to_thread(self._http.label, list(texts), taggers)

    async def redact(self, text: str, labels: Iterable[str] | None = None, style: str | None = None) -> str:
        """Return one finished text with covered values replaced; by default as the server was started.

        Raises:
            ServerRefused: the text, a label or the style cannot be used, or the token is wrong.
            ServerUnreachable: there is no answer in time.
        """
        return await asyncio.to_thread(self._http.redact, text, labels, style)

    async def connect(self) -> None:
        """Connect now, not with the first message; done by `async with`.

        Raises:
            ServerRefused: the token is wrong, or the server gives no such output.
            ServerUnreachable: it cannot be reached.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run(await self._open()))

    async def close(self) -> None:
        """Disconnect at once: open sessions end on the server, and answers that have not come are lost."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._news.set()

    async def __aenter__(self) -> "AsyncClient":
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Revision]:
        """Iterate over the revisions until the stream ends.

        Raises:
            ServerRefused: a message was refused, or labelling failed on it; iterate again for the others.
            ServerUnreachable: the connection is lost for good.
            ValueError: the output is the redacted stream, see `redacted`.
        """
        return self._iterate(Revision)

    def redacted(self) -> AsyncIterator[RedactedMessage]:
        """Iterate over the messages of the redacted stream; raises as the iteration over revisions."""
        return self._iterate((RedactedUpdate, RedactedDelete, RedactedEnd))

    async def _iterate(self, kinds: Any) -> AsyncIterator[Any]:
        while True:
            while self._answers:
                answer = self._answers.popleft()
                if isinstance(answer, ServerError):
                    raise ServerRefused(answer.reason, answer.detail, answer.frame)
                if not isinstance(answer, kinds):
                    raise ValueError("with output='redacted' iterate over `redacted()`, else over the client")
                yield answer
            if self._task is None or self._task.done():
                self._check_running()
                return
            self._news.clear()
            await self._news.wait()

    def _check_running(self) -> None:
        """Raise what the connection was lost for."""
        if self._task is None:
            raise ValueError("the client is not connected: use `async with`, or connect()")
        if self._task.done() and not self._task.cancelled() and (error := self._task.exception()):
            raise error

    def _give(self, *answers: Answer | ServerError | None) -> None:
        for answer in answers:
            if answer is not None and self._on_answer is not None:
                self._on_answer(answer)
            elif answer is not None:
                self._answers.append(answer)
        self._news.set()

    async def _transmit(self, socket: ClientConnection | None, frame: bytes) -> None:
        """Send a frame if there is a connection. If it breaks, its successor gets what was not answered."""
        if socket is not None:
            with suppress(ConnectionClosed):
                await socket.send(frame.decode())

    async def _run(self, socket: ClientConnection) -> None:
        """Read answers, and connect again, until the stream has ended."""
        try:
            while not await self._serve(socket):
                await self._wanted.wait()
                socket = await self._reconnect()
        finally:
            self._news.set()

    async def _serve(self, socket: ClientConnection) -> bool:
        """Use a connection until it is closed; returns whether the stream has ended."""
        # Answers are read meanwhile: a server that has many to send takes no more frames.
        sending = asyncio.create_task(self._resume(socket))
        refusal: ServerError | None = None
        try:
            with suppress(ConnectionClosed):
                async for frame in socket:
                    answer = self._decode(frame)
                    if isinstance(answer, ServerError) and answer.reason == "bad_query":
                        refusal = answer
                    else:
                        self._give(self._protocol.receive(answer))
        finally:
            self._socket = None
            sending.cancel()
            await asyncio.gather(sending, socket.close(), return_exceptions=True)
        if refusal is not None:
            raise ServerRefused(refusal.reason, refusal.detail)
        if socket.close_code == _IDLE and not self._protocol.finished:
            self._wanted.clear()  # until there is something to send
        return socket.close_code == _DONE and self._protocol.finished

    async def _resume(self, socket: ClientConnection) -> None:
        """Send what a connection has to begin with."""
        async with self._sending:
            frames = self._protocol.resume()
            self._socket = socket
            self._give(*self._protocol.take_answers())
            for frame in frames:
                await self._transmit(socket, frame)

    async def _reconnect(self) -> ClientConnection:
        """Connect again within the time for that, ever more slowly.

        Raises:
            ServerRefused: the server does not let us in.
            ServerUnreachable: it was not reached in time.
        """
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._reconnect_seconds, 0.05
        while True:
            try:
                return await self._open()
            except ServerUnreachable:
                if loop.time() + pause > until:
                    raise
                # Clients that lost the same server do not come back at the same moment.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, 5.0)

    async def _open(self) -> ClientConnection:
        try:
            # Pongs wait behind the frames that were sent, so they may take long.
            socket = await connect(
                self._socket_url, additional_headers=self._headers, max_size=_MAX_ANSWER, ping_timeout=60
            )
        except InvalidStatus as error:
            refusal = explain_status(error.response.status_code, error.response.body or b"")
            if error.response.status_code in RETRIED:
                raise ServerUnreachable(str(refusal)) from None
            raise refusal from None
        except (OSError, WebSocketException) as error:
            raise ServerUnreachable(f"{self._socket_url}: {error}") from error
        self.connections += 1
        return socket
