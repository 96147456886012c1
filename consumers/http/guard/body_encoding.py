"""Decompression of request bodies: `Content-Encoding: gzip` and `deflate`, with a limit of the decompressed size.

Google's Java client compresses every body. A small body can decompress to a very large one, so it is decompressed in
steps and refused as soon as it is beyond the limit.
"""

import zlib
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.http.guard.limits import body_limit, too_large
from consumers.http.guard.problem import RequestProblem, problem
from consumers.http.ops.traffic import HttpTraffic
from consumers.http.settings import HttpSettings

_ACCEPTED = "gzip, deflate"
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
"""Formats of zlib: gzip, zlib (what `deflate` is), and deflate without a header (what some clients send as it)."""
_PART_BYTES = 1 << 16
_WINDOW_BITS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


class BodyEncodingMiddleware:
    """Decompresses request bodies, and refuses encodings that it does not know before a body is read."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, traffic: HttpTraffic) -> None:
        self._app = app
        self._settings = settings
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        encodings = _encodings_of(scope) if scope["type"] == "http" else []
        if not encodings:
            return await self._app(scope, receive, send)
        if len(encodings) > 1 or encodings[0] not in _WINDOW_BITS:
            self._traffic.refuse("unsupported_encoding")
            detail = f"this Content-Encoding is not read; send the body as it is, or with one of: {_ACCEPTED}"
            refusal = problem(415, "unsupported_encoding", detail, {"accept-encoding": _ACCEPTED})
            return await refusal(scope, receive, send)
        limit = body_limit(self._settings, scope["path"])
        await self._app(scope, self._decompress(receive, _WINDOW_BITS[encodings[0]], limit), send)

    def _decompress(self, receive: Receive, window_bits: int, limit: int) -> Receive:
        """Wrap `receive`: return the decompressed body, which has at most `limit` bytes."""
        stream, size, complete = _Decompressor(window_bits), 0, False

        async def receive_decompressed() -> Message:
            nonlocal size, complete
            message = await receive()
            if message["type"] != "http.request" or complete:
                return message
            parts = []
            try:
                for part in stream.feed(message.get("body", b"")):
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise too_large(limit, self._traffic, "a decompressed body")
                complete = not message.get("more_body", False)
                if complete:
                    stream.finish()
            except (zlib.error, EOFError):
                self._traffic.refuse("bad_encoding")
                detail = "the body is not complete and valid data of its Content-Encoding"
                raise RequestProblem(400, "bad_encoding", detail, {"connection": "close"}) from None
            return {**message, "body": b"".join(parts)}

        return receive_decompressed


class _Decompressor:
    """Decompresses one stream, which for gzip may have several members, in parts of bounded size."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._stream = zlib.decompressobj(window_bits)
        self._begun = False
        self._head = b""
        """A first byte that waits for the second one."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what some compressed bytes hold, at most 64 KiB at once.

        Raises:
            zlib.error: the data is not valid.
        """
        data, self._head = self._head + data, b""
        if not self._begun and len(data) < 2:  # the first two bytes tell whether there is a header
            self._head = data
            return
        more = bool(data)
        while more:
            if self._stream.eof:
                self._next_member()
            try:
                part = self._stream.decompress(data, _PART_BYTES)
            except zlib.error:
                if self._begun or self._window_bits != _ZLIB:
                    raise
                self._window_bits = _RAW
                self._stream = zlib.decompressobj(_RAW)
                continue
            self._begun = True
            yield part
            ended = self._stream.eof
            data = self._stream.unused_data if ended else self._stream.unconsumed_tail
            more = bool(data) or (not ended and len(part) == _PART_BYTES)  # a full part may leave some inside

    def finish(self) -> None:
        """Check that the data is complete; no data at all is an empty body.

        Raises:
            EOFError: it is not.
        """
        if self._head or (self._begun and not self._stream.eof):
            raise EOFError("the compressed data ends too early")

    def _next_member(self) -> None:
        if self._window_bits != _GZIP:
            raise zlib.error("data after the end")
        self._stream = zlib.decompressobj(_GZIP)


def _encodings_of(scope: Scope) -> list[str]:
    """Return the encodings of a request's body, without `identity`."""
    named = ",".join(Headers(scope=scope).getlist("content-encoding")).lower().split(",")
    return [name for x in named if (name := x.strip()) not in ("", "identity")]
