"""Batches: each part is answered as if it had come by itself, in order, under its own Content-ID."""

import gzip
import json
from email.parser import BytesParser
from typing import Any

import httpx
import pytest

from consumers.http.api.perspective import CHECKPOINT_HEADER, PATHS
from consumers.http.api.perspective_batch import MAX_PARTS
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, make_context
from tests.consumers.http.test_perspective import asked, request

PATH, KEYED = PATHS[0], f"{PATHS[0]}?key={TOKEN}&alt=json"
HEADERS = {"content-type": 'multipart/mixed; boundary="=b:b"'}
ANSWER = b'{"comment":{"text":"we met anna"},"requestedAttributes":{"TOXICITY":{}}}'


def part(name: str, path: str = KEYED, body: bytes = ANSWER, headers: str = "", end: str = "\n") -> bytes:
    lines = ["--=b:b", "Content-Type: application/http", "MIME-Version: 1.0", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {name}"] if name else []
    lines += ["", f"POST {path} HTTP/1.1", "Content-Type: application/json", *(headers.splitlines()), "", ""]
    return end.join(lines).encode() + body + end.encode()


def batch(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--=b:b--"


async def send(client: httpx.AsyncClient, body: bytes, **options: Any) -> list[tuple[str | None, int, Any]]:
    """Send a batch; returns Content-ID, status and body of each part."""
    headers = HEADERS | options.pop("headers", {})
    response = await client.post("/batch", content=body, headers=headers, **options)
    assert response.status_code == 200, response.text
    kind = response.headers["content-type"].encode()
    found = BytesParser().parsebytes(b"Content-Type: %s\r\n\r\n%s" % (kind, response.content)).get_payload()
    answers = []
    for one in found:
        assert one.get_content_type() == "application/http"  # type: ignore[union-attr]
        head, _, body = one.get_payload(decode=True).partition(b"\r\n\r\n")  # type: ignore[union-attr]
        line, *given = head.decode().split("\r\n")
        assert f"Content-Length: {len(body)}" in given
        answers.append((one["content-id"], int(line.split()[1]), json.loads(body)))  # type: ignore[index]
    return answers


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_parts_are_answered_in_order_each_by_itself(end: str) -> None:
    texts = [b'{"comment": {"text": "\xc3\xa9 anna"}, requested_attributes: {TOXICITY: {}}}', b"{", ANSWER]
    names = ["<a2 + 1>", "7", f"<a2 +{end} a%20folded%20one>"]
    async with asked(token=TOKEN) as client:
        parts = [part(name, body=text, end=end) for name, text in zip(names, texts, strict=True)]
        found = await send(client, batch(*parts))
        single = [await client.post(KEYED, content=text) for text in texts]
        assert found == [
            ("<a2 + 1>", 200, single[0].json()),
            ("7", 400, single[1].json()),
            ("<a2 + a%20folded%20one>", 200, single[2].json()),
        ]


async def test_a_part_without_a_key_has_that_of_the_batch() -> None:
    body = batch(part("<1>", PATH), part("<2>"), part("<3>", f"{PATH}?key=wrong-token-of-a-part"))
    async with asked(token=TOKEN) as client:
        assert [x[1] for x in await send(client, body)] == [401, 200, 401]
        for shown in ({"authorization": f"Bearer {TOKEN}"}, {"x-goog-api-key": TOKEN}):
            assert [x[1] for x in await send(client, body, headers=shown)] == [200, 200, 401]
        assert [x[1] for x in await send(client, body, params={"key": TOKEN})] == [200, 200, 401]
        own = part("<4>", PATH, headers=f"Authorization: Bearer {TOKEN}")
        assert [x[1] for x in await send(client, batch(own))] == [200]
    async with asked() as client:
        assert [x[1] for x in await send(client, body)] == [200] * 3


async def test_only_perspectives_endpoints_are_reached_and_no_batch_in_a_batch() -> None:
    suggested = b'{"comment": {"text": "anna"}, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}}}'
    paths = ["/v1/label", "/batch", "/", "/v1alpha1/comments:other", "//[", "/v1alpha1/comments:suggestscore"]
    async with asked() as client:
        found = await send(client, batch(*(part("", path, suggested) for path in paths)))
        assert [x[1] for x in found] == [404, 404, 404, 404, 400, 200]
        assert all(x[0] is None for x in found)
        whole = await send(client, batch(part("<1>", f"https://commentanalyzer.googleapis.com{PATH}")))
        assert whole[0][1] == 200
        get = ANSWER.join([b"--=b:b\nContent-Type: application/http\n\nGET %s\n\n" % PATH.encode(), b"\n--=b:b--"])
        assert (await send(client, get))[0][1:] == (405, (await client.get(PATH)).json())


async def test_a_cookie_or_host_inside_a_part_does_not_count() -> None:
    async with asked(token=TOKEN) as client:
        login = await client.post("/login", data={"token": TOKEN})
        cookie = login.headers["set-cookie"].partition(";")[0]
        client.cookies.clear()
        page = await client.get("/openapi.json", headers={"cookie": cookie})
        assert page.status_code == 200  # the cookie is a good one
        found = await send(client, batch(part("<1>", PATH, headers=f"Cookie: {cookie}\nHost: other")))
        assert found[0][1] == 401


async def test_a_compressed_batch_and_compressed_parts_are_read() -> None:
    packed = part("<1>", body=gzip.compress(ANSWER), headers="Content-Encoding: gzip")
    async with asked() as client:
        for body, headers in ((batch(packed), {}), (gzip.compress(batch(part("<1>"))), {"content-encoding": "gzip"})):
            assert [x[1] for x in await send(client, body, headers=headers)] == [200]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 400),
        ("multipart/mixed", batch(part("<1>")), 400),
        ("multipart/mixed; boundary=other", batch(part("<1>")), 400),
        (HEADERS["content-type"], b"", 400),
        (HEADERS["content-type"], batch(*[part("", body=b"{}")] * (MAX_PARTS + 1)), 400),
        (HEADERS["content-type"], batch(part("<1>", body=b"secret " * 2_000_000)), 413),
    ],
)
async def test_what_is_no_batch_is_refused_with_googles_error(kind: str, body: bytes, status: int) -> None:
    async with asked() as client:
        response = await client.post("/batch", content=body, headers={"content-type": kind})
        assert response.status_code == status
        assert response.json()["error"]["status"] == "INVALID_ARGUMENT"
        assert "secret" not in response.text


async def test_a_batch_counts_as_many_requests_as_it_has() -> None:
    async with served(taggers=["moderation"]) as here:
        context = make_context(worker=here.worker, gateway=here.desk, limits={"requests_per_second": 3.0})
        async with asking(context) as client:
            found = await send(client, batch(*[part("<1>")] * 5))
            assert sorted(x[1] for x in found) == [200, 200, 429, 429, 429]
            assert found[-1][2]["error"]["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
            assert (await client.post("/batch", content=b"", headers=HEADERS)).status_code == 429


async def test_answers_name_the_checkpoint() -> None:
    async with asked() as client:
        response = await client.post(PATH, json=request())
        assert response.headers[CHECKPOINT_HEADER] == "0123456789abcdef; taggers=moderation; format=exact"
        raw = await client.post("/batch", content=batch(part("<1>")), headers=HEADERS)
        assert f"{CHECKPOINT_HEADER}: 0123456789abcdef" in raw.text
