"""/v1/label: the labels of a closed segment, for whoever asks; and what is said to who asks for something else."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.common.settings import OFFLINE, EngineSettings
from consumers.formats.line_reader import LineReader
from consumers.http.api import label
from consumers.http.api.gateway import Gateway
from consumers.runtime.engine_factory import build_engine
from consumers.runtime.tag_lines import TagRun, TextReader
from stream.engine.engine import Engine
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.consumers.http.gateways import Served, read, served
from tests.consumers.http.sites import asking, make_context
from tests.stream.engine.test_worker import Gated


@asynccontextmanager
async def asked(here: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(make_context(worker=here.worker, gateway=here.desk)) as client:
        yield client


async def test_a_text_is_labelled_by_every_tagger() -> None:
    async with served(taggers=["fake", "speech"]) as here, asked(here) as client:
        response = await client.post("/v1/label", json={"text": "we met anna"})
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        person = {"start": 7, "end": 11, "label": "person", "text": "anna", "score": 0.99}
        met = {"start": 3, "end": 6, "label": "person", "text": "met", "score": 0.97}
        (result,) = response.json()["results"]
        assert result == {
            "fake": {"spans": [person], "score": 0.99, "settled": 11},
            "speech": {"spans": [met], "score": 0.97, "settled": 11},
        }
        chosen = await client.post("/v1/label", json={"text": "we met anna", "taggers": ["speech"]})
        assert chosen.json()["results"] == [{"speech": result["speech"]}]


async def test_a_text_has_the_text_scores_of_taggers_that_give_any() -> None:
    async with served(taggers=["fake", "scored"]) as here, asked(here) as client:
        (found, empty) = (await client.post("/v1/label", json={"texts": ["anna met", ""]})).json()["results"]
    assert found["scored"]["scores"] == {"rude": 0.5, "worse": 0.25}
    assert "scores" not in found["fake"]
    assert empty["scored"] == {"spans": [], "score": None, "settled": 0}


async def test_texts_have_nothing_to_do_with_each_other() -> None:
    texts = ["we met anna", "there", "", "rome \U0001f600 anna"]  # "there" is what the segment before ended in
    async with served() as here, asked(here) as client:
        results = (await client.post("/v1/label", json={"texts": texts})).json()["results"]
        assert [[(x["start"], x["text"]) for x in result["fake"]["spans"]] for result in results] == [
            [(7, "anna")],
            [],
            [],
            [(0, "rome"), (7, "anna")],
        ]
        assert results[2] == {"fake": {"spans": [], "score": None, "settled": 0}}
        many = await client.post("/v1/label", json={"texts": ["anna"] * 256})
        assert len(many.json()["results"]) == 256
        assert (await client.post("/v1/label", json={"texts": []})).json() == {"results": []}
        assert here.engine.intake.session_count == 0 or here.engine.pending


BAD = [
    (b"", 400, "empty"),
    (b"{", 400, "invalid_json"),
    (b'{"x":' + b"[" * 100_000, 400, "invalid_json"),
    (b'{"text":"\xff"}', 400, "invalid_utf8"),
    (b"[]", 422, "invalid_message"),
    (b"{}", 422, "invalid_message"),
    (b'{"text":"a","texts":["b"]}', 422, "invalid_message"),
    (b'{"text":7}', 422, "invalid_message"),
    (json.dumps({"text": "x" * 20_001}).encode(), 422, "text_too_long"),
    (json.dumps({"texts": ["x"] * 257}).encode(), 422, "too_many_texts"),
    (b'{"text":"a","taggers":["who"]}', 422, "unknown_tagger"),
]


@pytest.mark.parametrize(("body", "status", "error"), BAD, ids=[f"{x[2]}{i}" for i, x in enumerate(BAD)])
async def test_what_cannot_be_labelled_is_told(body: bytes, status: int, error: str) -> None:
    async with served() as here, asked(here) as client:
        response = await client.post("/v1/label", content=body)
        assert (response.status_code, response.json()["error"]) == (status, error)
        assert response.json()["detail"]
        assert (await client.post("/v1/label", json={"text": "anna"})).status_code == 200


async def test_a_wrong_path_and_a_wrong_method_are_told_what_there_is() -> None:
    async with served() as here, asked(here) as client:
        unknown, wrong = await client.post("/v1/labels", json={}), await client.get("/v1/label")
        assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")
        assert "/openapi.json" in unknown.json()["detail"]
        assert (wrong.status_code, wrong.json()["error"]) == (405, "method_not_allowed")
        assert wrong.json()["detail"] == "this path takes POST"


async def test_of_several_texts_the_bad_one_is_named() -> None:
    async with served() as here, asked(here) as client:
        response = await client.post("/v1/label", json={"texts": ["fine", "secret" * 4000]})
        assert response.json()["detail"].startswith("text 1: at most 20000 characters")
        assert "secret" not in response.text


async def test_a_fault_of_ours_is_one_and_others_go_on() -> None:
    async with served() as here, asked(here) as client:
        poisoned, fine = await asyncio.gather(
            client.post("/v1/label", json={"texts": ["anna", "poison secret"]}),
            client.post("/v1/label", json={"text": "anna"}),
        )
        assert (poisoned.status_code, poisoned.json()["error"]) == (500, "labelling_failed")
        assert "secret" not in poisoned.text
        assert fine.status_code == 200


async def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label, "LABEL_SECONDS", 0.05)
    labeller = Gated()
    async with served(labeller) as here, asked(here) as client:
        response = await client.post("/v1/label", json={"text": "anna"})
        labeller.gate.set()
        assert (response.status_code, response.json()["error"]) == (503, "busy")
        assert response.headers["retry-after"]


async def test_a_service_that_stops_says_so() -> None:
    async with served() as here, asked(here) as client:
        here.desk.close()
        assert (await client.post("/v1/label", json={"text": "anna"})).status_code == 503


def tagged(engine: Engine, text: str) -> dict[str, dict]:
    """What `hearken tag --input text` says of one line, given alone."""
    engine.drop("stdin")
    out, errors = io.BytesIO(), io.StringIO()
    TagRun(engine, TextReader(), False, out, errors).run(LineReader(io.BytesIO(text.encode())))
    assert not errors.getvalue()
    keep = ("start", "end", "label", "text", "score")
    revisions = [json.loads(line) for line in out.getvalue().splitlines()]
    return {
        x["tagger"]: {
            "spans": [{k: span[k] for k in keep} for span in x["spans"]],
            "score": x["score"],
            "settled": x["settled"],
        }
        | {k: x[k] for k in ("scores",) if k in x}
        for x in revisions
    }


async def labelled(engine: Engine, texts: Sequence[str]) -> list[dict[str, dict]]:
    worker = Worker(engine)
    desk = Gateway(worker)
    reading = asyncio.create_task(read(worker, desk))
    async with asking(make_context(worker=worker, gateway=desk)) as client:
        response = await client.post("/v1/label", json={"texts": texts})
    await worker.close()
    await reading
    return response.json()["results"]


@given(
    st.lists(
        st.lists(st.sampled_from(["anna", "rice", "met", "may", "said", "rome", "there", ".", ",", "été"])), max_size=5
    )
)
def test_labels_are_those_of_tag(texts: list[list[str]]) -> None:
    said = [" ".join(["we", *words]) for words in texts]
    found = asyncio.run(labelled(fake_engine(["ner", "speech"], "", coalesce=True), said))
    assert found == [tagged(fake_engine(["ner", "speech"], "", coalesce=False), text) for text in said]


def test_labels_are_those_of_tag_with_the_shipped_taggers() -> None:
    texts = [
        "well i told Maria Okonkwo from the Harbour Museum that we meet in Lisbon on Monday",
        "you are a pathetic idiot and nobody likes your stupid hat",
        "we should lower the fare because empty trams cost more than full ones " * 12,  # longer than the window
    ]
    engine = build_engine(EngineSettings(tagger=["ner", "moderation", "claims"], **OFFLINE))
    expected = [tagged(engine, text) for text in texts]
    assert [x["text"] for x in expected[1]["moderation"]["spans"]]
    assert asyncio.run(labelled(engine, texts)) == expected


async def test_text_that_others_send_is_labelled_under_its_own_offsets() -> None:
    async with served() as here, asked(here) as client:
        body = b'\xef\xbb\xbf{"texts": ["\\u0007 anna \\ud83d", "\\ufeffanna"], "confidence": NaN}'
        results = (await client.post("/v1/label", content=body)).json()["results"]
        spans = [[(x["start"], x["text"]) for x in one["fake"]["spans"]] for one in results]
        assert spans == [[(2, "anna")], [(1, "anna")]]
