"""Compressed bodies are read as if they were not, and a small one that would be large is refused before it is."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.http.guard.body_encoding import _GZIP, _RAW, _ZLIB, _Decompressor
from consumers.http.ops.traffic import HttpTraffic
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, make_context

TEXT = "we met anna"
COMMENT = json.dumps({"comment": {"text": TEXT}, "requestedAttributes": {"TOXICITY": {}}}).encode()
BODIES = {
    "/v1/label": json.dumps({"text": TEXT}).encode(),
    "/v1alpha1/comments:analyze": COMMENT,
    "/v1/comments:analyze": COMMENT,
}
LIMIT = 10_000


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def in_members(data: bytes) -> bytes:
    return gzip.compress(data[:7]) + gzip.compress(data[7:]) + gzip.compress(b"")


ENCODINGS = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", in_members),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
    ("", bytes),
    ("identity, gzip", gzip.compress),
]


async def post(
    path: str, content: bytes | AsyncIterator[bytes], encoding: str, traffic: HttpTraffic | None = None
) -> httpx.Response:
    async with served(taggers=["moderation"]) as here:
        context = make_context(
            worker=here.worker,
            gateway=here.desk,
            limits={"max_body_bytes": LIMIT},
            traffic=traffic or HttpTraffic(),
        )
        async with asking(context) as client:
            return await client.post(path, content=content, headers={"content-encoding": encoding})


async def byte_by_byte(data: bytes) -> AsyncIterator[bytes]:
    for i in range(len(data)):
        yield data[i : i + 1]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(("encoding", "compress"), ENCODINGS)
async def test_a_compressed_body_says_what_it_says_uncompressed(path: str, encoding: str, compress: object) -> None:
    body = compress(BODIES[path])  # type: ignore[operator]
    plain = await post(path, BODIES[path], "identity")
    assert plain.status_code == 200
    for content in (body, byte_by_byte(body)):
        answer = await post(path, content, encoding)
        assert (answer.status_code, answer.json()) == (200, plain.json())


async def test_the_login_takes_a_compressed_form_too() -> None:
    async with asking(make_context(token=TOKEN)) as client:
        headers = {"content-encoding": "gzip", "content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/login", content=gzip.compress(f"token={TOKEN}".encode()), headers=headers)
    assert answer.status_code == 303


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "anything"])
@pytest.mark.parametrize("path", BODIES)
async def test_another_encoding_is_refused_by_name(path: str, encoding: str) -> None:
    traffic = HttpTraffic()
    answer = await post(path, b"\x1b\x03", encoding, traffic)
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.text  # Perspective's paths have another form of errors
    assert answer.headers["accept-encoding"] == "gzip, deflate"
    assert refusals(traffic) == {"unsupported_encoding": 1}


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, raw_deflate])
@pytest.mark.parametrize("path", BODIES)
async def test_a_body_that_would_be_too_large_is_refused(path: str, compress: object) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"
    body = compress(b" " * 5_000_000)  # type: ignore[operator]
    assert len(body) < LIMIT
    traffic = HttpTraffic()
    answer = await post(path, body, encoding, traffic)
    assert answer.status_code == 413
    assert str(LIMIT) in answer.text
    assert refusals(traffic) == {"too_large": 1}


async def test_the_limit_of_the_compressed_body_holds_too() -> None:
    many = gzip.compress(b"") * 1000
    assert len(many) > LIMIT
    assert (await post("/v1/label", many, "gzip")).status_code == 413


GOOD = gzip.compress(BODIES["/v1/label"])


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", BODIES["/v1/label"]),
        ("gzip", GOOD[:-1]),
        ("gzip", GOOD[:5]),
        ("gzip", GOOD[:1]),
        ("gzip", GOOD + b"rest"),
        ("gzip", GOOD[:-8] + bytes(8)),
        ("deflate", b"x"),
        ("deflate", BODIES["/v1/label"]),
        ("deflate", zlib.compress(b"{}") + b"rest"),
        ("deflate", raw_deflate(b"{}")[:-1]),
    ],
    ids=range(10),  # gzip writes the time, and processes that share the tests must name them alike
)
async def test_what_is_no_compressed_body_is_said_to_be_none(encoding: str, body: bytes) -> None:
    traffic = HttpTraffic()
    answer = await post("/v1/label", body, encoding, traffic)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_encoding")
    assert "Content-Encoding" in answer.json()["detail"]
    assert refusals(traffic) == {"bad_encoding": 1}


async def test_no_body_is_no_body_with_an_encoding_too() -> None:
    answer = await post("/v1/label", b"", "gzip")
    assert (answer.status_code, answer.json()["error"]) == (400, "empty")


@given(st.binary(max_size=2000), st.integers(0, 3), st.integers(1, 700))
def test_any_body_in_any_parts_comes_out_as_it_went_in(data: bytes, repeats: int, step: int) -> None:
    data *= 1 + 40 * repeats
    for window, compress in ((_GZIP, gzip.compress), (_GZIP, in_members), (_ZLIB, zlib.compress), (_ZLIB, raw_deflate)):
        body, stream, parts = compress(data), _Decompressor(window), []
        for i in range(0, len(body), step):
            parts += list(stream.feed(body[i : i + step]))
        stream.finish()
        assert b"".join(parts) == data
        assert max(map(len, parts), default=0) <= 1 << 16
    assert _RAW < 0


def test_what_is_inside_after_the_last_byte_comes_out() -> None:
    data = b"a" * (3 * (1 << 16) + 17)
    stream = _Decompressor(_GZIP)
    assert b"".join(stream.feed(gzip.compress(data))) == data
    stream.finish()


def refusals(traffic: HttpTraffic) -> dict[str, float]:
    """Refusals by reason, without those that did not happen."""
    return {
        sample.labels["reason"]: sample.value
        for metric in traffic.collect()
        if metric.name == "hearken_http_refusals"
        for sample in metric.samples
        if sample.value
    }
