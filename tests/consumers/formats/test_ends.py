"""What ends an utterance, or a whole stream, without a text or a time of its own."""

import json
from typing import Any

import pytest

from tests.consumers.formats.runs import Run

_OPENAI = "conversation.item.input_audio_transcription."
_AZURE = {"Text": "call anna in", "Offset": 5_000_000, "Duration": 9_000_000}


def run(name: str, *values: Any) -> Run:
    return Run(name).tell([json.dumps(value).encode() for value in values])


@pytest.mark.parametrize(
    "end",
    [
        {"RecognitionStatus": "Error", "Offset": 14_000_000, "Duration": 0},
        {"Reason": "Canceled", "Text": "", "OffsetInTicks": 5_000_000, "ErrorDetails": "timeout"},
        {"privReason": 1, "reason": 1, "text": None, "offset": 14_000_000},
    ],
)
def test_what_azure_had_heard_when_its_stream_broke_off_stands(end: dict[str, Any]) -> None:
    assert run("azure", _AZURE, end).finals() == ["call anna in"]


def _recall(kind: str, *words: str, start: float | None = 1.5, participant: int = 1) -> dict[str, Any]:
    timed = [{"text": x, "start_timestamp": None if start is None else {"relative": start}} for x in words]
    said = {"words": timed, "participant": {"id": participant}}
    return {"event": f"transcript.{kind}", "data": {"data": said, "transcript": {"id": "t"}, "bot": {"id": "b"}}}


def _rev(kind: str, *words: str, start: float | None = 1.5) -> dict[str, Any]:
    return {"type": kind, "ts": start, "elements": [{"type": "text", "value": x} for x in words]}


def _gladia(text: str, final: bool, start: float | None = 1.5) -> dict[str, Any]:
    said = {"text": text, "start": start, "end": start}
    return {"type": "transcript", "data": {"is_final": final, "utterance": said}}


@pytest.mark.parametrize(
    ("name", "interim", "empty", "untimed"),
    [
        ("recall", _recall("partial_data", "bob"), _recall("data"), _recall("data", "Bob.", start=None)),
        ("rev", _rev("partial", "bob"), _rev("final", start=None), _rev("final", "Bob.", start=None)),
        ("gladia", _gladia("bob", False), _gladia("", True, None), _gladia("Bob.", True, None)),
    ],
)
def test_a_final_result_without_times_is_of_the_open_utterance(
    name: str, interim: Any, empty: Any, untimed: Any
) -> None:
    assert run(name, interim, empty).texts() == {}
    closed = run(name, interim, untimed)
    assert list(closed.texts().values()) == ["Bob."]
    closed.die(len(closed.log))
    assert closed.tell([json.dumps(untimed).encode()], 1).finals() == ["Bob."]  # read again after a crash


def test_an_empty_final_result_of_one_participant_leaves_the_others() -> None:
    told = run("recall", _recall("partial_data", "bob"), _recall("partial_data", "anna", participant=2))
    assert told.tell([json.dumps(_recall("data", participant=2)).encode()], 2).open() == ["bob"]


def test_all_parts_of_a_deleted_item_are_deleted() -> None:
    parts = [{"type": f"{_OPENAI}delta", "item_id": "a", "content_index": i, "delta": "anna"} for i in range(2)]
    other = {"type": f"{_OPENAI}completed", "item_id": "a2", "transcript": "bob"}
    told = run("openai-realtime", *parts, other, {"type": "conversation.item.deleted", "item_id": "a"})
    assert told.texts() == {"a2": "bob"}
