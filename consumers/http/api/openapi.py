"""GET /openapi.json: what can be asked here, for programs that make clients and tests of it.

Responses are described by the types that they are made of; requests are written down here, with their limits.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.formats.registry import AUTO, FORMATS
from consumers.http.api import perspective as analyze
from consumers.http.api import perspective_discovery as discovery
from consumers.http.api.label import MOST_CHARACTERS, MOST_TEXTS, LabelResponse
from consumers.http.api.stream import CloseCode, StreamError
from consumers.http.guard.auth import COOKIE
from consumers.http.settings import HttpSettings
from stream.messages.types import Message, Revision
from stream.messages.validation import MAX_ID

Json = dict[str, Any]
_REF = "#/components/schemas/{name}"


class Problem(msgspec.Struct):
    """What went wrong: a short code that stays, and a line that says what to do."""

    error: str
    detail: str


class GoogleError(msgspec.Struct):
    """What went wrong, as Google's services say it."""

    code: int
    message: str
    status: str
    details: list[dict[str, Any]] = []


class GoogleProblem(msgspec.Struct):
    """An error of Google's shape."""

    error: GoogleError


class Health(msgspec.Struct):
    """Whether work goes on."""

    status: str
    why: list[str] = []


class Readiness(msgspec.Struct):
    """Whether work should be sent here."""

    ready: bool
    why: list[str]


_TYPES = (LabelResponse, analyze.AnalyzeResponse, Problem, GoogleProblem, Health, Readiness, StreamError, Revision)


def openapi_routes(settings: HttpSettings, names: tuple[str, ...]) -> list[BaseRoute]:
    """Return the route of `/openapi.json`; `names` are the taggers that run."""
    told = describe_api(settings, names)

    async def openapi(request: Request) -> Response:
        return JSONResponse(told)

    return [Route("/openapi.json", openapi)]


def describe_api(settings: HttpSettings, names: tuple[str, ...]) -> Json:
    """Describe all endpoints as OpenAPI 3.1."""
    (message, *_), schemas = msgspec.json.schema_components([Message, *_TYPES], ref_template=_REF)
    schemas |= {"Message": message, "LabelRequest": _label_request(names), "AnalyzeRequest": _analyze_request()}
    keyed = [*_security(settings), {"key": []}] if settings.token else []
    paths: dict[str, Json] = {
        "/healthz": {"get": _open("Does work go on", _answers("Health", {200, 503}))},
        "/readyz": {"get": _open("Should work be sent here", _answers("Readiness", {200, 503}))},
        "/metrics": {"get": _open("Figures for Prometheus", _text("text/plain", "The figures"))},
        "/openapi.json": {"get": _operation("This description", _json({"type": "object"}, "The description"))},
        discovery.PATH: {"get": _open("For Google's client libraries", _json({"type": "object"}, "The description"))},
        "/v1/label": {"post": _label(names)},
        "/v1/stream": {"get": _stream()},
    }
    paths |= {path: {"post": {**_analyze(), "security": keyed}} for path in analyze.PATHS}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hearken", "version": "1", "description": _ABOUT, "license": _LICENSE},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SCHEMES},
        "security": _security(settings),
    }


_ABOUT = "Labels live text while it is still arriving. Offsets are Unicode code points unless it says otherwise."
_LICENSE = {"name": "Apache 2.0", "identifier": "Apache-2.0"}
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
    "key": {"type": "apiKey", "in": "query", "name": "key"},
}


def _security(settings: HttpSettings) -> list[Json]:
    return [{"token": []}, {"cookie": []}] if settings.token else []


# requests

_TEXT: Json = {
    "type": "string",
    "maxLength": MOST_CHARACTERS,
    "pattern": "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$",
    "description": "Any text without control characters.",
}
_SAYS_SOMETHING = "[^\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"
"""A character that is neither blank nor control."""


def _label_request(names: tuple[str, ...]) -> Json:
    wanted = {"type": ["array", "null"], "items": {"enum": list(names)}, "description": "All that run, by default."}
    text: Json = {"text": _TEXT, "texts": {"type": "null"}, "taggers": wanted}
    several: Json = {"type": "array", "maxItems": MOST_TEXTS, "items": _TEXT}
    texts: Json = {"texts": several, "text": {"type": "null"}, "taggers": wanted}
    return {
        "oneOf": [
            {"type": "object", "required": ["text"], "properties": text},
            {"type": "object", "required": ["texts"], "properties": texts},
        ]
    }


