"""Perspective's endpoints read bodies as leniently as Google's servers, and all their errors have Google's shape."""

import gzip
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.decode import BadInput
from consumers.http.api.label import RequestRefused
from consumers.http.api.perspective import PATHS
from consumers.http.api.perspective_messages import AnalyzeRequest, SuggestRequest, read_request
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, make_context
from tests.consumers.http.test_perspective import asked, request

PATH = PATHS[0]

LENIENT = [
    b'{comment: {text: "we {met: anna, \\"no: "},\n  languages: ["en"],\n requestedAttributes : {TOXICITY:{}}}',
    b'{"comment":{text:"we {met: anna, \\"no: "},languages:["en"],"requestedAttributes":{TOXICITY:{scoreThreshold:0}}}',
    b'{comment: {text: "we {met: anna, \\"no: "}, languages: ["en"], requested_attributes: {TOXICITY: null}}',
]


@pytest.mark.parametrize("body", LENIENT)
async def test_keys_need_no_quotes(body: bytes) -> None:
    async with asked() as client:
        found = await client.post(PATH, content=body)
        strict = await client.post(PATH, json=request('we {met: anna, "no: ', languages=["en"]))
        assert found.status_code == 200
        assert found.content == strict.content
        assert (await client.post("/v1/label", content=b'{text: "we met anna"}')).status_code == 400


CUT = [
    b'{comment: {text: "secret anna',
    b'{comment: {text: "secret anna"',
    b'{comment: {text: "secret\\',
    b"{comment: secret}",
]


@pytest.mark.parametrize("body", CUT)
async def test_what_is_not_json_all_the_same_is_refused_without_its_text(body: bytes) -> None:
    async with asked() as client:
        error = (await client.post(PATH, content=body)).json()["error"]
        assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert error["message"].startswith("Invalid JSON payload received.")
        assert "secret" not in json.dumps(error)


NAMES = st.text(alphabet="abcXYZ_$9", min_size=1).filter(lambda x: not x[0].isdigit())
VALUES = st.text() | st.integers(-9, 9) | st.booleans() | st.none()


def write_lenient(value: Any, spaces: str) -> str:
    if isinstance(value, dict):
        parts = (f"{spaces}{key}{spaces}:{spaces}{write_lenient(x, spaces)}" for key, x in value.items())
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write_lenient(x, spaces) for x in value) + "]"
    return json.dumps(value, ensure_ascii=False)


TREES = st.dictionaries(
    NAMES, st.recursive(VALUES, lambda x: st.lists(x) | st.dictionaries(NAMES, x), max_leaves=8), max_size=4
)


@given(st.text(), TREES, st.sampled_from(["", " ", "\n\t"]))
def test_only_keys_are_read_leniently(text: str, more: dict[str, Any], spaces: str) -> None:
    value = {**{f"z{k}": x for k, x in more.items()}, "comment": {"text": text.encode("utf-8", "replace").decode()}}
    lenient = read_request(write_lenient(value, spaces).encode(), AnalyzeRequest)
    assert lenient == read_request(json.dumps(value).encode(), AnalyzeRequest)


@given(st.lists(st.sampled_from(['"', "\\", "a", ":", " ", "{", "}", ",", '{"comment":']), max_size=30))
def test_no_body_fails_otherwise_than_by_an_error(parts: list[str]) -> None:
    with suppress(BadInput, RequestRefused):
        read_request("".join(parts).encode(), AnalyzeRequest)


def snake(name: str) -> str:
    return "".join("_" + x.lower() if x.isupper() else x for x in name)


