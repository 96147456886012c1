"""GET /openapi.json: the OpenAPI description of all endpoints.

Response schemas follow from the message types; request schemas are written here, because they state limits.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.formats.registry import AUTO, FORMATS
from consumers.http.api import perspective
from consumers.http.api.label import MAX_TEXT_CHARACTERS, MAX_TEXTS, LabelResponse
from consumers.http.api.perspective_messages import MAX_COMMENT_BYTES, NOT_BLANK, AnalyzeResponse, SuggestResponse
from consumers.http.api.perspective_suggest import MAX_NAME, MAX_SUGGESTED, SUGGEST_PATHS
from consumers.http.api.redact import RedactResponse, known_labels
from consumers.http.api.stream import CloseCode, StreamError
from consumers.http.guard.auth import BATCH_PATHS, COOKIE, DISCOVERY_PATHS
from consumers.http.guard.tickets import TICKET_SECONDS, TicketResponse
from consumers.http.settings import HttpSettings
from stream.engine.engine import Engine
from stream.messages.types import Message, Revision
from stream.messages.validation import MAX_ID
from stream.redaction.messages import RedactedDelete, RedactedEnd, RedactedUpdate
from stream.redaction.policy import STYLES

Json = dict[str, Any]
_REF = "#/components/schemas/{name}"


class Problem(msgspec.Struct):
    """An error: a stable code, and a line that says what to do."""

    error: str
    detail: str


class GoogleError(msgspec.Struct):
    """An error in the format of Google's services."""

    code: int
    message: str
    status: str
    details: list[dict[str, Any]] = []


class GoogleProblem(msgspec.Struct):
    """Error body in the format of Google's services."""

    error: GoogleError


class Health(msgspec.Struct):
    """Body of `/healthz`: whether the process makes progress."""

    status: str
    why: list[str] = []


class Readiness(msgspec.Struct):
    """Body of `/readyz`: whether the process can take work."""

    ready: bool
    why: list[str]


_TYPES = (
    LabelResponse,
    RedactResponse,
    RedactedUpdate,
    RedactedDelete,
    RedactedEnd,
    AnalyzeResponse,
    SuggestResponse,
    TicketResponse,
    Problem,
    GoogleProblem,
    Health,
    Readiness,
    StreamError,
    Revision,
)


def openapi_routes(
    settings: HttpSettings, names: tuple[str, ...], attributes: tuple[str, ...], engine: Engine
) -> list[BaseRoute]:
    """Return the route of `/openapi.json`; the parameters are those of `describe_api`."""
    description = describe_api(settings, names, attributes, engine)

    async def openapi(request: Request) -> Response:
        return JSONResponse(description)

    return [Route("/openapi.json", openapi)]


def describe_api(
    settings: HttpSettings, names: tuple[str, ...], attributes: tuple[str, ...] = (), engine: Engine | None = None
) -> Json:
    """Describe all endpoints as OpenAPI 3.1.

    Args:
        names: the running taggers.
        attributes: those of Perspective that can be answered.
        engine: redacts texts.
    """
    (message, *_), schemas = msgspec.json.schema_components([Message, *_TYPES], ref_template=_REF)
    schemas |= {
        "Message": message,
        "LabelRequest": _label_request(names),
        "RedactRequest": _redact_request(engine),
        "AnalyzeRequest": _analyze_request(attributes),
        "SuggestRequest": _suggest_request(),
    }
    keyed = [*_security(settings), {"key": []}] if settings.token else []
    metrics = _content({"type": "string"}, "The metrics", "text/plain")
    description = {"200": _content({"type": "object"}, "The description")}
    paths: dict[str, Json] = {
        "/healthz": {"get": _open("Whether the process makes progress", _answers("Health", 200, 503))},
        "/readyz": {"get": _open("Whether the process can take work", _answers("Readiness", 200, 503))},
        "/metrics": {"get": _open("Metrics for Prometheus", {"200": metrics})},
        "/openapi.json": {"get": _operation("This description", description)},
        "/v1/label": {"post": _label(names)},
        "/v1/redact": {"post": _redact()},
        "/v1/stream": {"get": _stream()},
        "/v1/ticket": {"post": _ticket()},
    }
    paths |= {path: {"post": {**_analyze(), "security": keyed}} for path in perspective.PATHS}
    paths |= {path: {"post": {**_suggest(), "security": keyed}} for path in SUGGEST_PATHS}
    paths |= {path: {"get": _discover(description)} for path in DISCOVERY_PATHS}
    paths |= {path: {"post": _batch()} for path in BATCH_PATHS}
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

