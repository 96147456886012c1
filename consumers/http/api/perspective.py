"""POST /v1alpha1/comments:analyze: compatible with Perspective's API, for programs written for that service.

Requests, responses and errors have Perspective's shape. An attribute is the text score of that name, in any case of its
letters, of the tagger `moderation`, else of another tagger. TOXICITY without such a score is the score of the tagger
`moderation` for any of its labels. Span scores are those of the sentences. Scores are not those of Perspective, so
clients must choose new thresholds.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.formats.decode import BadInput, shorten
from consumers.http.api.caller import GatewayClosed
from consumers.http.api.gateway import Gateway
from consumers.http.api.label import BUSY, FAILED, NotLabelled, RequestRefused, label_texts
from consumers.http.api.perspective_messages import (
    PROBABILITY,
    AnalyzeRefused,
    AnalyzeRequest,
    AnalyzeResponse,
    AttributeParameters,
    AttributeScores,
    Score,
    SpanScore,
    WordSpan,
    check_comment,
    read_request,
)
from consumers.http.api.perspective_text import LANGUAGE, Utf16, cut_sentences, detect_language, is_plainly_english
from consumers.http.guard.limits import caller_of
from consumers.http.guard.problem import google_problem
from stream.engine.worker import WorkerFailed
from stream.messages.types import Revision

PATHS = ("/v1alpha1/comments:analyze", "/v1/comments:analyze")
ATTRIBUTE, TAGGER = "TOXICITY", "moderation"
ATTRIBUTES = (ATTRIBUTE, "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT", "SEXUALLY_EXPLICIT")
"""Attributes that text scores can answer."""
SAME = {"OBSCENE": "PROFANITY"}
"""Other names of attributes."""
CHECKPOINT_HEADER = "x-hearken-checkpoint"
"""Header of answers with scores: what they are a function of, beside the text."""
NAME_ENDS = "(_EXPERIMENTAL)?(@[0-9]{1,9})?"
"""Pattern of what may follow an attribute's name: it changes nothing, and is in the answer as it was asked for."""
_NAME_ENDS = re.compile(NAME_ENDS + "$")


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


def describe_checkpoints(passes: Sequence[Sequence[str]], checkpoints: Sequence[str], formats: Sequence[str]) -> str:
    """Return the value of `CHECKPOINT_HEADER`: each checkpoint's digest, taggers and number format.

    Args:
        passes: taggers by pass; the others have one item for each.
    """
    parts = zip(passes, checkpoints, formats, strict=True)
    return ", ".join(f"{digest}; taggers={'+'.join(names)}; format={number}" for names, digest, number in parts)


def base_name(name: str) -> str:
    """Return the name under which an attribute may be offered, without its version and by its usual name."""
    bare = _NAME_ENDS.sub("", name, count=1)
    return SAME.get(bare, bare)


def perspective_routes(
    gateway: Gateway, offered: Mapping[str, Source], drop_unsupported: bool = False, checkpoints: str = ""
) -> list[BaseRoute]:
    """Return the routes of `comments:analyze`.

    Args:
        offered: the attributes, from `offered_attributes`.
        drop_unsupported: leave attributes that are not offered out of the answer, unless a request says otherwise.
        checkpoints: value of `CHECKPOINT_HEADER`.
    """

    async def analyze(request: Request) -> Response:
        if not offered:
            detail = f"the service must be started with --tagger {TAGGER} for this"
            return google_problem(400, detail, status="FAILED_PRECONDITION")
        try:
            wanted = read_request(await request.body(), AnalyzeRequest)
            dropped = _drop_unsupported(wanted, offered, request.query_params, drop_unsupported)
            text = check_comment(wanted.comment, wanted.context)
            _check_attributes(wanted.requested_attributes or {}, offered)
            plain = is_plainly_english(text)
            detected = LANGUAGE if plain else await asyncio.to_thread(detect_language, text)
            _check_languages(wanted, detected)
            sentences = cut_sentences(text) if wanted.span_annotations else []
            texts = [text, *(text[a:b] for a, b in sentences if len(sentences) > 1)]
            caller = caller_of(request)
            with caller.hold_texts(len(texts)):
                found = await label_texts(gateway, texts, caller.group)
        except (BadInput, RequestRefused) as error:
            return google_problem(400, f"Invalid JSON payload received. {error.detail}")
        except AnalyzeRefused as error:
            return google_problem(400, str(error), error.details)
        except (TimeoutError, GatewayClosed, WorkerFailed):
            return google_problem(503, BUSY[1], headers={"retry-after": "5"})
        except NotLabelled:
            return google_problem(500, FAILED[1])
        answer = _make_response(wanted, text, sentences or [(0, len(text))], offered, found)
        answer.languages, answer.detected_languages = wanted.languages or [detected], [detected]
        answer.unsupported_attributes = dropped
        return Response(msgspec.json.encode(answer), 200, {CHECKPOINT_HEADER: checkpoints}, "application/json")

    return [Route(path, analyze, methods=["POST"]) for path in PATHS]


