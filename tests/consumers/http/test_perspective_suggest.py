"""comments:suggestscore: answered like Perspective's, and kept as training data where the operator wants it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumers.common.settings import SettingError
from consumers.http.api.perspective_suggest import SUGGEST_PATHS
from consumers.http.settings import HttpSettings
from encoder.train.data.jsonl import read_lines
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, make_context
from tests.stream.fake_tagger import FakeLabeller

PATH = SUGGEST_PATHS[0]


@asynccontextmanager
async def told(file: Path | None = None, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    labeller = FakeLabeller(names=["moderation"], text_scores={"moderation": ("toxicity", "Profanity")})
    limits = {"suggestions_file": file}
    async with (
        served(labeller) as here,
        asking(make_context(worker=here.worker, gateway=here.desk, token=token, limits=limits)) as client,
    ):
        yield client


def suggestion(text: str = "we met anna", **more: Any) -> dict[str, Any]:
    return {"comment": {"text": text}, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}}, **more}


async def test_it_answers_with_the_clients_token_and_keeps_nothing() -> None:
    async with told() as client:
        for path in SUGGEST_PATHS:
            assert (await client.post(path, json=suggestion(clientToken="t-1"))).json() == {"clientToken": "t-1"}
        assert (await client.post(PATH, json=suggestion())).json() == {}


async def test_a_file_gets_rows_that_train_reads(tmp_path: Path) -> None:
    file = tmp_path / "suggested.jsonl"
    async with told(file) as client:
        score = {"value": 0.5, "type": "PROBABILITY"}
        spans = [{"begin": 0, "end": 2, "score": score}]
        more = {
            "OBSCENE": {"summaryScore": score, "spanScores": spans},
            "TOXICITY@6": {"summary_score": {"value": 0}},
            "APPROVED": {"summaryScore": {"value": 1}},
        }
        body = {
            "comment": {"text": 'say "hi"\nto\u2028anna'},
            "attribute_scores": more,
            "languages": ["en"],
            "community_id": "c",
            "context": {"entries": [{"text": '{"story": 1}'}]},
        }
        assert (await client.post(PATH, json=body)).json() == {}
        await asyncio.gather(*(client.post(PATH, json=suggestion(f"text {i}")) for i in range(5)))
        refused = await client.post(PATH, json=suggestion(" "))
        assert refused.status_code == 400
    first, *others = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]
    assert first == {"text": 'say "hi"\nto\u2028anna', "labels": {"Profanity": 0.5, "toxicity": 0.0, "approved": 1.0}}
    assert sorted(x["text"] for x in others) == [f"text {i}" for i in range(5)]
    assert file.stat().st_mode & 0o077 == 0
    assert len(read_lines(file)[0]) == 6


BAD: list[tuple[dict[str, Any], str]] = [
    (suggestion(""), "Comment must be non-empty."),
    (suggestion("x" * 20_481), "Comment text too long."),
    ({"comment": {"text": "a"}}, "Missing attribute_scores"),
    (suggestion(attributeScores={"TOXICITY": None}), "Missing attribute_scores"),
    (suggestion(attributeScores={"TOXICITY": {"summaryScore": {"value": 1.5}}}), "from 0 to 1"),
    (suggestion(attributeScores={"TOXICITY": {"summaryScore": {"value": 1, "type": "RAW"}}}), "PROBABILITY"),
    (suggestion(attributeScores={" ": {"summaryScore": {"value": 1}}}), "A name in attribute_scores"),
    (suggestion(attributeScores={f"X{i}": {"summaryScore": {"value": 1}} for i in range(65)}), "At most 64"),
    (suggestion(attributeScores={"TOXICITY": {"summaryScore": {}}}), "Invalid JSON payload received."),
    (suggestion(clientToken=7), "Invalid JSON payload received."),
]


@pytest.mark.parametrize(("body", "message"), BAD)
async def test_errors_are_googles_and_write_nothing(body: dict[str, Any], message: str, tmp_path: Path) -> None:
    async with told(tmp_path / "kept.jsonl") as client:
        response = await client.post(PATH, json=body)
        assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert message in response.json()["error"]["message"]
    assert (tmp_path / "kept.jsonl").read_bytes() == b""


async def test_it_needs_the_key() -> None:
    async with told(token=TOKEN) as client:
        refused = await client.post(PATH, json=suggestion())
        assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert (await client.post(PATH, params={"key": TOKEN}, json=suggestion())).status_code == 200


def test_a_file_that_cannot_be_written_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be written"):
        HttpSettings(suggestions_file=tmp_path / "missing" / "file.jsonl")
