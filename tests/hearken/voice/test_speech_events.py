"""Events of LiveKit Agents, whose types are given here by their shape (`test_livekit.py` has the released ones)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hearken.voice.labeller import SegmentLabels
from hearken.voice.speech_events import SpeechLabeller, label_speech_events
from tests.hearken.voice.sources import FakeSource


@dataclass
class Data:
    text: str
    speaker_id: str | None = None
    start_time: float = 0.0
    words: list[str] | None = None
    source_texts: list[str] | None = None
    target_texts: list[str] | None = None
    metadata: dict[str, Any] | None = None


@dataclass
class Event:
    type: str
    alternatives: list[Data] = field(default_factory=list)
    created_at: float = 5.0


def said(kind: str, *texts: str, **more: Any) -> Event:
    return Event(f"{kind}_transcript", [Data(x, **more) for x in texts])


async def play(events: list[Event | BaseException]) -> AsyncIterator[Event]:
    for event in events:
        if isinstance(event, BaseException):
            raise event
        yield event
        await asyncio.sleep(0)


SCRIPT = [
    Event("start_of_speech"),
    said("interim", "call an"),
    said("interim", "call an"),
    said("preflight", "call anna"),
    said("interim", "call anna now", "other"),
    Event("end_of_speech"),
    said("final", "Call Anna now.", start_time=1.5),
    said("final", ""),
    Event("final_transcript"),
    Event("recognition_usage"),
    said("final", "rome"),
]


async def test_events_go_on_as_they_are_and_labels_follow() -> None:
    labels: list[SegmentLabels] = []
    source = FakeSource()
    labeller = SpeechLabeller(source, labels.append)
    passed = [x async for x in label_speech_events(play([*SCRIPT]), labeller, source)]
    assert all(a is b for a, b in zip(passed, SCRIPT, strict=True))
    finals = [x for x in labels if x.revision.final]
    assert [x.text for x in finals] == ["Call Anna now.", "rome"]
    assert finals[0].heard.source is SCRIPT[6]
    assert [x.time for x in source.sent if x.final] == [1.5, None]
    assert source.closed == 1


async def test_the_same_text_is_redacted_in_the_same_way_in_every_event() -> None:
    source = FakeSource()
    more = {"words": ["anna"], "source_texts": ["anna"], "target_texts": ["rome"], "metadata": {"x": "anna"}}
    script = [said(kind, "anna", "rome", **more) for kind in ("interim", "preflight", "final")]
    passed = [x async for x in label_speech_events(play([*script]), SpeechLabeller(source, redact=True))]
    assert {x.alternatives[0].text for x in passed} == {"[person]"}
    for event, before in zip(passed, script, strict=True):
        assert "anna" not in str(event)
        assert "rome" not in str(event)
        assert event.created_at == before.created_at
        assert event.alternatives[0].source_texts == ["[person]"]
        assert before.alternatives[0].text == "anna"  # the recogniser's own object is untouched
    assert source.sent == []  # nobody asked for labels


@pytest.mark.parametrize("error", [RuntimeError("the recogniser's"), asyncio.CancelledError()])
async def test_only_what_the_recogniser_raises_leaves_the_node(error: BaseException) -> None:
    source = FakeSource(fails=lambda: RuntimeError("ours"))
    labeller = SpeechLabeller(source, lambda _: 1 / 0, redact=True, on_failure="pass")  # type: ignore
    events = label_speech_events(play([said("interim", "anna"), error]), labeller)
    assert (await anext(events)).alternatives[0].text == "anna"
    with pytest.raises(type(error)):
        await anext(events)


async def test_a_callback_that_fails_or_waits_holds_nothing_up() -> None:
    source, waiting = FakeSource(), asyncio.Event()

    async def wait(_: SegmentLabels) -> None:
        await waiting.wait()

    labeller = SpeechLabeller(source, wait)
    events = label_speech_events(play([*SCRIPT]), labeller)
    async with asyncio.timeout(5):
        for _ in SCRIPT:
            await anext(events)
    await events.aclose()
    assert source.ended == ["voice"]
    failing = SpeechLabeller(FakeSource(), lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    assert len([x async for x in label_speech_events(play([*SCRIPT]), failing)]) == len(SCRIPT)
