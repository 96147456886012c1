"""Schemas are up to date, describe what is sent and received, and the description of topics is AsyncAPI 3."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hearken.messages import Message, Revision
from hearken.schema import MESSAGES, field_texts, main, message_schemas
from stream.messages.types import Update
from tests.hearken.golden import BREAKS, FOLDER, STREAMS
from tests.node import PACKAGE, why_not

ROOT = Path(__file__).parents[2]
SCHEMAS = {name: jsonschema.Draft202012Validator(x) for name, x in message_schemas().items()}
SPEC = PACKAGE / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"


def name_of(message: dict[str, Any]) -> str:
    kind: str = message["type"]
    return f"redacted-{kind}" if "rev" in message and kind != "revision" else kind


def recorded() -> list[dict[str, Any]]:
    """All messages of the golden streams."""
    steps = [
        x for name in (*STREAMS, *BREAKS) for x in json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["steps"]
    ]
    found = [x[key] for x in steps for key in ("event", "send", "receive") if key in x]
    return found + [y for x in steps for y in (*x.get("gives", ()), *x.get("answers", ())) if "session" in y]


def test_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """After a change of the types: the same command without `--check`."""
    files = ["--out", str(ROOT / "docs/schemas"), "--typescript", str(PACKAGE / "src/messages.ts")]
    assert main([*files, "--check"]) == 0, capsys.readouterr().out


def test_a_stale_file_is_named_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path)]) == 0
    (tmp_path / "end.json").write_text("{}")
    assert main(["--out", str(tmp_path), "--check"]) == 1
    assert "end.json: not up to date" in capsys.readouterr().out
    assert (tmp_path / "end.json").read_text() == "{}"
    assert main(["--out", str(tmp_path)]) == 0
    assert main(["--out", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("name", MESSAGES)
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name].schema)


def test_recorded_messages_are_valid() -> None:
    messages = recorded()
    assert {name_of(x) for x in messages} == MESSAGES.keys() - {"error"}
    for message in messages:
        SCHEMAS[name_of(message)].validate(message)


@pytest.mark.parametrize(
    "change", [{"rev": "1"}, {"spans": [{"id": 1}]}, {"settled_cause": "whim"}, {"final": None}, {"tagger": 3}]
)
def test_what_is_no_message_is_not_valid(change: dict[str, Any]) -> None:
    revision = next(x for x in recorded() if x["type"] == "revision")
    assert not SCHEMAS["revision"].is_valid(revision | change)


def test_every_message_has_a_schema() -> None:
    kinds = {*MESSAGES.values()}
    assert {*Message.__args__, Revision} <= kinds


def test_fields_are_described_as_in_the_source() -> None:
    assert field_texts(Update)["speaker"] == "Speaker or author of the segment."
    assert SCHEMAS["update"].schema["properties"]["speaker"]["description"] == field_texts(Update)["speaker"]


def test_references_of_the_description_lead_somewhere() -> None:
    described = json.loads((ROOT / "docs/schemas/asyncapi.json").read_text("utf-8"))

    def check(value: Any) -> int:
        if isinstance(value, list):
            return sum(map(check, value))
        if not isinstance(value, dict):
            return 0
        if "$ref" in value:
            place = described
            for part in value["$ref"].removeprefix("#/").split("/"):
                place = place[part]
        return ("$ref" in value) + sum(map(check, value.values()))

    assert check(described) > 40


@pytest.mark.skipif(not SPEC.exists(), reason=f"AsyncAPI's own schema: {why_not() or 'npm ci was not run'}")
def test_the_description_is_asyncapi_3() -> None:
    specification = json.loads(SPEC.read_text("utf-8"))
    described = json.loads((ROOT / "docs/schemas/asyncapi.json").read_text("utf-8"))
    validator = jsonschema.Draft7Validator(specification)
    assert [x.message for x in validator.iter_errors(described)] == []
    described["operations"]["sendFrames"]["action"] = "shout"
    assert not validator.is_valid(described)
