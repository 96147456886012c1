"""One raw request of each kind that programs for Perspective's API send, as docs/perspective.md lists them; and bad
input: the status and the body that they know, and nothing of the text in any log.
"""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from consumers.http.app import build_app
from consumers.http.server import bind_socket, serve_http
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, make_context
from tests.stream.fake_tagger import FakeLabeller
from tests.waiting import PATIENCE

ORIGIN = "https://forum.example"
NAMES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat", "sexually_explicit")
PAGE = Path(__file__).parents[3] / "docs" / "perspective.md"
SIX = ",".join(f'"{name.upper()}":{{}}' for name in NAMES[:6])
FULL = (
    '{"comment":{"text":"we met anna"},"languages":["en"],"requestedAttributes":{' + SIX + '},"doNotStore":true,'
    '"spanAnnotations":true,"context":{"entries":[]},"clientToken":"7","communityId":"films","sessionId":null}'
)


class Sent(NamedTuple):
    """A raw request, and what its program reads of the answer."""

    kind: str
    """As the page lists it."""
    body: bytes
    read: str
    """Path of a value in the answer."""
    value: Any
    query: str = f"?key={TOKEN}"
    headers: str = "Content-Type: application/json"
    status: int = 200
    method: str = "analyze"


A = b'{"comment":{"text":"we met anna"},"requestedAttributes":{"TOXICITY":{}}}'
SUMMARY, SPAN = "attributeScores.TOXICITY.summaryScore.value", "attributeScores.TOXICITY.spanScores.0.score.value"
SENT = [
    Sent(
        "quick start",
        b'{comment: {text: "we met anna"},\n languages: ["en"],\n requestedAttributes: {TOXICITY:{}} }',
        SUMMARY,
        0.3333,
    ),
    Sent("usual call", A, SUMMARY, 0.3333),
    Sent("six attributes, spans, context, tokens", FULL.encode(), "clientToken", "7"),
    Sent(
        "names with underscores",
        b'{"comment":{"text":"we met anna"},"requested_attributes":{"TOXICITY":{}},"do_not_store":true,'
        b'"session_id":"a","span_annotations":true}',
        "wordSpans.0.begin",
        7,
    ),
    Sent(
        "a version",
        b'{"comment":{"text":"we met anna"},"requestedAttributes":{"TOXICITY@6":{}}}',
        "attributeScores.TOXICITY@6.summaryScore.value",
        0.3333,
    ),
    Sent(
        "an experimental name",
        b'{"comment":{"text":"we met anna"},"requestedAttributes":{"INSULT_EXPERIMENTAL":null}}',
        "attributeScores.INSULT_EXPERIMENTAL.summaryScore.type",
        "PROBABILITY",
    ),
    Sent("first span as the score", A, SPAN, 0.3333),
    Sent(
        "score type and threshold",
        b'{"comment":{"text":"we met"},"requestedAttributes":'
        b'{"TOXICITY":{"scoreType":"PROBABILITY","scoreThreshold":"0.6"}}}',
        "attributeScores",
        None,
    ),
    Sent("plain text named", A.replace(b'anna"', b'anna","type":"PLAIN_TEXT"'), SUMMARY, 0.3333),
    Sent("key in a header", A, SUMMARY, 0.3333, "", f"x-goog-api-key: {TOKEN}"),
    Sent("key as a bearer token", A, SUMMARY, 0.3333, "", f"Authorization: Bearer {TOKEN}"),
    Sent("more in the address", A, SUMMARY, 0.3333, f"?key={TOKEN}&alt=json&prettyPrint=false&fields=x&quotaUser=y"),
    Sent("form of curl -d", A, SUMMARY, 0.3333, headers="Content-Type: application/x-www-form-urlencoded"),
    Sent(
        "text/plain from a page",
        A,
        SUMMARY,
        0.3333,
        headers=f"Content-Type: text/plain;charset=UTF-8\r\nOrigin: {ORIGIN}",
    ),
    Sent("compressed", gzip.compress(A), SUMMARY, 0.3333, headers="Content-Encoding: gzip"),
    Sent(
        "suggestion",
        b'{"comment":{"text":"anna"},"attributeScores":{"APPROVED":{"summaryScore":{"value":1}}},"clientToken":"t"}',
        "clientToken",
        "t",
        method="suggestscore",
    ),
    Sent(
        "another language",
        A.replace(b'"requested', b'"languages":["de"],"requested'),
        "error.details.0.languageNotSupportedByAttributeError.attribute",
        "TOXICITY",
        status=400,
    ),
    Sent("empty comment", A.replace(b"we met anna", b" "), "error.details.0.errorType", "COMMENT_EMPTY", status=400),
    Sent(
        "too long", A.replace(b"we met anna", b"secret " * 3000), "error.message", "Comment text too long.", status=400
    ),
    Sent("no attribute", b'{"comment":{"text":"secret"}}', "error.message", "Missing requested_attributes", status=400),
    Sent(
        "unknown attribute",
        A.replace(b"TOXICITY", b"FLIRTATION"),
        "error.message",
        "Unknown requested attribute: FLIRTATION",
        status=400,
    ),
    Sent("unknown fields", A[:-1] + b',"other":{"secret":[1]}}', SUMMARY, 0.3333),
    Sent("not UTF-8", A.replace(b"anna", b"secret\xff"), "error.status", "INVALID_ARGUMENT", status=400),
    Sent(
        "wrong types",
        b'{"comment":{"text":["secret"]},"requestedAttributes":{"TOXICITY":{}}}',
        "error.status",
        "INVALID_ARGUMENT",
        status=400,
    ),
    Sent("pasted text breaks the JSON", A.replace(b"met", b'"secret"'), "error.status", "INVALID_ARGUMENT", status=400),
    Sent("no body", b"", "error.status", "INVALID_ARGUMENT", status=400),
    Sent("wrong key", A, "error.details.0.reason", "API_KEY_INVALID", "?key=a-key-of-somebody-else", status=401),
    Sent("larger than a request may be", A + b" " * (1 << 20), "error.status", "INVALID_ARGUMENT", status=413),
]