_TEXT: Json = {"type": "string", "maxLength": MAX_TEXT_CHARACTERS, "description": "Any text."}


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "required": required, "properties": properties}


def _label_request(names: tuple[str, ...]) -> Json:
    null: Json = {"type": "null"}
    taggers = {"type": ["array", "null"], "items": {"enum": list(names)}, "description": "By default all that run."}
    texts = {"type": "array", "maxItems": MAX_TEXTS, "items": _TEXT}
    return {
        "oneOf": [
            _object(["text"], text=_TEXT, texts=null, taggers=taggers),
            _object(["texts"], texts=texts, text=null, taggers=taggers),
        ]
    }


def _redact_request(engine: Engine | None) -> Json:
    about = "By default those of the service, else all."
    known = {"enum": sorted(known_labels(engine))} if engine else {"type": "string"}
    labels = {"type": ["array", "null"], "items": known, "minItems": 1, "description": about}
    has_key = engine is not None and engine.redactor is not None and bool(engine.redactor.policy.key)
    styles = [x for x in STYLES if x != "hash" or has_key]
    return _object(["text"], text=_TEXT, labels=labels, style={"enum": [*styles, None]})


_COMMENT = _object(
    ["text"],
    text={
        "type": "string",
        "maxLength": MAX_COMMENT_BYTES,
        "pattern": NOT_BLANK,
        "description": f"At most {MAX_COMMENT_BYTES} bytes of UTF-8.",
    },
    type={"enum": ["PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED", None]},
)


def _suggest_request() -> Json:
    value = {"type": "number", "minimum": 0, "maximum": 1}
    score = _object(["value"], value=value, type={"enum": ["PROBABILITY", "SCORE_TYPE_UNSPECIFIED"]})
    return _object(
        ["comment", "attributeScores"],
        comment=_COMMENT,
        attributeScores={
            "type": "object",
            "additionalProperties": _object(["summaryScore"], summaryScore=score),
            "propertyNames": {"pattern": "^[A-Za-z]", "maxLength": MAX_NAME},
            "minProperties": 1,
            "maxProperties": MAX_SUGGESTED,
        },
        clientToken={"type": ["string", "null"]},
    )


def _analyze_request(attributes: tuple[str, ...]) -> Json:
    names = [*(attributes or (perspective.ATTRIBUTE,))]
    names += [name for name, same in perspective.SAME.items() if same in names]
    parameters: Json = {
        "type": ["object", "null"],
        "properties": {
            "scoreType": {"enum": ["PROBABILITY", "SCORE_TYPE_UNSPECIFIED", None]},
            "scoreThreshold": {"type": ["number", "null"]},
        },
    }
    return _object(
        ["comment", "requestedAttributes"],
        comment=_COMMENT,
        requestedAttributes={
            "type": "object",
            "patternProperties": {f"^({'|'.join(names)}){perspective.NAME_ENDS}$": parameters},
            "minProperties": 1,
            "additionalProperties": False,
        },
        spanAnnotations={"type": ["boolean", "null"]},
        languages={
            "type": ["array", "null"],
            "items": {"type": "string", "pattern": "^[Ee][Nn]([-_][A-Za-z]{2,8})?$"},
            "description": "English alone. Without it the text is refused if it is clearly in another language.",
        },
        sessionId={"type": ["string", "null"]},
        communityId={"type": ["string", "null"]},
        doNotStore={"type": ["boolean", "null"], "description": "Nothing is stored, whatever it says."},
        clientToken={"type": ["string", "null"]},
        dropUnsupportedAttributes={
            "type": ["boolean", "null"],
            "description": "Leave attributes that are not offered out of the answer. By default as the service is set.",
        },
    )


# operations


def _operation(summary: str, answers: Json, **more: Any) -> Json:
    """Describe an operation that needs the token, if one is set."""
    return {"summary": summary, "responses": {**answers, **_problems(401, 403, 405, 415, 429, 500, 503)}, **more}


def _open(summary: str, answers: Json) -> Json:
    """Describe an operation that needs no token."""
    return {"summary": summary, "responses": {**_problems(403, 405, 415, 500), **answers}, "security": []}


def _discover(answers: Json) -> Json:
    answers = {**_answers("GoogleProblem", 403, 405, 415, 500), **answers}
    return {"summary": "For Google's client libraries", "responses": answers, "security": []}


