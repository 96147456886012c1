"""POST /v1/redact: redacts one text, as a closed segment of its own session."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.http.api.gateway import Gateway
from consumers.http.api.label import RequestRefused, answer_problems, check_size, decode_body, label_texts
from consumers.http.guard.limits import caller_of
from stream.engine.engine import Engine
from stream.messages.errors import InputError
from stream.messages.types import Revision
from stream.messages.validation import check_text
from stream.redaction.covers import Cover
from stream.redaction.policy import RedactionError, RedactionPolicy, Style, parse_labels
from stream.redaction.rule_covers import DetectValues, labels_of_rules, make_detector
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction


class RedactRequest(msgspec.Struct):
    """Request body: a text, and what to redact in it; what is left out is as the service was started."""

    text: str
    labels: list[str] | None = None
    """By default those of the service, else all."""
    style: Style | None = None


class RedactedSpan(msgspec.Struct):
    """A value that was replaced; offsets are Unicode code points, end exclusive."""

    label: str
    start: int
    end: int
    """Extent of the value in the text that was sent."""
    redacted_start: int
    redacted_end: int
    """Extent of its replacement in the answer's text."""


class RedactResponse(msgspec.Struct):
    """Response body: the redacted text."""

    text: str
    spans: list[RedactedSpan]


def redact_routes(gateway: Gateway, engine: Engine) -> list[BaseRoute]:
    """Return the route of `/v1/redact`."""

    async def redact(request: Request) -> Response:
        wanted = decode_body(await request.body(), RedactRequest)
        policy = choose_policy(wanted, engine)
        _check(wanted.text)
        caller = caller_of(request)
        with caller.hold_texts(1):
            (found,) = await label_texts(gateway, [wanted.text], caller.group)
        answer = redact_text(wanted.text, _covers_of_revisions(found), policy, engine)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return [Route("/v1/redact", answer_problems(redact), methods=["POST"])]


def known_labels(engine: Engine) -> frozenset[str]:
    """Return the labels that an engine and the rules beside it can find."""
    return labels_of_rules().union(*engine.labeller.span_labels.values())


@cache
def _default_rules() -> DetectValues:
    return make_detector()


def choose_policy(request: RedactRequest, engine: Engine) -> RedactionPolicy:
    """Return the policy of a request: that of the service with the labels and the style of the request.

    Raises:
        RequestRefused: a label is unknown, or the style needs a key that the service has not.
    """
    own = engine.redactor.policy if engine.redactor is not None else RedactionPolicy()
    known = known_labels(engine)
    try:
        labels = own.labels if request.labels is None else parse_labels(",".join(request.labels), known)
        return RedactionPolicy(labels=labels, style=request.style or own.style, key=own.key)
    except RedactionError as error:
        name = {"redact": "labels", "redact_key": "style"}.get(error.setting, error.setting)
        raise RequestRefused("unknown_label" if name == "labels" else "no_key", f"`{name}`: {error}") from None


def redact_text(text: str, covers: Iterable[Cover], policy: RedactionPolicy, engine: Engine) -> RedactResponse:
    """Redact a closed text."""
    detect = None if engine.redactor is None else engine.redactor.detect
    found = [*covers, *(detect or _default_rules())(text, "").covers]
    segment = SegmentRedaction()
    shown = SessionRedaction(policy, "").redact_segment(segment, text, found, len(text), final=True)
    spans = [RedactedSpan(x.label, x.start, x.end, x.at, x.to) for x in segment.released.redactions]
    return RedactResponse(shown or "", spans)


def _covers_of_revisions(revisions: Mapping[str, Revision]) -> Iterator[Cover]:
    for revision in revisions.values():
        for span in revision.spans:
            yield Cover(span.start, span.end, span.label, span.score or 0.0)


def _check(text: str) -> None:
    try:
        check_size(text)
        check_text(text)
    except InputError as error:
        raise RequestRefused(error.reason, error.detail) from None
