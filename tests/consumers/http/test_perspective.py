"""comments:analyze: what a program that was written for Perspective's API sends, reads and falls over."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from consumers.http.api.perspective import PATHS, Source, base_name, offered_attributes
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, make_context
from tests.consumers.http.test_perspective_text import FOREIGN
from tests.stream.fake_tagger import FakeLabeller

PATH = PATHS[0]
WHOLE = {"begin": 0, "end": 11, "score": {"value": 0.99, "type": "PROBABILITY"}}


@asynccontextmanager
async def asked(tagger: str = "moderation", token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """The fake tagger finds "anna" and "rome" where a real one finds insults."""
    async with (
        served(taggers=[tagger]) as here,
        asking(make_context(worker=here.worker, gateway=here.desk, token=token)) as client,
    ):
        yield client


def request(text: str = "we met anna", **more: Any) -> dict[str, Any]:
    return {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}, **more}


@pytest.mark.parametrize("path", PATHS)
async def test_a_comment_has_a_summary_and_one_span_over_all_of_it(path: str) -> None:
    async with asked() as client:
        response = await client.post(path, json=request())
        assert response.status_code == 200
        score = {"value": 0.99, "type": "PROBABILITY"}
        assert response.json() == {
            "attributeScores": {"TOXICITY": {"summaryScore": score, "spanScores": [WHOLE]}},
            "languages": ["en"],
            "detectedLanguages": ["en"],
        }


async def test_spans_are_sentences_and_the_words_have_a_field_of_their_own() -> None:
    text = "\U0001f600 we met. Anna saw rome!  We met"
    async with asked_with_scores(SCORES) as client:
        body = request(text, requestedAttributes={"TOXICITY": {}, "THREAT": {"scoreThreshold": 0.2}})
        found = (await client.post(PATH, json={**body, "spanAnnotations": True})).json()
        toxic, threat = (found["attributeScores"][x] for x in ("TOXICITY", "THREAT"))
        for scores in (toxic, threat):  # the face counts for two
            assert [(x["begin"], x["end"]) for x in scores["spanScores"]] == [(0, 10), (11, 25), (27, 33)]
            one, two, three = (x["score"]["value"] for x in scores["spanScores"])
            assert two > scores["summaryScore"]["value"] > one == three == 0
        words = [(x["begin"], x["end"], x["label"]) for x in found["wordSpans"] if x["label"] == "person"]
        assert words[0] == (11, 15, "person")
        plain = (await client.post(PATH, json=body)).json()
        assert "wordSpans" not in plain
        for scores in plain["attributeScores"].values():
            assert scores["spanScores"] == [{"begin": 0, "end": 33, "score": scores["summaryScore"]}]
        single = request("we met anna", spanAnnotations=True)
        scores = (await client.post(PATH, json=single)).json()["attributeScores"]["TOXICITY"]
        assert scores["spanScores"] == [{"begin": 0, "end": 11, "score": scores["summaryScore"]}]


async def test_all_that_its_clients_send_is_taken() -> None:
    body = request(
        "caf\u00e9 anna\x00\x85",
        spanAnnotations=True,
        languages=["en", "en-GB"],
        doNotStore=True,
        clientToken="comment-7",
        sessionId="3",
        communityId="/forum/films",
        context={"entries": [{"text": "before", "type": "PLAIN_TEXT"}]},
        unheardOf=[1],
    )
    body["comment"]["type"] = "PLAIN_TEXT"
    body["requestedAttributes"] = {"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.5}}
    async with asked() as client:
        query = {"alt": "json", "prettyPrint": "false"}
        response = await client.post(PATH, params=query, json=body)
        assert response.status_code == 200
        assert (response.json()["clientToken"], response.json()["languages"]) == ("comment-7", ["en", "en-GB"])
        assert [x["begin"] for x in response.json()["wordSpans"]] == [5]
        nulls = request(languages=None, clientToken=None, spanAnnotations=None)
        nulls["requestedAttributes"] = {"TOXICITY": None}
        assert (await client.post(PATH, json=nulls)).status_code == 200


async def test_what_is_below_the_threshold_is_left_out() -> None:
    async with asked() as client:
        body = request("we met", clientToken="x")
        body["requestedAttributes"] = {"TOXICITY": {"scoreThreshold": 0.9}}
        assert (await client.post(PATH, json=body)).json() == {
            "languages": ["en"],
            "detectedLanguages": ["en"],
            "clientToken": "x",
        }
        body["comment"]["text"] = "Anna. We met."
        found = (await client.post(PATH, json={**body, "spanAnnotations": True})).json()
        assert [x["end"] for x in found["attributeScores"]["TOXICITY"]["spanScores"]] == [5, 13]


LANGUAGE = {"requestedLanguages": ["de", "fr"], "attribute": "TOXICITY"}
BAD: list[tuple[dict[str, Any], str, str | None]] = [
    ({"requestedAttributes": {"TOXICITY": {}}}, "Comment must be non-empty.", "COMMENT_EMPTY"),
    (request(" \n"), "Comment must be non-empty.", "COMMENT_EMPTY"),
    (request("x" * 20_481), "Comment text too long.", "COMMENT_TOO_LONG"),
    (request("\u00e9" * 10_241), "Comment text too long.", "COMMENT_TOO_LONG"),
    (
        request(context={"entries": [{"text": "a"}], "articleAndParentComment": {"article": {"text": "b"}}}),
        "Context can have either entries or article_and_parent_comment",
        "INVALID_REQUEST",
    ),
    ({"comment": {"text": "a"}}, "Missing requested_attributes", "NO_REQUESTED_ATTRIBUTES"),
    (
        request(languages=["de", "fr"]),
        "does not support request languages: de, fr",
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
    ),
    (
        request(requestedAttributes={"TOXICITY": {}, "IDENTITY_ATTACK": {}}),
        "Unknown requested attribute: IDENTITY_ATTACK",
        "INVALID_REQUEST",
    ),
    (request(requestedAttributes={"TOXICITY": {"scoreType": "LOG"}}), "score type LOG is not", "INVALID_REQUEST"),
    (request(comment={"text": "<b>", "type": "HTML"}), "only 'PLAIN_TEXT'", "INVALID_REQUEST"),
    (request(comment="anna"), "Invalid JSON payload received.", None),
    (request(languages="en"), "Invalid JSON payload received.", None),
]


@pytest.mark.parametrize(("body", "message", "kind"), BAD, ids=[f"{x[2]}{i}" for i, x in enumerate(BAD)])
async def test_errors_have_googles_shape(body: dict[str, Any], message: str, kind: str | None) -> None:
    async with asked() as client:
        response = await client.post(PATH, json=body)
        error = response.json()["error"]
        assert response.status_code == 400
        assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
        assert message in error["message"]
        assert [x["errorType"] for x in error.get("details", [])] == ([kind] if kind else [])
        if kind == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE":
            assert error["details"][0]["languageNotSupportedByAttributeError"] == LANGUAGE


async def test_without_the_moderation_tagger_it_is_said_how_to_start_it() -> None:
    async with asked("fake") as client:
        response = await client.post(PATH, json=request())
        error = response.json()["error"]
        assert (response.status_code, error["status"]) == (400, "FAILED_PRECONDITION")
        assert "--tagger moderation" in error["message"]


async def test_a_fault_and_a_stop_have_googles_shape_too() -> None:
    async with (
        served(taggers=["moderation"]) as here,
        asking(make_context(worker=here.worker, gateway=here.desk)) as client,
    ):
        failed = await client.post(PATH, json=request("poison secret"))
        assert (failed.status_code, failed.json()["error"]["status"]) == (500, "INTERNAL")
        assert "secret" not in failed.text
        here.desk.close()
        stopped = await client.post(PATH, json=request())
        assert (stopped.status_code, stopped.json()["error"]["status"]) == (503, "UNAVAILABLE")


async def test_the_key_of_its_clients_is_the_token() -> None:
    async with asked(token=TOKEN) as client:
        assert (await client.post(PATH, json=request())).status_code == 401
        assert (await client.post(PATH, params={"key": TOKEN}, json=request())).status_code == 200


async def test_googles_clients_find_it_at_the_address_they_came_to() -> None:
    async with asked(token=TOKEN) as client:
        found = (await client.get("/$discovery/rest", params={"version": "v1alpha1", "key": "any"})).json()
        method = found["resources"]["comments"]["methods"]["analyze"]
        assert method["httpMethod"] == "POST"
        url = found["rootUrl"] + found["servicePath"] + method["path"]
        assert url == "http://localhost/v1alpha1/comments:analyze"
        methods = found["resources"]["comments"]["methods"]
        assert {x[y]["$ref"] for x in methods.values() for y in ("request", "response")} <= set(found["schemas"])
        named = set(re.findall(r'"\$ref": "(\w+)"', json.dumps(found)))
        assert named == set(found["schemas"])  # each is used, and none is missing
        assert methods["suggestscore"]["path"] == "v1alpha1/comments:suggestscore"
        assert (await client.post(url, params={"key": TOKEN}, json=request())).status_code == 200


def several(**more: Any) -> dict[str, Any]:
    attributes = {"INSULT": {}, "TOXICITY": {"scoreThreshold": 0.5}, "SPAM": None}
    return {"comment": {"text": "we met anna"}, "requestedAttributes": attributes, **more}


@pytest.mark.parametrize(
    ("default", "said", "query", "answered"),
    [
        (False, {}, {}, False),
        (True, {}, {}, True),
        (False, {"dropUnsupportedAttributes": True}, {}, True),
        (True, {"dropUnsupportedAttributes": False}, {}, False),
        (True, {"dropUnsupportedAttributes": None}, {}, True),
        (False, {}, {"dropUnsupportedAttributes": "true"}, True),
        (True, {}, {"dropUnsupportedAttributes": "false"}, False),
        (False, {"dropUnsupportedAttributes": False}, {"dropUnsupportedAttributes": "true"}, False),
    ],
)
async def test_attributes_that_are_not_offered_are_left_out_if_that_is_wanted(
    default: bool, said: dict[str, Any], query: dict[str, str], answered: bool
) -> None:
    async with served(taggers=["moderation"]) as here:
        limits = {"drop_unsupported_attributes": default}
        async with asking(make_context(worker=here.worker, gateway=here.desk, limits=limits)) as client:
            response = await client.post(PATH, json=several(**said), params=query)
            alone = await client.post(PATH, json=request(**said), params=query)
    assert alone.status_code == 200
    assert "unsupportedAttributes" not in alone.json()
    if answered:
        assert response.status_code == 200
        assert response.json()["attributeScores"].keys() == {"TOXICITY"}
        assert response.json()["unsupportedAttributes"] == ["INSULT", "SPAM"]
    else:
        assert response.status_code == 400
        assert "Unknown requested attribute: INSULT" in response.json()["error"]["message"]


async def test_a_request_of_which_nothing_would_be_left_is_refused_all_the_same() -> None:
    body = {**several(), "requestedAttributes": {"INSULT": {}}, "dropUnsupportedAttributes": True}
    async with asked() as client:
        response = await client.post(PATH, json=body)
        assert response.status_code == 400
        empty = await client.post(PATH, json={**body, "requestedAttributes": {}})
        assert empty.json()["error"]["details"][0]["errorType"] == "NO_REQUESTED_ATTRIBUTES"


SCORES = {"moderation": ("TOXICITY", "insult", "spam"), "other": ("threat", "insult")}


@asynccontextmanager
async def asked_with_scores(scores: dict[str, tuple[str, ...]]) -> AsyncIterator[httpx.AsyncClient]:
    labeller = FakeLabeller(names=["other", "moderation"], text_scores=scores)
    async with (
        served(labeller) as here,
        asking(make_context(worker=here.worker, gateway=here.desk)) as client,
    ):
        yield client


def wanting(*names: str, **parameters: float) -> dict[str, Any]:
    return request("anna met", requestedAttributes={x: {"scoreThreshold": parameters.get(x, 0.0)} for x in names})


async def test_attributes_are_the_text_scores_of_these_names() -> None:
    async with asked_with_scores(SCORES) as client:
        response = await client.post(PATH, json={**wanting("TOXICITY", "INSULT", "THREAT"), "spanAnnotations": True})
        found = response.json()["attributeScores"]
        assert {name: x["summaryScore"]["value"] for name, x in found.items()} == {
            "TOXICITY": 0.5,
            "INSULT": 0.25,
            "THREAT": 0.5,
        }
        assert found["INSULT"]["spanScores"] == [{"begin": 0, "end": 8, "score": found["INSULT"]["summaryScore"]}]
        some = await client.post(PATH, json=wanting("INSULT", "THREAT", INSULT=0.3, THREAT=0.3))
        assert some.json()["attributeScores"].keys() == {"THREAT"}
        for name in ("SPAM", "PROFANITY", "insult"):
            refused = await client.post(PATH, json=wanting("TOXICITY", name))
            assert refused.status_code == 400
            error = refused.json()["error"]
            assert error["message"] == f"Unknown requested attribute: {name}"
            assert error["details"][0]["supportedAttributes"] == ["TOXICITY", "INSULT", "THREAT"]
        left = await client.post(PATH, json={**wanting("INSULT", "SPAM"), "dropUnsupportedAttributes": True})
        assert left.json()["attributeScores"].keys() == {"INSULT"}
        assert left.json()["unsupportedAttributes"] == ["SPAM"]


async def test_a_tagger_with_other_scores_answers_toxicity_as_before() -> None:
    async with asked_with_scores({"other": ("threat",)}) as client:
        found = (await client.post(PATH, json=wanting("TOXICITY", "THREAT"))).json()["attributeScores"]
        assert found["TOXICITY"]["summaryScore"]["value"] == 0.99


def test_the_moderation_tagger_comes_first() -> None:
    both = {"a": ("threat",), "moderation": ("THREAT",)}
    assert offered_attributes(["a", "moderation"], both)["THREAT"] == Source("moderation", "THREAT")
    assert offered_attributes(["a"], {"a": ("threat",)}) == {"THREAT": Source("a", "threat")}
    assert offered_attributes(["a"], {}) == {}


@pytest.mark.parametrize(
    ("name", "offered_as"),
    [
        ("TOXICITY@6", "TOXICITY"),
        ("TOXICITY_EXPERIMENTAL", "TOXICITY"),
        ("TOXICITY_EXPERIMENTAL@2", "TOXICITY"),
        ("OBSCENE", "PROFANITY"),
        ("OBSCENE@1", "PROFANITY"),
        ("TOXICITY@", "TOXICITY@"),
        ("TOXICITY@x", "TOXICITY@x"),
        ("TOXICITY_FAST", "TOXICITY_FAST"),
        ("_EXPERIMENTAL", ""),
    ],
)
def test_attributes_have_versions_and_other_names(name: str, offered_as: str) -> None:
    assert base_name(name) == offered_as


async def test_an_attribute_is_answered_under_the_name_that_was_asked_for() -> None:
    async with asked_with_scores({"moderation": ("toxicity", "profanity")}) as client:
        names = ["TOXICITY@6", "TOXICITY", "OBSCENE", "PROFANITY_EXPERIMENTAL"]
        found = (await client.post(PATH, json=wanting(*names))).json()["attributeScores"]
        assert list(found) == names
        assert found["TOXICITY@6"] == found["TOXICITY"]
        assert found["OBSCENE"] == found["PROFANITY_EXPERIMENTAL"]
        body = {**wanting("FLIRTATION@2", "INSULT@2", "OBSCENE"), "dropUnsupportedAttributes": True}
        left = (await client.post(PATH, json=body)).json()
        assert left["attributeScores"].keys() == {"OBSCENE"}
        assert left["unsupportedAttributes"] == ["FLIRTATION@2", "INSULT@2"]


@pytest.mark.parametrize("language", ["de", "ja"])
async def test_text_in_another_language_is_refused_as_perspective_does(language: str) -> None:
    async with asked() as client:
        body = request(FOREIGN[language], requestedAttributes={"TOXICITY@6": {}})
        error = (await client.post(PATH, json=body)).json()["error"]
        assert error["message"] == f"Attribute TOXICITY@6 does not support request languages: {language}"
        (detail,) = error["details"]
        assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
        told = detail["languageNotSupportedByAttributeError"]
        assert told == {"detectedLanguages": [language], "attribute": "TOXICITY@6"}
        said = (await client.post(PATH, json={**body, "languages": ["en-US"]})).json()
        assert (said["languages"], said["detectedLanguages"]) == (["en-US"], [language])


async def test_all_languages_that_a_request_names_must_be_offered() -> None:
    async with asked() as client:
        error = (await client.post(PATH, json=request(languages=["en", "de"]))).json()["error"]
        told = error["details"][0]["languageNotSupportedByAttributeError"]
        assert told == {"requestedLanguages": ["de"], "attribute": "TOXICITY"}
        assert (await client.post(PATH, json=request(languages=[]))).json()["languages"] == ["en"]