def test_every_field_has_a_name_with_underscores() -> None:
    article = {"article": {"text": "x"}}
    bodies: list[tuple[type[msgspec.Struct], dict[str, Any]]] = [
        (
            AnalyzeRequest,
            {
                "comment": {"text": "a"},
                "requestedAttributes": {"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.5}},
                "spanAnnotations": True,
                "clientToken": "a_b",
                "sessionId": "s",
                "communityId": "c",
                "doNotStore": True,
                "dropUnsupportedAttributes": True,
                "context": {"articleAndParentComment": article},
            },
        ),
        (
            SuggestRequest,
            {"attributeScores": {"myName": {"summaryScore": {"value": 1}, "spanScores": []}}, "clientToken": "t"},
        ),
    ]
    for kind, body in bodies:
        written = json.dumps(body)
        inner = {"scoreType", "scoreThreshold", "summaryScore", "spanScores", "articleAndParentComment"}
        for name in inner.union(kind.__struct_encode_fields__):
            written = written.replace(f'"{name}"', f'"{snake(name)}"')
        assert written != json.dumps(body)
        assert read_request(written.encode(), kind) == read_request(json.dumps(body).encode(), kind)


async def test_a_wrong_type_is_named_by_its_field() -> None:
    async with asked() as client:
        body = {"comment": {"text": "a"}, "requested_attributes": {"TOXICITY": {"score_threshold": "much"}}}
        error = (await client.post(PATH, json=body)).json()["error"]
        assert "scoreThreshold" in error["message"] or "requestedAttributes" in error["message"]
        assert (await client.post(PATH, json=[body])).json()["error"]["status"] == "INVALID_ARGUMENT"


async def test_a_comment_has_its_limit_in_bytes() -> None:
    async with asked() as client:
        for text, status in (("x " * 10_240, 200), ("\u00e9 " * 6826, 200), ("\u00e9 " * 6830, 400)):
            assert (await client.post(PATH, json=request(text))).status_code == status


async def test_compressed_bodies_are_read() -> None:
    async with asked() as client:
        body = gzip.compress(json.dumps(request()).encode())
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        plain = await client.post(PATH, json=request())
        assert (await client.post(PATH, content=body, headers=headers)).content == plain.content
        refused = await client.post(PATH, content=body, headers={"content-encoding": "br"})
        check(refused, 415, "INVALID_ARGUMENT")
        assert "accept-encoding" in refused.headers
        check(await client.post(PATH, content=b"no", headers=headers), 400, "INVALID_ARGUMENT")


def check(response: Any, code: int, status: str) -> dict[str, Any]:
    assert response.status_code == code
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert (error["code"], error["status"]) == (code, status)
    assert isinstance(error["message"], str)
    return error


async def test_the_key_may_stand_in_the_address_or_in_either_header() -> None:
    async with asked(token=TOKEN) as client:
        for shown in ({"authorization": f"Bearer {TOKEN}"}, {"x-goog-api-key": TOKEN}):
            assert (await client.post(PATH, headers=shown, json=request())).status_code == 200
            assert (await client.post(PATH, params={"key": TOKEN}, headers=shown, json=request())).status_code == 200
        assert (
            await client.post("/v1/label", headers={"x-goog-api-key": TOKEN}, json={"text": "a"})
        ).status_code == 401
        for response in (
            await client.post(PATH, json=request()),
            await client.post(PATH, headers={"x-goog-api-key": "wrong"}, json=request()),
        ):
            error = check(response, 401, "UNAUTHENTICATED")
            assert error["message"].startswith("API key not valid. Please pass a valid API key.")
            assert error["details"][0]["reason"] == "API_KEY_INVALID"
            assert response.headers["www-authenticate"] == 'Bearer realm="hearken"'


async def test_refusals_before_a_request_is_read_have_googles_shape_here_only() -> None:
    async with served(taggers=["moderation"]) as here:
        parts: dict[str, Any] = {"worker": here.worker, "gateway": here.desk}
        for limit, wanted in (({"max_body_bytes": 100}, 413), ({"requests_per_second": 0.1}, 429)):
            async with asking(make_context(limits=limit, **parts)) as client:
                for path in ("/v1/label", *PATHS, PATHS[0]):
                    response = await client.post(path, json=request("x" * 100))
                assert response.status_code == wanted
                if wanted == 413:
                    check(response, 413, "INVALID_ARGUMENT")
                    continue
                error = check(response, 429, "RESOURCE_EXHAUSTED")
                assert error["message"].startswith("Quota exceeded")
                assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
                assert int(response.headers["retry-after"]) >= 1
                assert (await client.post("/v1/label", json={})).json()["error"] == "too_many_requests"
        async with asking(make_context(**parts)) as client:
            foreign = {"origin": "https://elsewhere.example"}
            check(await client.post(PATH, headers=foreign, json=request()), 403, "PERMISSION_DENIED")
            check(await client.get("/$discovery/rest", headers=foreign), 403, "PERMISSION_DENIED")
            check(await client.post("/v1alpha1/comments:other", json=request()), 404, "NOT_FOUND")
            assert (await client.post("/v2/other")).json()["error"] == "not_found"
            wrong = await client.get(PATH)
            check(wrong, 405, "UNIMPLEMENTED")
            assert wrong.headers["allow"] == "POST"
            assert wrong.headers["x-content-type-options"] == "nosniff"
