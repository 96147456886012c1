"""The golden streams are what today's code makes of them; the client for TypeScript is tested with the same files."""

import json

import msgspec
import pytest

from hearken import LiveState, RedactedDelete, RedactedEnd, RedactedUpdate, Revision, apply
from hearken.messages import Event, Message
from tests.hearken.golden import BREAKS, FOLDER, STREAMS, Json, build, plain, write

BUILT = build()
REDACTED = RedactedUpdate | RedactedDelete | RedactedEnd


def decode(value: Json) -> Event:
    kind = Revision if value["type"] == "revision" else REDACTED if "rev" in value else Message
    return msgspec.convert(value, kind)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("name", [*STREAMS, *BREAKS])
def test_the_file_is_what_the_code_makes(name: str) -> None:
    """After a change that is meant: `python -m tests.hearken.golden`, and look at the difference."""
    assert (FOLDER / f"{name}.json").read_text("utf-8") == write(BUILT[name])


def test_there_is_no_other_file() -> None:
    assert {x.stem for x in FOLDER.iterdir()} == {*STREAMS, *BREAKS}


@pytest.mark.parametrize("name", STREAMS)
def test_reading_the_file_gives_its_state(name: str) -> None:
    golden = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    state = LiveState()
    for step in golden["steps"]:
        state = apply(state, decode(step["event"]), step.get("offset"))
        for session in state.sessions.values():
            for segment in session.segments.values():
                text = segment.text
                assert text is None or all(
                    text[x.start : x.end] in (x.text, text) or not x.text for x in segment.spans()
                )
    assert json.loads(json.dumps(plain(state))) == golden["state"]


def test_the_streams_have_what_they_are_for() -> None:
    """Repeats, rewrites that wait for their answers, characters beyond the first plane, and breaks with news."""
    repeats = [x for x in BUILT["at-least-once"]["steps"] if x.get("repeat")]
    assert len(repeats) >= 6
    late = BUILT["answered-late"]
    assert any(x["event"]["type"] == "revision" and x["seen"]["settled"] != x["seen"]["text"] for x in late["steps"])
    assert any("🎙" in x["seen"]["text"] for x in late["steps"])
    for name in BREAKS:
        resumed = [x for x in BUILT[name]["steps"] if "resume" in x]
        dropped = [x for x in BUILT[name]["steps"] if "receive" in x and not x["gives"]]
        assert len(resumed) >= 3
        assert dropped
