"""POST /v1alpha1/comments:analyze: compatible with Perspective's API, for programs written for that service.

Requests, responses and errors have Perspective's shape. The attribute TOXICITY is the score of the tagger `moderation`,
and the span scores are that tagger's spans. The scores are not Perspective's, so clients must choose new thresholds.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.formats.decode import BadInput, shorten
from consumers.http.api.caller import GatewayClosed
from consumers.http.api.gateway import Gateway
from consumers.http.api.label import BUSY, FAILED, NotLabelled, RequestRefused, check_size, decode_body, label_texts
from consumers.http.guard.limits import caller_of
from stream.engine.worker import WorkerFailed
from stream.messages.errors import InputError
from stream.messages.types import Revision

PATHS = ("/v1alpha1/comments:analyze", "/v1/comments:analyze")
ATTRIBUTE, TAGGER = "TOXICITY", "moderation"
PROBABILITY = "PROBABILITY"
LANGUAGE = "en"
NOT_BLANK = "[^\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"
"""Pattern of a character that is neither white space nor a control character: a comment has at least one."""
_NOT_BLANK = re.compile(NOT_BLANK)

ErrorType = Literal[
    "COMMENT_EMPTY",
    "COMMENT_TOO_LONG",
    "NO_REQUESTED_ATTRIBUTES",
    "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
    "INVALID_REQUEST",
]


class TextEntry(msgspec.Struct):
    """Text of a comment; the only supported `type` is PLAIN_TEXT."""

    text: str | None = None
    type: str | None = None


class AttributeParameters(msgspec.Struct, rename="camel"):
    """Parameters of one requested attribute."""

    score_type: str | None = None
    score_threshold: float | None = None
    """Lower scores are omitted from the response."""


class AnalyzeRequest(msgspec.Struct, rename="camel"):
    """Request body. `doNotStore`, `sessionId`, `communityId` and `context` are ignored."""

    comment: TextEntry | None = None
    requested_attributes: dict[str, AttributeParameters | None] | None = None
    span_annotations: bool | None = None
    languages: list[str] | None = None
    client_token: str | None = None
    drop_unsupported_attributes: bool | None = None
    """Leave attributes that are not offered out of the answer; an addition to Perspective's fields."""


class Score(msgspec.Struct):
    """A probability."""

    value: float
    type: str = PROBABILITY


class SpanScore(msgspec.Struct):
    """Score of a part of the comment; offsets are UTF-16 code units, end exclusive."""

    begin: int
    end: int
    score: Score


class AttributeScores(msgspec.Struct, rename="camel"):
    """Scores of one attribute."""

    span_scores: list[SpanScore]
    summary_score: Score


class AnalyzeResponse(msgspec.Struct, rename="camel", omit_defaults=True):
    """Response body, as Perspective's without `detectedLanguages`: no language is detected."""

    languages: list[str]
    attribute_scores: dict[str, AttributeScores] = {}
    client_token: str | None = None
    unsupported_attributes: list[str] = []
    """Requested attributes that were left out."""


class AnalyzeRefused(ValueError):
    """A request that Perspective would refuse too; holds the details of its error format."""

    def __init__(self, message: str, kind: ErrorType | None = None, **more: Any) -> None:
        super().__init__(message)
        detail = {"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", "errorType": kind, **more}
        self.details = [detail] if kind else []


def perspective_routes(gateway: Gateway, names: Sequence[str], drop_unsupported: bool = False) -> list[BaseRoute]:
    """Return the routes of `comments:analyze`.

    Args:
        names: the running taggers.
        drop_unsupported: leave attributes that are not offered out of the answer, unless a request says otherwise.
    """
    has_tagger = TAGGER in names

    async def analyze(request: Request) -> Response:
        if not has_tagger:
            return _error(400, "FAILED_PRECONDITION", f"the service must be started with --tagger {TAGGER} for this")
        try:
            wanted = decode_body(await request.body(), AnalyzeRequest)
            dropped = _drop_unsupported(wanted, request.query_params, drop_unsupported)
            text, threshold = _parse_request(wanted)
            (found,) = await label_texts(gateway, [text], caller_of(request).group)
        except (BadInput, RequestRefused) as error:
            return _error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {error.detail}")
        except AnalyzeRefused as error:
            return _error(400, "INVALID_ARGUMENT", str(error), error.details)
        except (TimeoutError, GatewayClosed, WorkerFailed):
            return _error(503, "UNAVAILABLE", BUSY[1], headers={"retry-after": "5"})
        except NotLabelled:
            return _error(500, "INTERNAL", FAILED[1])
        answer = _make_response(wanted, text, found[TAGGER], threshold)
        answer.unsupported_attributes = dropped
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return [Route(path, analyze, methods=["POST"]) for path in PATHS]


