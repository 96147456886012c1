"""`/v1/label` and `/v1/redact` of a server: requests, answers, and what goes wrong."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from hearken.messages import Span
from hearken.state import LiveLabels, LiveSegment

T = TypeVar("T")
RETRIED = (429, 502, 503, 504)
"""Statuses of a server that is too busy, or is being started again."""


class ServerRefused(RuntimeError):
    """A server that refuses a request, a message or a connection.

    Attributes:
        reason: a short, stable code.
        detail: one line that says what to do.
        frame: number of the client's message, from 0; None if it is about no single one.
    """

    def __init__(self, reason: str, detail: str, frame: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if frame is None else f"message {frame}: {reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.frame = frame


class ServerUnreachable(ConnectionError):
    """A server that could not be reached within the time that the client was given."""


class _LabelledSpan(msgspec.Struct):
    start: int
    end: int
    label: str
    text: str
    score: float


class _Labels(msgspec.Struct):
    spans: list[_LabelledSpan]
    score: float | None = None
    scores: dict[str, float] = {}
    settled: int = 0


class _Labelled(msgspec.Struct):
    results: list[dict[str, _Labels]]


class _Redacted(msgspec.Struct):
    text: str


class HttpApi:
    """The one-shot paths of a server. Calls block; several threads may make them.

    Args:
        url: of the server.
        token: if it needs one.
        seconds: time for one call, with all its tries: a server that is busy or away is asked again.
    """

    def __init__(self, url: str, token: str | None, seconds: float) -> None:
        self._url = url
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._seconds = seconds

    def label(self, texts: list[str], taggers: Iterable[str] | None) -> list[LiveSegment]:
        """Label finished texts; raises as `Client.label`."""
        body: dict[str, Any] = {"texts": texts}
        if taggers is not None:
            body["taggers"] = list(taggers)
        answer = self._post("/v1/label", body, _Labelled)
        return [_to_segment(text, labels) for text, labels in zip(texts, answer.results, strict=True)]

    def redact(self, text: str, labels: Iterable[str] | None, style: str | None) -> str:
        """Redact a finished text; raises as `Client.redact`."""
        body = {"text": text, "labels": None if labels is None else list(labels), "style": style}
        return self._post("/v1/redact", {name: x for name, x in body.items() if x is not None}, _Redacted).text

    def _post(self, path: str, body: dict[str, Any], kind: type[T]) -> T:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers)
        until, pause = time.monotonic() + self._seconds, 0.2
        while True:
            left = until - time.monotonic()
            try:
                with urllib.request.urlopen(request, timeout=max(0.1, left)) as answer:
                    return msgspec.json.decode(answer.read(), type=kind)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in RETRIED or left <= pause:
                        raise explain_status(error.code, error.read()) from None
                    pause = max(pause, _retry_after(error))
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if left <= pause:
                    raise ServerUnreachable(f"{self._url}: {getattr(error, 'reason', error)}") from error
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(2 * pause, 5.0)


def explain_status(status: int, body: bytes | bytearray) -> ServerRefused:
    """Return what a server says in the body of an error."""
    try:
        problem = json.loads(body)
        return ServerRefused(problem["error"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        return ServerRefused(f"http_{status}", f"the server answered with status {status}; is it Hearken's address?")


def _retry_after(error: urllib.error.HTTPError) -> float:
    value = error.headers.get("retry-after", "")
    return float(value) if value.isdigit() else 0.0


def _to_segment(text: str, found: dict[str, _Labels]) -> LiveSegment:
    labels = {}
    for tagger, x in found.items():
        spans = tuple(
            Span(id=i, start=y.start, end=y.end, label=y.label, text=y.text, stability=1.0, score=y.score)
            for i, y in enumerate(x.spans, 1)
        )
        labels[tagger] = LiveLabels(rev=1, final=True, spans=spans, settled=x.settled, score=x.score, scores=x.scores)
    return LiveSegment(text=text, final=True, labels=labels)
