"""Windows of WhisperLive's servers: with and without `completed`, and without times; what leaves a window stays."""

import json
from typing import Any

import pytest

from stream.messages.types import Delete
from tests.consumers.formats.runs import Run

LINES = [f"line {number} about the harbour in Delft." for number in range(9)]


def old(first: int, last: int) -> dict[str, Any]:
    """A window of a server before 0.6: nothing says what is completed."""
    said = [{"start": f"{2 * i}.000", "end": f"{2 * i + 2}.000", "text": LINES[i]} for i in range(first, last + 1)]
    return {"uid": "ab-1", "segments": said}


def bare(*texts: str) -> dict[str, Any]:
    """A window of the TensorRT server: texts alone."""
    return {"uid": "ab-1", "segments": [{"text": x} for x in texts]}


def run(*windows: dict[str, Any]) -> Run:
    return Run("whisperlive", None).tell([json.dumps(x).encode() for x in windows])


def texts(done: Run) -> list[str]:
    return list(done.texts("ab-1").values())


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_what_leaves_a_window_of_an_old_server_stays(width: int) -> None:
    done = run(*(old(max(0, i + 1 - width), i) for i in range(9)))
    assert texts(done) == [*LINES[:-1], f"{LINES[-1]} ..."]
    assert not [x for messages in done.told for x in messages if isinstance(x, Delete)]


def test_an_open_segment_that_left_the_window_unseen_is_closed_as_it_stands() -> None:
    done = run(old(0, 2), old(4, 5))
    assert texts(done) == [LINES[0], LINES[1], LINES[2], LINES[4], f"{LINES[5]} ..."]


def test_an_open_segment_that_begins_elsewhere_is_replaced() -> None:
    first, moved = old(0, 1), old(0, 1)
    moved["segments"][1] |= {"start": "2.200", "text": "line 1 about"}
    done = run(first, moved)
    assert texts(done) == [LINES[0], "line 1 about ..."]


def test_two_segments_with_one_start_are_two() -> None:
    window = old(0, 2)
    window["segments"][1]["start"] = window["segments"][0]["start"]
    window["segments"][1]["text"] = "something else altogether"
    assert texts(run(window, window)) == [LINES[0], "something else altogether", f"{LINES[2]} ..."]


def test_texts_without_times_are_found_by_those_around_them() -> None:
    done = run(
        bare("we saw"),
        bare("we saw Greta"),
        bare("we saw Greta in Delft ", "and"),
        bare("we saw Greta in Delft ", "and went to"),
        bare("we saw Greta in Delft ", "and went to Turin ", "yes"),
        bare("and went to Turin ", "yes ", "yes"),
        bare("yes ", "yes ", "no"),
    )
    said = [x.strip() for x in done.finals("ab-1")]
    assert said == ["we saw Greta in Delft", "and went to Turin", "yes", "yes"]
    assert done.open("ab-1") == ["no"]


def test_a_window_of_texts_that_comes_again_or_late_changes_nothing() -> None:
    windows = [bare("a b"), bare("a b c ", "d"), bare("a b c ", "d e ", "f"), bare("d e ", "f g ", "h")]
    done = run(*windows)
    before = texts(done)
    done.tell([json.dumps(x).encode() for x in (windows[3], windows[2])], first=9)
    assert texts(done) == before


def test_texts_without_times_are_read_again_after_a_crash() -> None:
    windows = [bare("we saw"), bare("we saw Greta ", "in"), bare("we saw Greta ", "in Delft ", "at noon")]
    values = [json.dumps(x).encode() for x in windows]
    whole = run(*windows)
    for kept in range(len(whole.log) + 1):
        again = run(*windows)
        again.die(kept)
        assert texts(again.tell(values)) == texts(whole)


def test_a_new_stream_with_the_same_uid_does_not_overwrite() -> None:
    done = run(bare("we saw Greta ", "in Delft"), bare("call Omar"))
    assert texts(done) == ["we saw Greta ", "in Delft", "call Omar ..."]
    timed = run(old(3, 4), {"uid": "ab-1", "segments": [{"start": "0.0", "end": "1.0", "text": "call Omar"}]})
    assert set(texts(timed)) == {LINES[3], f"{LINES[4]} ...", "call Omar ..."}


def test_a_uid_is_never_shortened() -> None:
    windows = [bare("we saw Greta"), bare("call Omar") | {"uid": "ab-2"}, bare("we saw Greta") | {"uid": "ab-12345678"}]
    done = Run("whisperlive", "call").tell([json.dumps(x).encode() for x in windows])
    assert list(done.texts("call")) == ["ab-1#0", "ab-2#0", "ab-12345678#0"]
