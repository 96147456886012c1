"""Files in a vendor's format as recorded streams, and `--format` on the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.common.errors import RecordingError
from consumers.common.settings import SettingError
from consumers.formats.readers import make_reader
from consumers.formats.registry import FORMATS
from consumers.recordings.vendor_file import VendorFile
from stream.messages.types import Delete, Update


def said(text: str, start: float, length: float, final: bool = False) -> dict:
    words = text.split()
    times = [
        {"word": word, "start": start + i * 0.2, "end": start + i * 0.2 + 0.1, "speaker": i % 2}
        for i, word in enumerate(words)
    ]
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": length,
        "is_final": final,
        "channel": {"alternatives": [{"transcript": text, "words": times}]},
    }


def write(path: Path, *values: dict) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


CALL = [said("we met", 2.0, 1.0), said("we met anna", 2.0, 2.0, final=True), said("in rome", 6.5, 1.0)]


@pytest.mark.parametrize("format", ["deepgram", "auto"])
def test_a_file_becomes_updates_at_their_own_pace(tmp_path: Path, format: str) -> None:
    found = list(VendorFile(write(tmp_path / "call-7.jsonl", *CALL), format).read())
    updates = [x.message for x in found]
    assert [(x.session, x.text, x.final) for x in updates if isinstance(x, Update)] == [
        ("call-7", "we met", False),
        ("call-7", "we met anna", True),
        ("call-7", "in rome", False),
    ]
    assert [x.due for x in found] == pytest.approx([0.0, 1.0, 4.5])
    assert json.loads(found[0].value)["words"][1]["speaker"] == "1"


def test_raw_messages_stay_as_they_came(tmp_path: Path) -> None:
    file = write(tmp_path / "call.jsonl", *CALL, {"type": "Metadata"})
    found = list(VendorFile(file, "deepgram", session="mine").read(raw=True))
    assert [x.session for x in found] == ["mine"] * len(found)
    assert [json.loads(x.value) for x in found] == [*CALL, {"type": "Metadata"}]


def test_an_interim_that_begins_elsewhere_replaces_what_was_open(tmp_path: Path) -> None:
    file = write(tmp_path / "call.jsonl", said("we met", 2.0, 1.0), said("met anna", 2.3, 1.0))
    messages = [x.message for x in VendorFile(file, "deepgram").read()]
    assert [type(x) for x in messages] == [Update, Delete, Update]


def test_captions_are_read_block_by_block(tmp_path: Path) -> None:
    file = tmp_path / "talk.vtt"
    file.write_text(
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nwe met anna\nin rome\n\n00:00:03.000 --> 00:00:04.000\nyes\n"
    )
    for format in ("captions", "auto"):
        updates = [x.message for x in VendorFile(file, format).read()]
        assert [x.text for x in updates if isinstance(x, Update)] == ["we met anna\nin rome", "yes"]


def test_a_bad_message_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "call.jsonl"
    file.write_text(json.dumps(CALL[0]) + '\n{"type": "Results", "channel": 5}\n')
    with pytest.raises(RecordingError, match=r"call.jsonl, line 2: "):
        list(VendorFile(file, "deepgram").read())


BAD = ['{"type": "Results", "channel": 5}', "{", '{"type": "Results", "start": "soon", "channel": {}}']


def test_bad_messages_are_named_and_the_next_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "call.jsonl"
    file.write_text("\n".join([json.dumps(CALL[0]), *BAD, json.dumps(CALL[1]), json.dumps(CALL[2])]))
    told: list[int] = []
    found = list(VendorFile(file, "deepgram").read(on_bad=lambda number, _: told.append(number)))
    assert [x.message.text for x in found if isinstance(x.message, Update)] == ["we met", "we met anna", "in rome"]
    assert told == [2, 3, 4]


@pytest.mark.parametrize("format", ["deepgram", "auto"])
def test_raw_sends_what_is_bad_too(tmp_path: Path, format: str) -> None:
    file, lines = tmp_path / "call.jsonl", [*BAD, json.dumps(CALL[0]), BAD[1]]
    file.write_text("\n".join(lines))
    told: list[int] = []
    found = list(VendorFile(file, format).read(raw=True, on_bad=lambda number, _: told.append(number)))
    assert [x.value.decode() for x in found] == lines
    assert [x.session for x in found] == [None, None, None, "call", "call"]
    assert told == []


def test_a_reader_that_fails_ends_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in one message is one bad line."""
    values = [json.dumps({"text": text}) for text in ("we met", "boom", "anna")]
    (tmp_path / "call.jsonl").write_text("\n".join(values))
    plain = FORMATS["vosk"].read

    def fail(value: object, context: object) -> object:
        if "boom" in repr(value):
            raise KeyError("a fault of ours")
        return plain(value, context)  # type: ignore[arg-type]

    monkeypatch.setitem(FORMATS, "vosk", replace(FORMATS["vosk"], read=fail))
    told: list[tuple[int, str]] = []
    found = list(
        VendorFile(tmp_path / "call.jsonl", "vosk").read(on_bad=lambda number, error: told.append((number, error)))
    )
    assert [x.message.text for x in found if isinstance(x.message, Update)] == ["we met", "anna"]
    assert told == [(2, "reader_failed: the reader of vosk failed on it (KeyError): please report it")]


def test_a_format_that_is_unknown_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="deepgran"):
        make_reader("deepgran", lambda session: {})
    file = str(write(tmp_path / "call.jsonl", *CALL))
    for arguments in (["tag", "--format", "x"], ["serve", "--format", "x"], ["replay", file, "--format", "x"]):
        assert main(arguments) == 2
        line = capsys.readouterr().err
        assert line.startswith("hearken: --format (HEARKEN_FORMAT): 'x' is unknown: use auto, normal,")
        assert line.count("\n") == 1
    assert main(["tag", "--format", "vosk", "--input", "text"]) == 2
