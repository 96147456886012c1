"""POST /batch: several requests to Perspective's endpoints in one body, as Google's client libraries send them.

The body is multipart/mixed; each part is an HTTP request (application/http) and goes through the whole application,
as if it had come by itself: with its own key, its own limits and its own status. A part that shows no key has that of
the batch. Answers have the order and the Content-ID of their parts.
"""

import asyncio
import re
import secrets
from collections import Counter
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from consumers.http.api.perspective import CHECKPOINT_HEADER
from consumers.http.guard.auth import BATCH_PATHS, KEY_PATH_SUFFIXES
from consumers.http.guard.open_connections import client_network
from consumers.http.guard.problem import google_problem

MAX_PARTS = 1000
"""Limit of the requests of one batch, as in Google's services."""
MAX_BATCHES, MAX_BATCHES_OF_ADDRESS = 16, 4
"""Limits of batches in progress: the keys are inside, so that a body must be received before they are known."""
MAX_AT_ONCE = 32
"""Parts of one batch that are answered at the same time."""
_PASSED_HEADERS = ("authorization", "x-goog-api-key", "content-type", "content-encoding")
"""Headers of a part that count: not those by which a page could be taken for another one, and no cookie."""
_INHERITED = ("authorization", "x-goog-api-key")
_ANSWERED_HEADERS = ("content-type", "retry-after", "www-authenticate", "allow", CHECKPOINT_HEADER)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,8000})(?: HTTP/\d(?:\.\d)?)?")
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class NotMultipart(ValueError):
    """The body is no batch; the message says why."""


class BatchPart(NamedTuple):
    """One request of a batch."""

    content_id: bytes | None
    """As it was sent, without line breaks."""
    request: bytes
    """Request line, headers, a blank line and the body."""


def batch_routes() -> list[BaseRoute]:
    """Return the routes of batches."""
    in_progress: Counter[str] = Counter()

    async def batch(request: Request) -> Response:
        address = client_network(request.client.host) if request.client else ""
        if in_progress.total() >= MAX_BATCHES:
            return google_problem(503, "too many batches at once; try again later", headers={"retry-after": "1"})
        if in_progress[address] >= MAX_BATCHES_OF_ADDRESS:
            detail = f"Quota exceeded: at most {MAX_BATCHES_OF_ADDRESS} batches of one address at the same time"
            return google_problem(429, detail, headers={"retry-after": "1"})
        in_progress[address] += 1
        try:
            return await _answer_batch(request)
        finally:
            in_progress[address] -= 1
            if not in_progress[address]:
                del in_progress[address]

    return [Route(path, batch, methods=["POST"]) for path in BATCH_PATHS]


async def _answer_batch(request: Request) -> Response:
    body, kind = await request.body(), request.headers.get("content-type", "")
    try:
        parts = await asyncio.to_thread(read_batch, kind, body)
    except NotMultipart as error:
        return google_problem(400, str(error))
    turn = asyncio.Semaphore(MAX_AT_ONCE)

    async def answer(part: BatchPart) -> bytes:
        async with turn:
            return await _answer_part(request, part)

    answers = await asyncio.gather(*map(answer, parts))
    boundary = f"batch_{secrets.token_urlsafe(24)}"
    lines = []
    for part, found in zip(parts, answers, strict=True):
        name = b"Content-ID: %s\r\n" % part.content_id if part.content_id else b""
        lines.append(b"--%s\r\nContent-Type: application/http\r\n%s\r\n%s\r\n" % (boundary.encode(), name, found))
    lines.append(b"--%s--\r\n" % boundary.encode())
    return Response(b"".join(lines), media_type=f"multipart/mixed; boundary={boundary}")


