"""Requests and responses of Perspective's API, and its way of refusing.

Requests are read as leniently as Google's servers read them: keys may lack their quotes, and fields may have their
names with underscores; numbers and truth values may be strings. Only these endpoints do that.
"""

import re
from typing import Any, Literal, TypeVar

import msgspec

from consumers.formats.decode import BadInput, explain_type_error
from consumers.http.api.label import RequestRefused, decode_body

PROBABILITY = "PROBABILITY"
NOT_BLANK = "[^\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"
"""Pattern of a character that is neither white space nor a control character: a comment has at least one."""
PLAIN_TYPES = (None, "PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED", 0, 1)
"""Types of a text that is taken as it is; the numbers are those of the enumeration."""
MAX_COMMENT_BYTES = 20_480
"""Limit of a comment in bytes of UTF-8."""
_NOT_BLANK = re.compile(NOT_BLANK)
_KEYS = re.compile(rb'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)|(?<![\w$])([A-Za-z_$][\w$]*+)(?=\s*:)', re.DOTALL)
"""Strings, which stay as they are, and keys without quotes. Takes time that is linear in the length."""

T = TypeVar("T", bound=msgspec.Struct)
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
    type: int | str | None = None


class AttributeParameters(msgspec.Struct, rename="camel"):
    """Parameters of one requested attribute."""

    score_type: str | None = None
    score_threshold: float | None = None
    """An attribute with a lower score is left out of the response."""


class CommentContext(msgspec.Struct, rename="camel"):
    """What a comment answers; not used."""

    entries: list[TextEntry] | None = None
    article_and_parent_comment: dict[str, Any] | None = None


class AnalyzeRequest(msgspec.Struct, rename="camel"):
    """Request body. `doNotStore`, `sessionId`, `communityId` and `context` change nothing."""

    comment: TextEntry | None = None
    requested_attributes: dict[str, AttributeParameters | None] | None = None
    span_annotations: bool | None = None
    languages: list[str] | None = None
    client_token: str | None = None
    session_id: str | None = None
    community_id: str | None = None
    do_not_store: bool | None = None
    context: CommentContext | None = None
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


class WordSpan(msgspec.Struct):
    """A labelled part of the comment, such as an insult; offsets are UTF-16 code units, end exclusive."""

    begin: int
    end: int
    label: str
    score: Score


class AttributeScores(msgspec.Struct, rename="camel"):
    """Scores of one attribute."""

    span_scores: list[SpanScore]
    """The sentences, or one span over the whole text: the same for all attributes."""
    summary_score: Score
    """Of the whole text."""


class AnalyzeResponse(msgspec.Struct, rename="camel", omit_defaults=True):
    """Response body: Perspective's fields, and two of our own."""

    attribute_scores: dict[str, AttributeScores] = {}
    languages: list[str] = []
    detected_languages: list[str] = []
    client_token: str | None = None
    unsupported_attributes: list[str] = []
    """Requested attributes that were left out; an addition to Perspective's fields."""
    word_spans: list[WordSpan] = []
    """With `spanAnnotations`, the toxic words themselves; an addition to Perspective's fields."""


class SuggestedScores(msgspec.Struct, rename="camel"):
    """What a client says that the scores of one attribute should be."""

    summary_score: Score | None = None
    span_scores: list[Any] | None = None


class SuggestRequest(msgspec.Struct, rename="camel"):
    """Body of a suggestion. Spans, context and communities are not kept."""

    comment: TextEntry | None = None
    attribute_scores: dict[str, SuggestedScores | None] | None = None
    languages: list[str] | None = None
    client_token: str | None = None
    session_id: str | None = None
    community_id: str | None = None
    context: CommentContext | None = None


class SuggestResponse(msgspec.Struct, rename="camel", omit_defaults=True):
    """Response to a suggestion."""

    client_token: str | None = None


class AnalyzeRefused(ValueError):
    """A request that Perspective would refuse too; holds the details of its error format."""

    def __init__(self, message: str, kind: ErrorType, **more: Any) -> None:
        super().__init__(message)
        self.details = [
            {"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", "errorType": kind, **more}
        ]


def read_request(body: bytes, kind: type[T]) -> T:
    """Decode a body; unknown fields are ignored.

    Raises:
        BadInput: the body is not JSON, apart from keys without quotes.
        RequestRefused: the body is JSON, but not of this type.
    """
    try:
        decoded = decode_body(body, dict[str, Any])
    except BadInput as error:
        quoted = _KEYS.sub(_quote_key, body)
        if error.reason != "invalid_json" or quoted == body:
            raise
        decoded = decode_body(quoted, dict[str, Any])
    try:
        return msgspec.convert(_rename_fields(decoded, kind), kind, strict=False)
    except msgspec.ValidationError as error:
        raise RequestRefused("invalid_message", explain_type_error(body, error)) from None


def _quote_key(found: re.Match[bytes]) -> bytes:
    return b'"%s"' % found[1] if found[1] else found[0]


_NESTED: dict[str, type[msgspec.Struct]] = {"context": CommentContext}
_NESTED_BY_NAME: dict[str, type[msgspec.Struct]] = {
    "requestedAttributes": AttributeParameters,
    "attributeScores": SuggestedScores,
}
"""Fields that are objects of such objects by a name, which stays as it is."""


_NAMES: dict[type[msgspec.Struct], dict[str, str]] = {
    kind: dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    for kind in (AnalyzeRequest, SuggestRequest, CommentContext, AttributeParameters, SuggestedScores)
}
"""JSON names of the fields, by their names with underscores."""


def _rename_fields(value: Any, kind: type[msgspec.Struct]) -> Any:
    """Return an object with the JSON names of the fields that it has by their names with underscores."""
    if not isinstance(value, dict):
        return value
    renamed = {}
    for given, inner in value.items():
        name = _NAMES[kind].get(given, given)
        if name in _NESTED:
            inner = _rename_fields(inner, _NESTED[name])
        elif name in _NESTED_BY_NAME and isinstance(inner, dict):
            inner = {key: _rename_fields(x, _NESTED_BY_NAME[name]) for key, x in inner.items()}
        renamed[name] = inner
    return renamed


def check_comment(comment: TextEntry | None, context: CommentContext | None) -> str:
    """Return the text of a comment.

    Raises:
        AnalyzeRefused: Perspective would refuse it.
    """
    comment = comment or TextEntry()
    text = comment.text or ""
    if not _NOT_BLANK.search(text):
        raise AnalyzeRefused("Comment must be non-empty.", "COMMENT_EMPTY")
    if comment.type not in PLAIN_TYPES:
        raise AnalyzeRefused("Currently, only 'PLAIN_TEXT' comments are supported", "INVALID_REQUEST")
    if context and context.entries and context.article_and_parent_comment:
        both = "Context can have either entries or article_and_parent_comment, but not both"
        raise AnalyzeRefused(both, "INVALID_REQUEST")
    if len(text.encode("utf-8", "replace")) > MAX_COMMENT_BYTES:
        raise AnalyzeRefused("Comment text too long.", "COMMENT_TOO_LONG")
    return text