def value_at(answer: Any, path: str) -> Any:
    for part in path.split("."):
        if answer is None:
            return None
        answer = answer[int(part)] if part.isdigit() and isinstance(answer, list) else answer.get(part)
    return answer


async def test_each_kind_of_request_is_answered_and_nothing_of_its_text_is_logged(
    capfd: pytest.CaptureFixture[str],
) -> None:
    labeller = FakeLabeller(names=["moderation"], text_scores={"moderation": NAMES})
    limits = {"access_log": True, "allow_origins": (ORIGIN,), "requests_per_second": 0.0}
    with structlog.testing.capture_logs() as logged:
        async with served(labeller) as here:
            context = make_context(worker=here.worker, gateway=here.desk, token=TOKEN, limits=limits)
            listener = bind_socket(context.settings, required=True)
            assert listener is not None
            with listener:
                async with serve_http(build_app(context), listener, context.settings) as address:
                    await ask_all(int(address.rpartition(":")[2]))
    assert any(x["event"] == "http_request" for x in logged)
    assert "secret" not in str(logged) + "".join(capfd.readouterr())


async def ask_all(port: int) -> None:
    """Send all requests over one connection that stays open, as long as the server leaves it open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent in SENT:
        head = f"POST /v1alpha1/comments:{sent.method}{sent.query} HTTP/1.1\r\nHost: localhost\r\n{sent.headers}\r\n"
        writer.write(f"{head}Content-Length: {len(sent.body)}\r\n\r\n".encode() + sent.body)
        async with asyncio.timeout(PATIENCE):
            start = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(start.partition("content-length:")[2].partition("\r")[0])
            answer = json.loads(await reader.readexactly(size))
        assert int(start.split()[1]) == sent.status, (sent.kind, answer)
        assert value_at(answer, sent.read) == sent.value, (sent.kind, answer)
        assert "secret" not in str(answer)
        assert ("access-control-allow-origin" in start) == ("Origin" in sent.headers), sent.kind
    writer.close()


def test_the_page_lists_each_kind() -> None:
    rows = [x.split("|")[1].strip() for x in PAGE.read_text("utf-8").splitlines() if x.count("|") == 4]
    assert [x.kind for x in SENT] == [x for x in rows if x in {y.kind for y in SENT}]
