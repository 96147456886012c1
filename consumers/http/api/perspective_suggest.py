"""POST /v1alpha1/comments:suggestscore: what clients of Perspective's API say that a score should be.

Suggestions are answered as that service answers them. They are written to a file if the operator names one, one JSON
object a line as `hearken train` reads it, and otherwise nowhere.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.formats.decode import BadInput
from consumers.http.api.label import RequestRefused
from consumers.http.api.perspective import PATHS, Source, base_name
from consumers.http.api.perspective_messages import (
    PROBABILITY,
    AnalyzeRefused,
    SuggestRequest,
    SuggestResponse,
    check_comment,
    read_request,
)
from consumers.http.guard.problem import google_problem

SUGGEST_PATHS = tuple(path.replace(":analyze", ":suggestscore") for path in PATHS)
MAX_SUGGESTED = 64
"""Limit of attributes in one suggestion."""
MAX_NAME = 100


def suggest_routes(file: Path | None, offered: Mapping[str, Source]) -> list[BaseRoute]:
    """Return the routes of `comments:suggestscore`.

    Args:
        file: gets a line for each suggestion; None: nothing is kept.
        offered: the attributes that can be answered; a suggestion for one is kept under the name of its text score.
    """

    async def suggest(request: Request) -> Response:
        try:
            given = read_request(await request.body(), SuggestRequest)
            line = _write_row(given, offered)
        except (BadInput, RequestRefused) as error:
            return google_problem(400, f"Invalid JSON payload received. {error.detail}")
        except AnalyzeRefused as error:
            return google_problem(400, str(error), error.details)
        if file is not None:
            await asyncio.to_thread(append_line, file, line)
        return Response(msgspec.json.encode(SuggestResponse(given.client_token)), media_type="application/json")

    return [Route(path, suggest, methods=["POST"]) for path in SUGGEST_PATHS]


def append_line(file: Path, line: bytes) -> None:
    """Append a line to a file by one write, so that lines of several processes do not mix.

    Raises:
        OSError: it cannot be written.
    """
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def _write_row(given: SuggestRequest, offered: Mapping[str, Source]) -> bytes:
    """Return a suggestion as a line of training data.

    Raises:
        AnalyzeRefused: it has no comment or no scores from 0 to 1.
    """
    text = check_comment(given.comment, given.context)
    scores = {name: x.summary_score for name, x in (given.attribute_scores or {}).items() if x and x.summary_score}
    if len(scores) < len(given.attribute_scores or {}):
        raise AnalyzeRefused("Missing attribute_scores.summary_score", "INVALID_REQUEST")
    if not scores:
        raise AnalyzeRefused("Missing attribute_scores", "INVALID_REQUEST")
    if len(scores) > MAX_SUGGESTED:
        raise AnalyzeRefused(f"At most {MAX_SUGGESTED} attribute_scores are taken", "INVALID_REQUEST")
    labels: dict[str, float] = {}
    for name, score in scores.items():
        if not name.strip() or len(name) > MAX_NAME:
            raise AnalyzeRefused(f"A name in attribute_scores has 1 to {MAX_NAME} characters", "INVALID_REQUEST")
        if score.type not in (PROBABILITY, "SCORE_TYPE_UNSPECIFIED") or not 0 <= score.value <= 1:
            raise AnalyzeRefused("A suggested score is a PROBABILITY from 0 to 1", "INVALID_REQUEST")
        base = base_name(name)
        source = offered.get(base)
        labels[(source.name if source else "") or base.lower()] = score.value
    return msgspec.json.encode({"text": text, "labels": labels}) + b"\n"