def _analyze_request() -> Json:
    parameters: Json = {
        "type": ["object", "null"],
        "properties": {
            "scoreType": {"enum": ["PROBABILITY", "SCORE_TYPE_UNSPECIFIED", None]},
            "scoreThreshold": {"type": ["number", "null"]},
        },
    }
    comment: Json = {
        "type": "object",
        "required": ["text"],
        "properties": {
            "text": {"type": "string", "maxLength": MOST_CHARACTERS, "pattern": _SAYS_SOMETHING},
            "type": {"enum": ["PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED", None]},
        },
    }
    languages: Json = {
        "type": ["array", "null"],
        "items": {"type": "string"},
        "anyOf": [{"type": "null"}, {"maxItems": 0}, {"contains": {"type": "string", "pattern": "^[Ee][Nn](-|$)"}}],
        "description": "English has to be among them.",
    }
    return {
        "type": "object",
        "required": ["comment", "requestedAttributes"],
        "properties": {
            "comment": comment,
            "requestedAttributes": {
                "type": "object",
                "required": [analyze.ATTRIBUTE],
                "properties": {analyze.ATTRIBUTE: parameters},
                "additionalProperties": False,
            },
            "spanAnnotations": {"type": ["boolean", "null"]},
            "languages": languages,
            "clientToken": {"type": ["string", "null"]},
        },
    }


# operations


def _operation(summary: str, answers: Json, **more: Any) -> Json:
    """One that needs the token, if there is one."""
    return {"summary": summary, "responses": {**answers, **_problems(401, 403, 405, 500, 503)}, **more}


def _open(summary: str, answers: Json) -> Json:
    """One that needs no token."""
    return {"summary": summary, "responses": {**_problems(403, 405, 500), **answers}, "security": []}


def _label(names: tuple[str, ...]) -> Json:
    answers = {**_answers("LabelResponse", {200}), **_problems(400, 408, 413, 422)}
    about = f"Texts are labelled as closed segments, each by itself, by {', '.join(names)}."
    return _operation("Label texts", answers, description=about, requestBody=_body("LabelRequest"))


def _analyze() -> Json:
    answers = {
        **_answers("AnalyzeResponse", {200}),
        **_problems(401, 403, 405, 408, 413),
        **_answers("GoogleProblem", {400}),
        **{str(code): _either("Problem", "GoogleProblem") for code in (500, 503)},
    }
    about = (
        "The request and response of Perspective's AnalyzeComment; `begin` and `end` are UTF-16 code units."
        f" {analyze.ATTRIBUTE} is the score of the tagger {analyze.TAGGER}, which has to run. Scores differ from"
        " Perspective's."
    )
    body = _body("AnalyzeRequest")
    return {"summary": "Score a comment", "description": about, "requestBody": body, "responses": answers}


def _stream() -> Json:
    about = (
        "A WebSocket. The client sends messages, one a frame, in normal form (Message) or in the format that the query"
        ' names; the server answers with Revision and StreamError. `{"type": "end"}` ends all sessions and then the'
        f" connection. Close codes: {', '.join(f'{x.value} {x.name.lower()}' for x in CloseCode)}, 1009 frame too big."
    )
    query = {
        "format": {"enum": [*FORMATS, AUTO], "default": "normal"},
        "session": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
    }
    parameters = [{"name": name, "in": "query", "required": False, "schema": x} for name, x in query.items()]
    frames = {"client": _ref("Message"), "server": {"oneOf": [_ref("Revision"), _ref("StreamError")]}}
    answers = {"101": {"description": "The connection is a WebSocket now"}, **_problems(426)}
    return _operation("Label a stream", answers, description=about, parameters=parameters, **{"x-frames": frames})


# parts


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(name=name)}


def _json(schema: Json, what: str) -> Json:
    return {"200": {"description": what, "content": {"application/json": {"schema": schema}}}}


def _answers(name: str, codes: set[int]) -> Json:
    one = {"description": name, "content": {"application/json": {"schema": _ref(name)}}}
    return {str(code): one for code in sorted(codes)}


def _either(*names: str) -> Json:
    schema = {"anyOf": [_ref(name) for name in names]}
    return {"description": " or ".join(names), "content": {"application/json": {"schema": schema}}}


def _problems(*codes: int) -> Json:
    return {str(code): x for code in codes for x in _answers("Problem", {code}).values()}


def _text(kind: str, what: str) -> Json:
    return {"200": {"description": what, "content": {kind: {"schema": {"type": "string"}}}}}


def _body(name: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}