def read_batch(kind: str, body: bytes) -> list[BatchPart]:
    """Read the parts of a batch; lines end as in mail or with LF alone.

    Args:
        kind: the content type, which names the boundary.

    Raises:
        NotMultipart: the body is something else, or has no part or too many.
    """
    kind = kind.replace("\r", " ").replace("\n", " ")
    parsed = BytesParser(policy=compat32).parsebytes(b"Content-Type: %s\r\n\r\n" % kind.encode("latin-1") + body)
    if not parsed.is_multipart() or parsed.get_content_maintype() != "multipart":
        raise NotMultipart("Failed to parse batch request: it must be multipart/mixed with a boundary")
    payload = parsed.get_payload()
    assert isinstance(payload, list)
    if not 1 <= len(payload) <= MAX_PARTS:
        raise NotMultipart(f"The batch request must contain 1 to {MAX_PARTS} calls, not {len(payload)}")
    return [_read_part(part) for part in payload if isinstance(part, Message)]


def _read_part(part: Message) -> BatchPart:
    name = part.get("content-id")
    given = _FOLD.sub("", str(name)).strip() if name is not None else ""
    request = part.get_payload(decode=True) if not part.is_multipart() else b""
    return BatchPart(
        given.replace("\r", "").replace("\n", "").encode("utf-8", "surrogateescape") or None,
        request if isinstance(request, bytes) else b"",
    )


async def _answer_part(batch: Request, part: BatchPart) -> bytes:
    """Let the application answer one part; returns the answer as HTTP/1.1."""
    scope, body = _make_scope(batch, part.request)
    if scope is None:
        return await _write_answer(google_problem(400, "Failed to parse a request of the batch"))
    if not scope["path"].endswith(KEY_PATH_SUFFIXES):  # no batch in a batch, and no page
        return await _write_answer(google_problem(404, "there is no such method"))
    start: AsgiMessage = {}
    parts = []
    pending = [{"type": "http.request", "body": body}]

    async def receive() -> AsgiMessage:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await batch.app(scope, receive, send)
    return _join_answer(start["status"], start["headers"], b"".join(parts))


def _make_scope(batch: Request, request: bytes) -> tuple[Scope | None, bytes]:
    """Return the ASGI scope of a part's request, None if it is not one, and its body."""
    head, _, body = _split(request.lstrip(b"\r\n"))
    line, _, rest = head.partition(b"\n")
    found = _REQUEST_LINE.fullmatch(line.decode("latin-1").strip())
    try:
        url = urlsplit(found[2]) if found else None
    except ValueError:
        url = None
    if found is None or url is None:
        return None, b""
    given = BytesHeaderParser(policy=compat32).parsebytes(rest + b"\r\n\r\n")
    headers = {name: str(value) for name in _PASSED_HEADERS if (value := given.get(name)) is not None}
    if not any(name in headers for name in _INHERITED) and "key=" not in url.query:
        headers |= {name: value for name in _INHERITED if (value := batch.headers.get(name))}
        if key := batch.query_params.get("key"):
            headers.setdefault("x-goog-api-key", key)
    headers["content-length"] = str(len(body))
    raw = [(name.encode(), _FOLD.sub("", x).encode("latin-1", "replace")) for name, x in headers.items()]
    raw += [(b"host", x.encode("latin-1")) for x in batch.headers.getlist("host")]
    own = {name: batch.scope[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server")}
    target = {
        "method": found[1],
        "root_path": batch.scope.get("root_path", ""),
        "path": unquote(url.path),
        "raw_path": url.path.encode("latin-1", "replace"),
        "query_string": url.query.encode("latin-1", "replace"),
    }
    return {**own, **target, "headers": raw}, body


def _split(request: bytes) -> tuple[bytes, bytes, bytes]:
    found = _BLANK_LINE.search(request)
    return (request, b"", b"") if found is None else (request[: found.start()], found[0], request[found.end() :])


async def _write_answer(response: Response) -> bytes:
    return _join_answer(response.status_code, response.raw_headers, bytes(response.body))


def _join_answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {status} {phrase}".encode()]
    lines += [b"%s: %s" % (name, x) for name, x in headers if name.decode("latin-1") in _ANSWERED_HEADERS]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
