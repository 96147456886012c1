"""POST /v1/label: texts in, their labels out; each text is a closed segment of a session of its own."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.formats.decode import BadInput, check_utf8, shorten
from consumers.http.api.caller import ClientHandle, GatewayClosed, LabellingFailed
from consumers.http.api.gateway import Gateway
from consumers.http.guard.problem import problem
from stream.engine.worker import WorkerFailed
from stream.messages.errors import InputError
from stream.messages.types import Revision, Update
from stream.messages.validation import check_text

MOST_TEXTS = 256
"""Of one request."""
MOST_CHARACTERS = 20_000
"""Of one text. It is labelled in one step, and everybody's live text waits meanwhile."""
LABEL_SECONDS = 60.0
"""How long a request may take."""


T = TypeVar("T")


class LabelRequest(msgspec.Struct):
    """One text, or several that have nothing to do with each other."""

    text: str | None = None
    texts: list[str] | None = None
    taggers: list[str] | None = None
    """Of those that run, the ones that are wanted; all of them by default."""


class LabelledSpan(msgspec.Struct):
    """A stretch of the text; offsets are Unicode code points, end exclusive."""

    start: int
    end: int
    label: str
    text: str
    score: float
    """The label's probability, of the least probable word."""


class Labels(msgspec.Struct):
    """What one tagger finds in one text."""

    spans: list[LabelledSpan]
    score: float | None
    """How probable it is that the text has any label: of its most suspicious word. Null where it has no word."""


class LabelResponse(msgspec.Struct):
    """The labels of each text, in order, by tagger."""

    results: list[dict[str, Labels]]


class NotLabelled(RuntimeError):
    """Labelling failed on a text: a bug of ours."""


class RequestRefused(ValueError):
    """A request that cannot be met.

    Attributes:
        reason: a short, stable code.
        detail: one line that says what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def label_routes(gateway: Gateway, names: Sequence[str]) -> list[BaseRoute]:
    """Return the route of `/v1/label`; `names` are the taggers that run."""

    async def label(request: Request) -> Response:
        try:
            texts, wanted = _read(await request.body(), names)
            found = await label_texts(gateway, texts)
        except BadInput as error:
            return problem(400, error.reason, error.detail)
        except RequestRefused as error:
            return problem(422, error.reason, error.detail)
        except (TimeoutError, GatewayClosed, WorkerFailed):
            return problem(503, *BUSY, {"retry-after": "5"})
        except NotLabelled:
            return problem(500, *FAILED)
        results = [{name: _labels(one[name]) for name in wanted} for one in found]
        return Response(msgspec.json.encode(LabelResponse(results)), media_type="application/json")

    return [Route("/v1/label", label, methods=["POST"])]


BUSY = ("busy", f"not labelled within {LABEL_SECONDS:g} seconds, or the service stops; send less at once, or later")
FAILED = ("labelling_failed", "labelling failed, which is a fault of the service; its log says why")


async def label_texts(gateway: Gateway, texts: Sequence[str]) -> list[dict[str, Revision]]:
    """Label texts, each by itself; gives the final revisions of each, by tagger.

    Args:
        gateway: submits them.
        texts: such that `check_size` and `check_text` take them.

    Raises:
        TimeoutError: it took more than `LABEL_SECONDS`.
        DeskClosed, WorkerFailed: the service stops.
        NotLabelled: it failed on one of them.
    """
    found: list[dict[str, Revision]] = [{} for _ in texts]
    async with asyncio.timeout(LABEL_SECONDS), gateway.client(sessions=len(texts)) as caller:
        submitting = asyncio.create_task(_submit(caller, texts))
        try:
            async for result in caller.results():
                if isinstance(result, LabellingFailed):
                    raise NotLabelled(f"text {result.offset}")
                found[result.offset][result.tagger] = result
            await submitting
        finally:
            submitting.cancel()
            await asyncio.gather(submitting, return_exceptions=True)
    return found


def check_size(text: str) -> None:
    """Check that a text is not too long to be labelled on request.

    Raises:
        InputError: it is.
    """
    if len(text) > MOST_CHARACTERS:
        detail = f"at most {MOST_CHARACTERS} characters are labelled at once, these are {len(text)}; send them in parts"
        raise InputError("text_too_long", detail)


def decode_body(body: bytes, kind: type[T]) -> T:
    """Decode a JSON body; unknown fields are ignored.

    Raises:
        BadInput: it is none.
        Refused: it is JSON, but not of this kind.
    """
    if not body:
        raise BadInput("empty", "the request has no body; send a JSON object")
    check_utf8(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RequestRefused("invalid_message", shorten(str(error))) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("invalid_json", shorten(str(error))) from None


def _read(body: bytes, names: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """What a request asks for: texts, and the taggers that are wanted."""
    request = decode_body(body, LabelRequest)
    if (request.text is None) == (request.texts is None):
        raise RequestRefused("invalid_message", "send either `text` or `texts`")
    texts = [request.text] if request.text is not None else request.texts or []
    if len(texts) > MOST_TEXTS:
        raise RequestRefused("too_many_texts", f"{len(texts)} texts; at most {MOST_TEXTS} are labelled at once")
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


async def _submit(caller: ClientHandle, texts: Sequence[str]) -> None:
    try:
        for number, text in enumerate(texts):
            await caller.submit(Update(session=str(number), segment="text", text=text, final=True), number)
    finally:
        caller.finish()


def _labels(revision: Revision) -> Labels:
    spans = [LabelledSpan(x.start, x.end, x.label, x.text, x.score or 0.0) for x in revision.spans]
    return Labels(spans, revision.score)
