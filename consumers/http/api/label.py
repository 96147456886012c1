"""POST /v1/label: labels texts; each text is a closed segment of its own session."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.formats.decode import BadInput, decode_json
from consumers.http.api.caller import ClientHandle, GatewayClosed, LabellingFailed
from consumers.http.api.gateway import Gateway
from consumers.http.guard.limits import caller_of
from consumers.http.guard.problem import problem
from stream.engine.worker import WorkerFailed
from stream.messages.errors import InputError
from stream.messages.types import Revision, Update
from stream.messages.validation import check_text

MAX_TEXTS = 256
"""Limit of texts in one request."""
MAX_TEXT_CHARACTERS = 20_000
"""Limit of one text: longer ones may need more time than a request has."""
SUBMITTED_AT_ONCE = 16
"""Texts that are submitted before results are read: less than a client may have in progress."""
LABEL_SECONDS = 60.0
"""Time limit of a request."""


T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


class LabelRequest(msgspec.Struct):
    """Request body: one text, or several independent ones."""

    text: str | None = None
    texts: list[str] | None = None
    taggers: list[str] | None = None
    """Names of the taggers to use; all that run by default."""


class LabelledSpan(msgspec.Struct):
    """A labelled part of a text; offsets are Unicode code points, end exclusive."""

    start: int
    end: int
    label: str
    text: str
    score: float
    """Probability of the label: the minimum over its words."""


class Labels(msgspec.Struct):
    """Labels of one text by one tagger."""

    spans: list[LabelledSpan]
    score: float | None
    """Probability that the text has any label: the maximum over its words. Null without words."""
    scores: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    """Probability of each label that the tagger gives a text; absent if it gives none, or the text has no word."""
    settled: int = 0
    """Offset up to which the labels may be acted upon: the length of the text, since it is closed."""


class LabelResponse(msgspec.Struct):
    """Response body: the labels of each text, in order, by tagger."""

    results: list[dict[str, Labels]]


class NotLabelled(RuntimeError):
    """Labelling failed on a text, which is a fault of the service."""


class RequestRefused(ValueError):
    """The body is JSON, but the request cannot be fulfilled.

    Attributes:
        reason: a short, stable code.
        detail: one line that says how to correct the request.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def label_routes(gateway: Gateway, names: Sequence[str]) -> list[BaseRoute]:
    """Return the route of `/v1/label`; `names` are the running taggers."""

    async def label(request: Request) -> Response:
        texts, wanted = _parse_request(await request.body(), names)
        caller = caller_of(request)
        with caller.hold_texts(len(texts)):
            found = await label_texts(gateway, texts, caller.group)
        results = [{name: _to_labels(one[name]) for name in wanted} for one in found]
        return Response(msgspec.json.encode(LabelResponse(results)), media_type="application/json")

    return [Route("/v1/label", answer_problems(label), methods=["POST"])]


def answer_problems(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint that labels texts: what its request or the service has wrong becomes a problem document."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadInput as error:
            return problem(400, error.reason, error.detail)
        except RequestRefused as error:
            return problem(422, error.reason, error.detail)
        except (TimeoutError, GatewayClosed, WorkerFailed):
            return problem(503, *BUSY, {"retry-after": "5"})
        except NotLabelled:
            return problem(500, *FAILED)

    return answer


BUSY = ("busy", f"not labelled within {LABEL_SECONDS:g} seconds, or the service stops; send less at once, or later")
FAILED = ("labelling_failed", "labelling failed, which is a fault of the service; its log says why")


async def label_texts(gateway: Gateway, texts: Sequence[str], group: str) -> list[dict[str, Revision]]:
    """Label texts independently; returns the final revision of each text by tagger name.

    Args:
        texts: accepted by `check_size` and `check_text`.
        group: of the client (`Gateway.client`).

    Raises:
        TimeoutError: labelling took more than `LABEL_SECONDS`.
        GatewayClosed, WorkerFailed: the service stops.
        NotLabelled: labelling failed on one of the texts.
    """
    found: list[dict[str, Revision]] = [{} for _ in texts]
    async with asyncio.timeout(LABEL_SECONDS), gateway.client(sessions=len(texts), group=group) as client:
        submitting = None
        try:
            if len(texts) <= SUBMITTED_AT_ONCE:
                await _submit(client, texts)
            else:
                submitting = asyncio.create_task(_submit(client, texts))
            async for result in client.results():
                if isinstance(result, LabellingFailed):
                    raise NotLabelled(f"text {result.offset}")
                if isinstance(result, Revision):
                    found[result.offset][result.tagger] = result
            if submitting is not None:
                await submitting
        finally:
            if submitting is not None:
                submitting.cancel()
                await asyncio.gather(submitting, return_exceptions=True)
    return found


def check_size(text: str) -> None:
    """Check that a text has at most `MAX_TEXT_CHARACTERS`.

    Raises:
        InputError: the text is longer.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        detail = f"at most {MAX_TEXT_CHARACTERS} characters are labelled at once, not {len(text)}; send them in parts"
        raise InputError("text_too_long", detail)


def decode_body(body: bytes, kind: type[T]) -> T:
    """Decode a JSON body; unknown fields are ignored.

    Raises:
        BadInput: the body is not JSON.
        RequestRefused: the body is JSON, but not of this type.
    """
    if not body:
        raise BadInput("empty", "the request has no body; send a JSON object")
    try:
        return decode_json(body, msgspec.json.Decoder(kind))
    except BadInput as error:
        if error.reason == "invalid_message":
            raise RequestRefused(error.reason, error.detail) from None
        raise


def _parse_request(body: bytes, names: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """Return the texts of a request and the names of the requested taggers."""
    request = decode_body(body, LabelRequest)
    if (request.text is None) == (request.texts is None):
        raise RequestRefused("invalid_message", "send either `text` or `texts`")
    texts = [request.text] if request.text is not None else request.texts or []
    if len(texts) > MAX_TEXTS:
        raise RequestRefused("too_many_texts", f"{len(texts)} texts; at most {MAX_TEXTS} are labelled at once")
    for number, text in enumerate(texts):
        try:
            check_size(text)
            check_text(text)
        except InputError as error:
            which = "" if request.texts is None else f"text {number}: "
            raise RequestRefused(error.reason, which + error.detail) from None
    wanted = names if request.taggers is None else request.taggers
    if not set(wanted) <= set(names):
        raise RequestRefused("unknown_tagger", f"the service runs {', '.join(names)}; others are added with --tagger")
    return texts, wanted


async def _submit(client: ClientHandle, texts: Sequence[str]) -> None:
    try:
        for number, text in enumerate(texts):
            await client.submit(Update(session=str(number), segment="text", text=text, final=True), number)
    finally:
        client.finish()


def _to_labels(revision: Revision) -> Labels:
    spans = [LabelledSpan(x.start, x.end, x.label, x.text, x.score or 0.0) for x in revision.spans]
    return Labels(spans, revision.score, revision.scores, revision.settled)