def _check_languages(request: AnalyzeRequest, detected: str) -> None:
    """Check that a text is English, by the request or else by what was detected.

    Raises:
        AnalyzeRefused: it is not.
    """
    attribute = _quote(next(iter(request.requested_attributes or {})))
    if others := [_quote(x) for x in request.languages or () if re.split("[-_]", x.lower())[0] != LANGUAGE]:
        raise _refuse_languages(attribute, others[:8], "requestedLanguages")
    if not request.languages and detected != LANGUAGE:
        raise _refuse_languages(attribute, [detected], "detectedLanguages")


def _refuse_languages(attribute: str, languages: list[str], field: str) -> AnalyzeRefused:
    return AnalyzeRefused(
        f"Attribute {attribute} does not support request languages: {', '.join(languages)}",
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        languageNotSupportedByAttributeError={field: languages, "attribute": attribute},
    )


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
    kept = {name: x for name, x in requested.items() if base_name(name) in offered}
    if not kept or not (default if wanted is None else wanted):
        return []
    request.requested_attributes = kept
    return [_quote(name) for name in requested if name not in kept]


def _check_attributes(requested: Mapping[str, AttributeParameters | None], offered: Mapping[str, Source]) -> None:
    if not requested:
        raise AnalyzeRefused("Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES")
    for name in requested:
        if base_name(name) not in offered:
            unknown = f"Unknown requested attribute: {_quote(name)}"
            raise AnalyzeRefused(unknown, "INVALID_REQUEST", supportedAttributes=list(offered))
    for name, parameters in requested.items():
        if parameters and parameters.score_type not in (None, PROBABILITY, "SCORE_TYPE_UNSPECIFIED"):
            kind = _quote(parameters.score_type)
            raise AnalyzeRefused(
                f"Requested score type {kind} is not supported by attribute {_quote(name)}", "INVALID_REQUEST"
            )


def _quote(name: str | None) -> str:
    return shorten(name or "", 40)


def _make_response(
    request: AnalyzeRequest,
    text: str,
    parts: Sequence[tuple[int, int]],
    offered: Mapping[str, Source],
    found: Sequence[Mapping[str, Revision]],
) -> AnalyzeResponse:
    """Return the scores of a text and of its parts.

    Args:
        parts: begin and end in characters.
        found: final revisions by tagger of the text, and then of each part if there are several.
    """
    units, response, taggers = Utf16(text), AnalyzeResponse(), dict[str, None]()
    whole, *others = found
    for name, parameters in (request.requested_attributes or {}).items():
        source = offered[base_name(name)]
        summary = source.score(whole)
        if summary < ((parameters.score_threshold if parameters else None) or 0.0):
            continue
        spans = [
            SpanScore(units.at(begin), units.at(end), Score(source.score(revisions)))
            for (begin, end), revisions in zip(parts, others or [whole], strict=True)
        ]
        response.attribute_scores[name] = AttributeScores(spans, Score(summary))
        taggers[source.tagger] = None
    words: list[Any] = [x for tagger in taggers for x in whole[tagger].spans] if request.span_annotations else []
    response.word_spans = [WordSpan(units.at(x.start), units.at(x.end), x.label, Score(x.score or 0.0)) for x in words]
    response.client_token = request.client_token
    return response
