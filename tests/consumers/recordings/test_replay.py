"""Recorded streams: what a file may hold, and when each message is sent."""

import json
from pathlib import Path

import pytest

from consumers.common.errors import RecordingError
from consumers.recordings.jsonl import RecordedMessage, read_recording
from consumers.recordings.replay import pace
from stream.messages.types import End


class Clock:
    """Time passes only in sleep, and for the work that a test pretends to do."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def line(**fields: object) -> str:
    return json.dumps({"type": "end", "session": "a", **fields})


def recording(*dues: float) -> list[RecordedMessage]:
    return [RecordedMessage("a", End(session="a"), b"", due) for due in dues]


def write(path: Path, *lines: str) -> Path:
    file = path / "recording.jsonl"
    file.write_text("\n".join(lines))
    return file


async def test_each_message_is_sent_when_it_is_due() -> None:
    clock = Clock()
    sent = [(clock.now - 100, x.due) async for x in pace(recording(0, 0, 1.5, 4), 1.0, clock, clock.sleep)]
    assert sent == [(0, 0), (0, 0), (1.5, 1.5), (4, 4)]


async def test_speed_is_a_factor() -> None:
    clock = Clock()
    sent = [clock.now - 100 async for _ in pace(recording(0, 8, 16), 8.0, clock, clock.sleep)]
    assert sent == [0, 1, 2]


async def test_max_does_not_wait() -> None:
    clock = Clock()
    sent = [clock.now async for _ in pace(recording(0, 8, 16), None, clock, clock.sleep)]
    assert sent == [100, 100, 100]


async def test_who_is_late_catches_up() -> None:
    clock, sent = Clock(), []
    async for _ in pace(recording(0, 1, 2, 10), 1.0, clock, clock.sleep):
        sent.append(clock.now - 100)
        clock.now += 3  # sending takes that long
    assert sent == [0, 3, 6, 10]


def test_a_recording_keeps_lines_as_they_are_and_counts_from_the_first_time(tmp_path: Path) -> None:
    lines = [line(), line(time=12.5), line(extra="kept"), "", line(time=14), line(time=13), line(time=15, session="b")]
    found = list(read_recording(write(tmp_path, *lines)))
    assert [x.due for x in found] == [0, 0, 0, 1.5, 1.5, 2.5]
    assert [x.value.decode() for x in found] == [x for x in lines if x]
    assert [x.session for x in found] == ["a"] * 5 + ["b"]


@pytest.mark.parametrize("bad", ["{", '{"type":"nothing"}', line(time="soon"), line(time=[1])])
def test_a_bad_line_is_named(bad: str, tmp_path: Path) -> None:
    file = write(tmp_path, line(), bad)
    with pytest.raises(RecordingError, match=r"recording\.jsonl, line 2: "):
        list(read_recording(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nothing\.jsonl: No such file"):
        list(read_recording(tmp_path / "nothing.jsonl"))


def test_bad_lines_are_named_and_the_next_goes_on(tmp_path: Path) -> None:
    lines = [line(time=1), "{", line(time=2, session="b"), "\ufeff?", '{"type":"nothing","session":"c"}', line(time=4)]
    told: list[tuple[int, str]] = []
    found = list(read_recording(write(tmp_path, *lines), lambda number, error: told.append((number, error))))
    assert [(x.session, x.due) for x in found] == [("a", 0), ("b", 1), ("a", 3)]
    assert [number for number, _ in told] == [2, 4, 5]
    assert told[0][1].startswith("invalid_json: ")


def test_raw_lines_are_sent_as_they_are(tmp_path: Path) -> None:
    """Also those that are no messages; of a line that is too large only the beginning was read, so it is named."""
    lines = [line(time=1), "  {  ", '{"type":"nothing","session":"c"}', "x" * (2 << 20), line(session="b")]
    told: list[int] = []
    found = list(read_recording(write(tmp_path, *lines), lambda number, _: told.append(number), raw=True))
    assert [x.value.decode() for x in found] == [*lines[:3], lines[4]]
    assert [x.session for x in found] == ["a", "a", "c", "b"]
    assert told == [4]
