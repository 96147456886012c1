"""The benchmark of ordinary talk: its counts are those of the revisions."""

import json
from pathlib import Path

import pytest

from benchmarks import talk
from benchmarks.__main__ import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"text": text, "is_final": True} for text in ("we met ann", "well", "ann and ann bo")]
    folder = tmp_path / "stream_switchboard_increco"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_words_and_spans_are_counted(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_tag(_: str, messages: list[dict[str, str]]) -> list[dict[str, object]]:
        assert len({x["session"] for x in messages}) in (1, len(messages))
        spans = {"we met ann": [(7, 10, "person")], "ann and ann bo": [(0, 3, "person"), (8, 14, "place")]}
        return [
            {
                "segment": x["segment"],
                "spans": [dict(zip(("start", "end", "label"), y, strict=True)) for y in spans[x["text"]]],
            }
            for x in messages
        ]

    monkeypatch.setattr(talk, "run_tag", run_tag)
    assert main(["talk", "--tagger", "x", "--data", str(data), "--out", str(tmp_path)]) == 0
    alone, session = json.loads((tmp_path / "talk.json").read_bytes())
    assert (alone["mode"], session["mode"]) == ("alone", "session")
    for row in (alone, session):
        assert (row["name"], row["turns"], row["words"], row["labelled"]) == ("telephone", 2, 7, 4)
        assert row["spans"] == {"person": 2, "place": 1}


def test_a_folder_without_talk_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", "--tagger", "x", "--data", str(tmp_path)]) == 1
    assert "has none of the sets of talk" in capsys.readouterr().err
