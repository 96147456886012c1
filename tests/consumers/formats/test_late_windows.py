"""WhisperLive: an interim segment that comes after its audio was completed says nothing."""

import json
from pathlib import Path

from consumers.recordings.vendor_file import VendorFile
from stream.messages.types import Update


def window(*segments: tuple[float, float, str, bool]) -> dict:
    said = [{"start": f"{a:.3f}", "end": f"{b:.3f}", "text": text, "completed": done} for a, b, text, done in segments]
    return {"uid": "c0ffee", "segments": said}


def told(path: Path, *values: dict) -> list[tuple[str, bool]]:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    messages = [x.message for x in VendorFile(path, "whisperlive").read()]
    return [(x.text, x.final) for x in messages if isinstance(x, Update)]


def test_an_interim_segment_within_a_completed_one_is_late(tmp_path: Path) -> None:
    completed = window((0.0, 3.0, "we met anna rice", True))
    late, new = window((1.0, 2.5, "met anna", False)), window((3.0, 4.0, "in rome", False))
    said = told(tmp_path / "call.jsonl", completed, late, new)
    assert said == [("we met anna rice", True), ("in rome", False)]
