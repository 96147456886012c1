"""POST /v1alpha1/comments:analyze: compatible with Perspective's API, for programs written for that service.

Requests, responses and errors have Perspective's shape. An attribute is the text score of that name, in any case of its
letters, of the tagger `moderation`, else of another tagger. TOXICITY without such a score is the score of the tagger
`moderation` for any of its labels. Span scores of TOXICITY are its tagger's spans. Scores are not those of Perspective,
so clients must choose new thresholds.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

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
ATTRIBUTES = (ATTRIBUTE, "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT", "SEXUALLY_EXPLICIT")
"""Attributes that text scores can answer."""
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


class Source(NamedTuple):
    """Where the score of an attribute comes from."""

    tagger: str
    name: str = ""
    """Of the text score; empty: the score for any label."""

    def score(self, found: Mapping[str, Revision]) -> float:
        """Return the score of a text, given its final revision by each tagger."""
        revision = found[self.tagger]
        return ((revision.scores or {}).get(self.name, 0.0) if self.name else revision.score) or 0.0


def offered_attributes(names: Sequence[str], text_scores: Mapping[str, Sequence[str]]) -> dict[str, Source]:
    """Return the attributes that can be answered.

    Args:
        names: the running taggers.
        text_scores: names of their text scores.
    """
    offered: dict[str, Source] = {}
    for attribute in ATTRIBUTES:
        for tagger in sorted(text_scores, key=lambda x: x != TAGGER):
            for name in text_scores[tagger]:
                if name.upper() == attribute:
                    offered.setdefault(attribute, Source(tagger, name))
        if attribute == ATTRIBUTE and attribute not in offered and TAGGER in names:
            offered[attribute] = Source(TAGGER)
    return offered


def perspective_routes(
    gateway: Gateway, offered: Mapping[str, Source], drop_unsupported: bool = False
) -> list[BaseRoute]:
    """Return the routes of `comments:analyze`.

    Args:
        offered: the attributes, from `offered_attributes`.
        drop_unsupported: leave attributes that are not offered out of the answer, unless a request says otherwise.
    """

    async def analyze(request: Request) -> Response:
        if not offered:
            return _error(400, "FAILED_PRECONDITION", f"the service must be started with --tagger {TAGGER} for this")
        try:
            wanted = decode_body(await request.body(), AnalyzeRequest)
            dropped = _drop_unsupported(wanted, offered, request.query_params, drop_unsupported)
            text = _parse_request(wanted, offered)
            (found,) = await label_texts(gateway, [text], caller_of(request).group)
        except (BadInput, RequestRefused) as error:
            return _error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {error.detail}")
        except AnalyzeRefused as error:
            return _error(400, "INVALID_ARGUMENT", str(error), error.details)
        except (TimeoutError, GatewayClosed, WorkerFailed):
            return _error(503, "UNAVAILABLE", BUSY[1], headers={"retry-after": "5"})
        except NotLabelled:
            return _error(500, "INTERNAL", FAILED[1])
        answer = _make_response(wanted, text, offered, found)
        answer.unsupported_attributes = dropped
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return [Route(path, analyze, methods=["POST"]) for path in PATHS]


def _error(
    code: int, status: str, message: str, details: Sequence[Any] = (), headers: Mapping[str, str] | None = None
) -> Response:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return JSONResponse({"error": {name: value for name, value in error.items() if value}}, code, headers)


def _parse_request(request: AnalyzeRequest, offered: Mapping[str, Source]) -> str:
    """Return the text to score.

    Raises:
        AnalyzeRefused: the request cannot be fulfilled.
    """
    comment = request.comment or TextEntry()
    text = comment.text or ""
    if not _NOT_BLANK.search(text):
        raise AnalyzeRefused("Comment must be non-empty.", "COMMENT_EMPTY")
    if comment.type not in (None, "PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED"):
        raise AnalyzeRefused("Currently, only 'PLAIN_TEXT' comments are supported", "INVALID_REQUEST")
    _check_attributes(request.requested_attributes or {}, offered)
    _check_languages(request.languages or [], next(iter(request.requested_attributes or {})))
    try:
        check_size(text)
    except InputError as error:
        raise AnalyzeRefused(f"Comment text too long: {error.detail}", "COMMENT_TOO_LONG") from None
    return text


def _drop_unsupported(
    request: AnalyzeRequest, offered: Mapping[str, Source], query: Mapping[str, str], default: bool
) -> list[str]:
    """Remove attributes that are not offered from a request, if it or the service says so; returns their names.

    They stay if nothing would be left to answer.
    """
    wanted = request.drop_unsupported_attributes
    if wanted is None and (given := query.get("dropUnsupportedAttributes")) is not None:
        wanted = given.lower() in ("", "1", "true")
    requested = request.requested_attributes or {}
    kept = {name: x for name, x in requested.items() if name in offered}
    if not kept or not (default if wanted is None else wanted):
        return []
    request.requested_attributes = kept
    return [_quote(name) for name in requested if name not in kept]


def _check_attributes(requested: Mapping[str, AttributeParameters | None], offered: Mapping[str, Source]) -> None:
    if not requested:
        raise AnalyzeRefused("Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES")
    for name in requested:
        if name not in offered:
            others = f"{', '.join(offered)}{' alone' if len(offered) == 1 else ''}"
            unknown = f"Unknown requested attribute: {_quote(name)} (this service has {others})"
            raise AnalyzeRefused(unknown, "INVALID_REQUEST")
    for name, parameters in requested.items():
        if parameters and parameters.score_type not in (None, PROBABILITY, "SCORE_TYPE_UNSPECIFIED"):
            kind = _quote(parameters.score_type)
            raise AnalyzeRefused(f"Requested score type {kind} is not supported by attribute {name}", "INVALID_REQUEST")


def _check_languages(languages: Sequence[str], attribute: str) -> None:
    if languages and not any(name.lower().split("-")[0] == LANGUAGE for name in languages):
        asked = [_quote(name) for name in languages[:8]]
        raise AnalyzeRefused(
            f"Attribute {attribute} does not support request languages: {', '.join(asked)}",
            "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
            languageNotSupportedByAttributeError={"requestedLanguages": asked, "attribute": attribute},
        )


def _quote(name: str | None) -> str:
    return shorten(name or "", 40)


def _make_response(
    request: AnalyzeRequest, text: str, offered: Mapping[str, Source], found: Mapping[str, Revision]
) -> AnalyzeResponse:
    units, scores = Utf16(text), {}
    for attribute, parameters in (request.requested_attributes or {}).items():
        least = (parameters.score_threshold if parameters else None) or 0.0
        summary = offered[attribute].score(found)
        if summary < least:
            continue
        shown = found[offered[attribute].tagger].spans if request.span_annotations and attribute == ATTRIBUTE else ()
        spans = [(x.start, x.end, x.score or 0.0) for x in shown]
        parts = [SpanScore(units.at(a), units.at(b), Score(value)) for a, b, value in spans if value >= least]
        whole = SpanScore(0, units.at(len(text)), Score(summary))  # clients read the first span score unconditionally
        scores[attribute] = AttributeScores(parts or [whole], Score(summary))
    return AnalyzeResponse(request.languages or [LANGUAGE], scores, request.client_token)


class Utf16:
    """Offsets of a text in UTF-16 code units, the characters of Java and JavaScript."""

    def __init__(self, text: str) -> None:
        self._pairs = [] if text.isascii() else [i for i, character in enumerate(text) if character > "\uffff"]

    def at(self, offset: int) -> int:
        """Convert an offset in code points to UTF-16 code units."""
        return offset + bisect_left(self._pairs, offset)