def _error(
    code: int, status: str, message: str, details: Sequence[Any] = (), headers: Mapping[str, str] | None = None
) -> Response:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return JSONResponse({"error": {name: value for name, value in error.items() if value}}, code, headers)


def _parse_request(request: AnalyzeRequest) -> tuple[str, float | None]:
    """Return the text to score and the score threshold.

    Raises:
        AnalyzeRefused: the request cannot be fulfilled.
    """
    comment = request.comment or TextEntry()
    text = comment.text or ""
    if not _NOT_BLANK.search(text):
        raise AnalyzeRefused("Comment must be non-empty.", "COMMENT_EMPTY")
    if comment.type not in (None, "PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED"):
        raise AnalyzeRefused("Currently, only 'PLAIN_TEXT' comments are supported", "INVALID_REQUEST")
    parameters = _check_attributes(request.requested_attributes or {})
    _check_languages(request.languages or [])
    try:
        check_size(text)
    except InputError as error:
        raise AnalyzeRefused(f"Comment text too long: {error.detail}", "COMMENT_TOO_LONG") from None
    return text, parameters.score_threshold


def _drop_unsupported(request: AnalyzeRequest, query: Mapping[str, str], default: bool) -> list[str]:
    """Remove attributes that are not offered from a request, if it or the service says so; returns their names.

    They stay if nothing would be left to answer.
    """
    wanted = request.drop_unsupported_attributes
    if wanted is None and (given := query.get("dropUnsupportedAttributes")) is not None:
        wanted = given.lower() in ("", "1", "true")
    requested = request.requested_attributes or {}
    if ATTRIBUTE not in requested or not (default if wanted is None else wanted):
        return []
    request.requested_attributes = {ATTRIBUTE: requested[ATTRIBUTE]}
    return [_quote(name) for name in requested if name != ATTRIBUTE]


def _check_attributes(requested: dict[str, AttributeParameters | None]) -> AttributeParameters:
    if not requested:
        raise AnalyzeRefused("Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES")
    for name in requested:
        if name != ATTRIBUTE:
            unknown = f"Unknown requested attribute: {_quote(name)} (this service has {ATTRIBUTE} alone)"
            raise AnalyzeRefused(unknown, "INVALID_REQUEST")
    parameters = requested[ATTRIBUTE] or AttributeParameters()
    if parameters.score_type not in (None, PROBABILITY, "SCORE_TYPE_UNSPECIFIED"):
        kind = _quote(parameters.score_type)
        raise AnalyzeRefused(
            f"Requested score type {kind} is not supported by attribute {ATTRIBUTE}", "INVALID_REQUEST"
        )
    return parameters


def _check_languages(languages: Sequence[str]) -> None:
    if languages and not any(name.lower().split("-")[0] == LANGUAGE for name in languages):
        asked = [_quote(name) for name in languages[:8]]
        raise AnalyzeRefused(
            f"Attribute {ATTRIBUTE} does not support request languages: {', '.join(asked)}",
            "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
            languageNotSupportedByAttributeError={"requestedLanguages": asked, "attribute": ATTRIBUTE},
        )


def _quote(name: str | None) -> str:
    return shorten(name or "", 40)


def _make_response(request: AnalyzeRequest, text: str, found: Revision, threshold: float | None) -> AnalyzeResponse:
    languages, token = request.languages or [LANGUAGE], request.client_token
    summary, least = found.score or 0.0, threshold or 0.0
    if summary < least:
        return AnalyzeResponse(languages, client_token=token)
    spans = [(x.start, x.end, x.score or 0.0) for x in found.spans] if request.span_annotations else []
    units = Utf16(text)
    scores = [SpanScore(units.at(a), units.at(b), Score(value)) for a, b, value in spans if value >= least]
    whole = SpanScore(0, units.at(len(text)), Score(summary))  # clients read the first span score unconditionally
    return AnalyzeResponse(languages, {ATTRIBUTE: AttributeScores(scores or [whole], Score(summary))}, token)


class Utf16:
    """Offsets of a text in UTF-16 code units, the characters of Java and JavaScript."""

    def __init__(self, text: str) -> None:
        self._pairs = [] if text.isascii() else [i for i, character in enumerate(text) if character > "\uffff"]

    def at(self, offset: int) -> int:
        """Convert an offset in code points to UTF-16 code units."""
        return offset + bisect_left(self._pairs, offset)
