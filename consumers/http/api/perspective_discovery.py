"""GET /$discovery/rest: the discovery document from which Google's client libraries build their methods.

With it a program that used such a library for Perspective's API changes the address only. It has all that the document
of that service had but `auth`: clients without a key would look for Google's credentials then.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.http.guard.auth import BATCH_PATHS, DISCOVERY_PATHS

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_FLAG: Json = {"type": "boolean"}
_FLOAT: Json = {"type": "number", "format": "float"}
_OFFSET: Json = {"type": "integer", "format": "int32"}


def discovery_routes() -> list[BaseRoute]:
    """Return the routes of the discovery document."""

    async def discover(request: Request) -> Response:
        return JSONResponse(describe_service(str(request.base_url)))

    return [Route(path, discover) for path in DISCOVERY_PATHS]


def describe_service(root: str) -> Json:
    """Return the service's description in Google's discovery format.

    Args:
        root: address under which the client reached the service, ending with a slash.
    """
    methods = {
        "analyze": _describe_method("analyze", "AnalyzeComment", "Scores a comment."),
        "suggestscore": _describe_method("suggestscore", "SuggestCommentScore", "Suggests scores of a comment."),
    }
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "canonicalName": "Comment Analyzer",
        "version": "v1alpha1",
        "revision": "0",
        "title": "Perspective Comment Analyzer API",
        "description": "Scores comments, as Perspective's API did.",
        "ownerDomain": "google.com",
        "ownerName": "Google",
        "icons": {},
        "protocol": "rest",
        "rootUrl": root,
        "servicePath": "",
        "baseUrl": root,
        "basePath": "",
        "batchPath": BATCH_PATHS[0].removeprefix("/"),
        "parameters": _PARAMETERS,
        "schemas": {name: {"id": name, "type": "object", "properties": own} for name, own in _SCHEMAS.items()},
        "resources": {"comments": {"methods": methods}},
    }


def _describe_method(name: str, message: str, description: str) -> Json:
    path = f"v1alpha1/comments:{name}"
    return {
        "id": f"commentanalyzer.comments.{name}",
        "path": path,
        "flatPath": path,
        "httpMethod": "POST",
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": f"{message}Request"},
        "response": {"$ref": f"{message}Response"},
        "description": description,
    }


def _in_query(about: str, **more: Any) -> Json:
    return {"type": "string", "location": "query", "description": about, **more}


_PARAMETERS: Json = {
    "key": _in_query("The service's token."),
    "alt": _in_query("Ignored: answers are JSON.", default="json", enum=["json"], enumDescriptions=["JSON"]),
    "fields": _in_query("Ignored: answers have all fields."),
    "prettyPrint": _in_query("Ignored.", type="boolean", default="true"),
    "quotaUser": _in_query("Ignored."),
    "access_token": _in_query("Ignored: send the token as a header or as key."),
    "oauth_token": _in_query("Ignored: send the token as a header or as key."),
    "callback": _in_query("Ignored."),
    "upload_protocol": _in_query("Ignored."),
    "uploadType": _in_query("Ignored."),
    "$.xgafv": _in_query("Ignored.", enum=["1", "2"], enumDescriptions=["v1 error format", "v2 error format"]),
}


def _ref(name: str) -> Json:
    return {"$ref": name}


def _list_of(item: Json) -> Json:
    return {"type": "array", "items": item}


def _by_name(item: Json) -> Json:
    return {"type": "object", "additionalProperties": item}


_ENTRY, _CONTEXT = _ref("TextEntry"), _ref("Context")
_SCHEMAS: dict[str, Json] = {
    "AnalyzeCommentRequest": {
        "comment": _ENTRY,
        "context": _CONTEXT,
        "requestedAttributes": _by_name(_ref("AttributeParameters")),
        "spanAnnotations": _FLAG,
        "languages": _list_of(_TEXT),
        "doNotStore": _FLAG,
        "clientToken": _TEXT,
        "sessionId": _TEXT,
        "communityId": _TEXT,
        "dropUnsupportedAttributes": _FLAG,
    },
    "AnalyzeCommentResponse": {
        "attributeScores": _by_name(_ref("AttributeScores")),
        "languages": _list_of(_TEXT),
        "detectedLanguages": _list_of(_TEXT),
        "clientToken": _TEXT,
        "unsupportedAttributes": _list_of(_TEXT),
        "wordSpans": _list_of(_ref("WordSpan")),
    },
    "SuggestCommentScoreRequest": {
        "comment": _ENTRY,
        "context": _CONTEXT,
        "attributeScores": _by_name(_ref("AttributeScores")),
        "languages": _list_of(_TEXT),
        "clientToken": _TEXT,
        "sessionId": _TEXT,
        "communityId": _TEXT,
    },
    "SuggestCommentScoreResponse": {
        "clientToken": _TEXT,
        "detectedLanguages": _list_of(_TEXT),
        "requestedLanguages": _list_of(_TEXT),
    },
    "TextEntry": {"text": _TEXT, "type": {**_TEXT, "enum": ["TEXT_TYPE_UNSPECIFIED", "PLAIN_TEXT", "HTML"]}},
    "Context": {"entries": _list_of(_ENTRY), "articleAndParentComment": _ref("ArticleAndParentComment")},
    "ArticleAndParentComment": {"article": _ENTRY, "parentComment": _ENTRY},
    "AttributeParameters": {"scoreType": _TEXT, "scoreThreshold": _FLOAT},
    "AttributeScores": {"summaryScore": _ref("Score"), "spanScores": _list_of(_ref("SpanScore"))},
    "SpanScore": {"begin": _OFFSET, "end": _OFFSET, "score": _ref("Score")},
    "WordSpan": {"begin": _OFFSET, "end": _OFFSET, "label": _TEXT, "score": _ref("Score")},
    "Score": {"value": _FLOAT, "type": {**_TEXT, "enum": ["SCORE_TYPE_UNSPECIFIED", "PROBABILITY"]}},
}