def _label(names: tuple[str, ...]) -> Json:
    answers = {**_answers("LabelResponse", 200), **_problems(400, 408, 413, 422)}
    about = f"Each text is labelled independently, as a closed segment, by {', '.join(names)}."
    return _operation("Label texts", answers, description=about, requestBody=_body("LabelRequest"))


def _redact() -> Json:
    answers = {**_answers("RedactResponse", 200), **_problems(400, 408, 413, 422)}
    about = (
        "The text is redacted as a closed segment. `start` and `end` are offsets of the text that was sent,"
        " `redacted_start` and `redacted_end` those of the answer's text."
    )
    return _operation("Redact a text", answers, description=about, requestBody=_body("RedactRequest"))


def _analyze() -> Json:
    answers = {
        **_answers("AnalyzeResponse", 200),
        **_answers("GoogleProblem", 400, 401, 403, 405, 408, 413, 415, 429, 500, 503),
    }
    about = (
        "The request and response of Perspective's AnalyzeComment; `begin` and `end` are UTF-16 code units."
        f" Attributes are the text scores of these names, {perspective.ATTRIBUTE} else the score of the tagger"
        f" {perspective.TAGGER}, which has to run. Scores differ from Perspective's."
    )
    body = _body("AnalyzeRequest")
    return {"summary": "Score a comment", "description": about, "requestBody": body, "responses": answers}


def _suggest() -> Json:
    answers = {
        **_answers("SuggestResponse", 200),
        **_answers("GoogleProblem", 400, 401, 403, 405, 408, 413, 415, 429, 500, 503),
    }
    about = "Kept as training data if the operator names a file for it, and otherwise nowhere."
    body = _body("SuggestRequest")
    return {"summary": "Suggest scores of a comment", "description": about, "requestBody": body, "responses": answers}


def _batch() -> Json:
    answers = {
        "200": _content({"type": "string"}, "An answer for each request, in order", "multipart/mixed"),
        **_answers("GoogleProblem", 400, 403, 405, 408, 413, 415, 429, 500, 503),
    }
    about = "Requests to Perspective's endpoints, each with its own key, as application/http in multipart/mixed."
    body = {"required": True, "content": {"multipart/mixed": {"schema": {"type": "string"}}}}
    return {
        "summary": "Several comments in one",
        "description": about,
        "requestBody": body,
        "responses": answers,
        "security": [],
    }


def _stream() -> Json:
    about = (
        "A WebSocket. The client sends messages, one a frame, in normal form (Message) or in the format that the query"
        " names; the server answers with Revision and StreamError, or, with output=redacted, with RedactedUpdate,"
        ' RedactedDelete and RedactedEnd instead of Revision. `{"type": "end"}` ends all sessions and then the'
        f" connection. Close codes: {', '.join(f'{x.value} {x.name.lower()}' for x in CloseCode)}, 1009 frame too big."
    )
    query = {
        "format": {"enum": [*FORMATS, AUTO], "default": "normal"},
        "ticket": {"type": "string", "description": "Instead of the token, from /v1/ticket."},
        "session": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
        "output": {"enum": ["revisions", "redacted"], "default": "revisions"},
        "auto_close": {
            "type": "string",
            "pattern": "^(true|false|[1-9][0-9]?)$",
            "default": "false",
            "description": "Close segments of the normal form at sentence ends, as soon as so many words follow.",
        },
    }
    parameters = [{"name": name, "in": "query", "required": False, "schema": x} for name, x in query.items()]
    kinds = ("Revision", "RedactedUpdate", "RedactedDelete", "RedactedEnd", "StreamError")
    frames = {"client": _ref("Message"), "server": {"oneOf": [_ref(x) for x in kinds]}}
    answers = {"101": {"description": "The connection is a WebSocket now"}, **_problems(426)}
    return _operation("Label a stream", answers, description=about, parameters=parameters, **{"x-frames": frames})


def _ticket() -> Json:
    about = (
        f"A ticket opens one WebSocket within {TICKET_SECONDS} seconds, as its query parameter `ticket`, where no"
        " header can be sent."
    )
    return _operation("Exchange the token for a ticket", _answers("TicketResponse", 200), description=about)


# parts


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(name=name)}


def _content(schema: Json, description: str, kind: str = "application/json") -> Json:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _answers(name: str, *codes: int) -> Json:
    return {str(code): _content(_ref(name), name) for code in codes}


def _problems(*codes: int) -> Json:
    return _answers("Problem", *codes)


def _body(name: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}
