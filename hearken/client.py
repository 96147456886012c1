"""Client of a server without asyncio: an `AsyncClient` in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from hearken.async_client import DEFAULT_URL, AsyncClient, Output
from hearken.messages import Message, RedactedMessage, Revision
from hearken.state import LiveSegment, LiveSession, LiveState
from hearken.writer import TextWriter

T = TypeVar("T")


class ClientStream(TextWriter[int]):
    """One session of a `Client`; its methods return the number of the message."""

    def __init__(self, session: str, client: "Client") -> None:
        super().__init__(session)
        self._client = client

    @property
    def session(self) -> LiveSession:
        """State of this session, as far as answers have come."""
        return self._client.state.session(self.name)

    def send(self, message: Message) -> int:
        """Send a message in normal form.

        Raises:
            ValueError: it is of another session, or the client was ended.
            ServerRefused, ServerUnreachable: the connection is lost for good.
        """
        self._check(message)
        number = self._client.send(message)
        self._note(message)
        return number


class Client:
    """Client of a server: live streams over its WebSocket, and one-shot labels over HTTP.

    It is an `AsyncClient` with methods that block. Answers are received while nobody waits for them; iterate over the
    client to read them.

        with hearken.Client("http://localhost:8477") as client:
            client.stream("call-17").replace("we met anna rice in rome", final=True)
            client.end()
            for revision in client:
                print(revision.tagger, revision.spans)

    Args:
        url: of the server.
        token: if it needs one.
        output: "revisions", or "redacted" for the redacted stream of a server that redacts.
        reconnect_seconds: how long a server that cannot be reached is tried again.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        output: Output = "revisions",
        reconnect_seconds: float = 60.0,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(url, token=token, output=output, reconnect_seconds=reconnect_seconds)
        self._thread = threading.Thread(target=self._loop.run_forever, name="hearken-client", daemon=True)

    @property
    def state(self) -> LiveState:
        """Texts, standing spans, settled and redacted text of all sessions, as far as answers have come."""
        return self._client.state

    @property
    def connections(self) -> int:
        """Number of connections that were made."""
        return self._client.connections

    def stream(self, session: str = "stream") -> ClientStream:
        """Write the text of a session; its open segments close with it, or with the client."""
        return ClientStream(session, self)

    def send(self, message: Message) -> int:
        """Send a message in normal form; returns its number, which revisions name as their `offset`.

        Raises:
            ValueError: the client was ended.
            ServerRefused, ServerUnreachable: the connection is lost for good.
        """
        return self._wait(self._client.send(message))

    def end(self) -> None:
        """End all sessions; iteration ends after the last answer."""
        self._wait(self._client.end())

    def label(self, text: str, taggers: Iterable[str] | None = None) -> LiveSegment:
        """Label one finished text; raises as `label_all`."""
        return self._wait(self._client.label(text, taggers))

    def label_all(self, texts: Iterable[str], taggers: Iterable[str] | None = None) -> list[LiveSegment]:
        """Label finished texts, independently of each other, by the taggers of the server or some of them.

        Raises:
            ServerRefused: a text or a tagger cannot be used, or the token is wrong.
            ServerUnreachable: there is no answer in time.
        """
        return self._wait(self._client.label_all(texts, taggers))

    def redact(self, text: str, labels: Iterable[str] | None = None, style: str | None = None) -> str:
        """Return one finished text with covered values replaced; by default as the server was started.

        Raises:
            ServerRefused: the text, a label or the style cannot be used, or the token is wrong.
            ServerUnreachable: there is no answer in time.
        """
        return self._wait(self._client.redact(text, labels, style))

    def __iter__(self) -> Iterator[Revision]:
        """Iterate over the revisions until the stream ends; it waits for them.

        Raises:
            ServerRefused: a message was refused, or labelling failed on it; iterate again for the others.
            ServerUnreachable: the connection is lost for good.
        """
        return self._iterate(aiter(self._client))

    def redacted(self) -> Iterator[RedactedMessage]:
        """Iterate over the messages of the redacted stream; raises as the iteration over revisions."""
        return self._iterate(self._client.redacted())

    def connect(self) -> None:
        """Connect; done by `with`.

        Raises:
            ServerRefused: the token is wrong, or the server gives no such output.
            ServerUnreachable: it cannot be reached.
        """
        self._wait(self._client.connect())

    def close(self) -> None:
        """Disconnect at once: open sessions end on the server, and answers that have not come are lost."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self._wait(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def __enter__(self) -> "Client":
        try:
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _iterate(self, answers: AsyncIterator[T]) -> Iterator[T]:
        while True:
            try:
                yield self._wait(_next(answers))
            except StopAsyncIteration:
                return

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise ValueError("the client is closed")
        if not self._thread.is_alive():
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _next(answers: AsyncIterator[T]) -> T:
    return await anext(answers)
