"""Recorded research streams become messages in normal form; the files here are handwritten in the archives' shapes."""

import json
from pathlib import Path

import pytest

from consumers.common.errors import RecordingError
from consumers.recordings.datasets import read_events, read_increments, read_speeches, read_streams
from stream.messages.types import Delete, End, Update


def words(text: str, start: float = 0.0) -> list[list[object]]:
    return [[word, start + i, start + i + 0.9] for i, word in enumerate(text.split())]


def test_speeches_run_at_once_and_are_cut_at_pauses(tmp_path: Path) -> None:
    one = {"speech": "one", "asr_words": [*words("we met"), *words("in rome", 5.0)]}
    two = {"speech": "two", "asr_words": words("she went", 0.5)}
    path = tmp_path / "speeches.jsonl"
    path.write_text("\n".join(json.dumps(x) for x in (one, two)))
    got = list(read_speeches(path))
    assert [(m.session, m.segment, m.text, m.final) for m in got if isinstance(m, Update)] == [
        ("one", "s0", "we", False),
        ("two", "s0", "she", False),
        ("one", "s0", "we met", True),
        ("two", "s0", "she went", True),
        ("one", "s1", "in", False),
        ("one", "s1", "in rome", True),
    ]
    assert [m.session for m in got if isinstance(m, End)] == ["two", "one"]


def test_events_are_updates_and_other_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "call.events.jsonl"
    rows = [
        {"seg": 0, "is_final": False, "text": "we", "words": words("we")},
        {"type": "speaker_labels", "labels": []},
        {"seg": 0, "is_final": True, "text": "we met", "words": words("we met")},
    ]
    path.write_text("\n".join(json.dumps(x) for x in rows))
    got = list(read_events(path))
    assert [type(m) for m in got] == [Update, Update, End]
    assert [(m.session, m.text, m.final, m.time) for m in got if isinstance(m, Update)] == [
        ("call", "we", False, 0.9),
        ("call", "we met", True, 1.9),
    ]


def test_words_of_events_have_their_times_unless_the_text_has_other_words(tmp_path: Path) -> None:
    path = tmp_path / "call.events.jsonl"
    rows = [{"seg": 0, "text": "we met", "words": words("we met")}, {"seg": 0, "text": "we", "words": words("we met")}]
    path.write_text("\n".join(json.dumps(x) for x in rows))
    first, second, _ = read_events(path)
    assert isinstance(first, Update)
    assert isinstance(second, Update)
    assert [(w.start, w.end) for w in first.words or ()] == [(0.0, 0.9), (1.0, 1.9)]
    assert second.words is None


def test_a_folder_of_recordings_runs_at_once_whatever_their_shapes(tmp_path: Path) -> None:
    (tmp_path / "a.events.jsonl").write_text(json.dumps({"seg": 0, "text": "we", "words": words("we")}))
    (tmp_path / "b.jsonl").write_text(json.dumps({"speech": "one", "asr_words": words("she")}))
    normal = {"type": "update", "session": "x", "segment": "u", "text": "met"}
    for name in ("c", "d"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(normal) + "\n")
    got = read_streams(tmp_path)
    assert [(m.session, m.text) for m in got if isinstance(m, Update)] == [
        ("a", "we"),
        ("one", "she"),
        ("c/x", "met"),
        ("d/x", "met"),
    ]
    assert [m.session for m in read_streams(tmp_path / "c.jsonl")] == ["x"]


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"type": "update"}'])
def test_what_is_no_recording_is_said_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(RecordingError, match=r"a\.jsonl"):
        read_streams(path)


def increments(tmp_path: Path, *blocks: str) -> list[object]:
    path = tmp_path / "calls.text"
    shown = []
    for block in blocks:
        rows = [part.split("@") for part in block.split()]
        shown.append("Time: 0\n" + "".join(f"{w}\t{at}\t{float(at) + 0.4}\n" for w, at in rows) + "\n")
    path.write_text("File: call\n" + "".join(shown))
    return list(read_increments(path))


def test_an_increment_replaces_from_its_first_word_on(tmp_path: Path) -> None:
    got = increments(tmp_path, "we@0 mat@0.5", "met@0.5 her@1")
    assert [(m.segment, m.text, m.final) for m in got if isinstance(m, Update)] == [
        ("s0", "we mat", False),
        ("s0", "we met her", False),
    ]


def test_an_increment_after_a_pause_closes_and_begins_a_segment(tmp_path: Path) -> None:
    got = increments(tmp_path, "we@0", "met@3")
    assert [(m.segment, m.text, m.final) for m in got if isinstance(m, Update)] == [
        ("s0", "we", False),
        ("s0", "we", True),
        ("s1", "met", False),
    ]


def test_an_increment_that_reaches_back_deletes_and_edits(tmp_path: Path) -> None:
    got = increments(tmp_path, "we@0 mat@0.5", "her@3", "met@0.5 her@3 there@4")
    assert [(type(m), m.segment) for m in got[3:5]] == [(Delete, "s1"), (Update, "s0")]  # type: ignore[attr-defined]
    last = got[4]
    assert isinstance(last, Update)
    assert (last.text, last.final) == ("we met her there", True)
