"""Interim results of real telephone calls, as each vendor would have sent them, where the data is at hand."""

import json
from pathlib import Path

import pytest

from stream.messages.types import Delete, Update
from tests.consumers.formats.runs import Run
from tests.consumers.formats.vendors import ENCODERS, Result, encode

DATA = Path(__file__).parents[4] / "shared" / "data" / "stream_switchboard_increco" / "events"
CALLS = sorted(DATA.glob("*.events.jsonl"))[:3]


def results(path: Path) -> list[Result]:
    told = []
    for line in path.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        words = tuple((str(w), float(start), float(end)) for w, start, end in event.get("words") or ())
        begin = words[0][1] if words else (told[-1].start if told else 0.0)
        told.append(Result(event["seg"], 0, begin, words, bool(event["is_final"])))
    return told


@pytest.mark.skipif(not CALLS, reason="the recorded calls are not here")
@pytest.mark.parametrize("name", ENCODERS)
def test_recorded_calls_end_in_their_finals(name: str) -> None:
    for path in CALLS:
        told = results(path)
        run = Run(name, coalesce=True, group=3).tell(encode(name, told))
        assert not run.bad
        stands: dict[str, Update] = {}
        for message in (x for messages in run.told for x in messages):
            if isinstance(message, Delete):
                del stands[message.segment]
            elif isinstance(message, Update):
                stands[message.segment] = message
        assert all(x.final for x in stands.values())
        assert sorted(x.text.strip() for x in stands.values()) == sorted(x.text for x in told if x.final and x.words)
        assert all(len(x.words or ()) == len(x.text.split()) for x in stands.values()) or name in (
            "azure",
            "google",
            "twilio",
        )
