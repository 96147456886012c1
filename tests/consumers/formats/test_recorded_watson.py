"""Sessions that Watson really sent (with speakers, which it revises), where the data is at hand."""

import json
from pathlib import Path

import pytest

from tests.consumers.formats.runs import Run, said

DATA = Path(__file__).parents[4] / "shared" / "data" / "stream_watson_sdk"
RECORDED = sorted(DATA.glob("*.raw.json"))


@pytest.mark.skipif(not RECORDED, reason="the recorded sessions are not here")
def test_recorded_sessions_end_in_their_finals_with_times_and_speakers() -> None:
    assert len(RECORDED) == 2
    for path in RECORDED:
        sent = json.loads(path.read_text(encoding="utf-8"))
        run = Run("watson", coalesce=True).tell([json.dumps(x).encode() for x in sent])
        assert not run.bad
        results = [(x["result_index"], y) for x in sent for y in x.get("results", ())]
        finals = {index: y["alternatives"][0]["transcript"] for index, y in results if y["final"]}
        heard = run.segments()
        assert {name: x.text for name, x in heard.items()} == {f"result-{i}": text for i, text in finals.items()}
        assert all(x.closed for x in heard.values())
        assert all(len(said(x)) == len(x.text.split()) for x in heard.values()), "every word has its time"
        speakers = {speaker or x.speaker for x in heard.values() for *_, speaker in said(x)}
        labels = {str(y["speaker"]) for x in sent for y in x.get("speaker_labels", ())}
        assert speakers <= labels
        assert len(speakers) == 2
        before = run.texts()
        run.die(len(run.log) // 2)
        assert run.tell([json.dumps(x).encode() for x in sent]).texts() == before
