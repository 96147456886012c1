"""The golden streams are read as they were recorded; the client for TypeScript is tested with the same files."""

import json
from typing import Any

import msgspec
import pytest

from hearken import LiveState, RedactedDelete, RedactedEnd, RedactedUpdate, Revision, ServerError, apply
from hearken.messages import Event, Message
from hearken.resume import ResumableStream
from hearken.state import to_plain
from tests.hearken.golden import Json, load, names, plain

REDACTED = RedactedUpdate | RedactedDelete | RedactedEnd


def decode(value: Json) -> Any:
    kinds = {"revision": Revision, "error": ServerError}
    return msgspec.convert(value, kinds.get(value["type"], REDACTED if "rev" in value else Message))


def bare(value: Any) -> Any:
    """What is left without what is empty, false, 0 or null, as JSON."""
    if isinstance(value, dict):
        kept = {name: bare(x) for name, x in value.items()}
        return {name: x for name, x in kept.items() if x not in (None, False, 0, "", [], {})}
    return [bare(x) for x in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", names("events"))
def test_the_reducer(name: str) -> None:
    golden, state = load(name), LiveState()
    for step in golden["steps"]:
        event: Event = decode(step["event"])
        before, state = state, apply(state, event, step.get("offset"))
        session = state.session(event.session)
        seen = {"text": session.text, "settled": session.settled_text(), "redacted": session.redacted_text}
        assert (state is before, seen) == (step.get("repeat", False), step["seen"])
        for segment in session.segments.values():
            text = segment.text
            assert text is None or all(x.text in ("", text[x.start : x.end]) for x in segment.spans())
    assert bare(json.loads(json.dumps(to_plain(state)))) == bare(golden["state"])


@pytest.mark.parametrize("name", names("breaks"))
def test_the_resumable_stream(name: str) -> None:
    golden = load(name)
    stream = ResumableStream(golden["redacted"])
    for step in golden["steps"]:
        made: Any
        if "send" in step:
            made = [stream.send(decode(step["send"]))]
        elif "receive" in step:
            made = [stream.receive(decode(step["receive"]))]
        else:
            made = stream.resume() if "resume" in step else [stream.finish()]
        given = [json.loads(x) if isinstance(x, bytes) else plain(x) for x in made if x is not None]
        assert bare(given) == bare(step["gives"])
        if "receive" not in step:
            assert bare([plain(x) for x in stream.take_answers()]) == bare(step.get("answers", []))
    assert bare(json.loads(json.dumps(to_plain(stream.state)))) == bare(golden["state"])


def test_the_streams_have_what_they_are_for() -> None:
    """Repeats, rewrites that wait for their answers, characters beyond the first plane, and breaks with news."""
    repeats = [x for x in load("at-least-once")["steps"] if x.get("repeat")]
    assert len(repeats) >= 6
    late = load("answered-late")["steps"]
    assert any(x["event"]["type"] == "revision" and x["seen"]["settled"] != x["seen"]["text"] for x in late)
    assert any("\U0001f399" in x["seen"]["text"] for x in late)
    assert len(names("events")) >= 8
    for name in names("breaks"):
        steps = load(name)["steps"]
        assert len([x for x in steps if "resume" in x]) >= 3
        assert [x for x in steps if "receive" in x and not x["gives"]]
