"""Wrapped recogniser and wrapped node with the released LiveKit Agents, and a recogniser that plays a script."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="make test-voice installs it")

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions
from livekit.agents.stt import (
    STT,
    FallbackAdapter,
    RecognitionUsage,
    RecognizeStream,
    SpeechData,
    SpeechEvent,
    SpeechEventType,
    STTCapabilities,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils.misc import is_given

from hearken.voice.labeller import SegmentLabels
from hearken.voice.livekit import HearkenSTT, label_events
from tests.hearken.voice.sources import FakeSource

Step = SpeechEvent | BaseException | float


def said(kind: str, text: str, **more: Any) -> SpeechEvent:
    return SpeechEvent(SpeechEventType(f"{kind}_transcript"), alternatives=[SpeechData("en", text, **more)])


USAGE = SpeechEvent(SpeechEventType.RECOGNITION_USAGE, recognition_usage=RecognitionUsage(audio_duration=1.0))
SCRIPT: list[Step] = [
    SpeechEvent(SpeechEventType.START_OF_SPEECH),
    said("interim", "call an"),
    said("preflight", "call anna"),
    SpeechEvent(SpeechEventType.END_OF_SPEECH),
    said("final", "Call Anna."),
    USAGE,
]


class ScriptedSTT(STT):
    """Plays one script a connection."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        super().__init__(capabilities=STTCapabilities(streaming=True, interim_results=True, manual_flush=True))
        self.scripts = list(scripts)
        self.frames = self.flushes = self.closed = self.warmed = 0
        self.offsets: list[float] = []
        self.keyterms: list[str] = []

    @property
    def model(self) -> str:
        return "scripted"

    def prewarm(self) -> None:
        self.warmed += 1

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        self.keyterms = keyterms

    def update_options(self, value: int) -> int:
        return value + 1

    async def _recognize_impl(self, buffer: Any, *, language: Any = NOT_GIVEN, conn_options: Any) -> SpeechEvent:
        return said("final", "call anna")

    def stream(self, *, language: Any = NOT_GIVEN, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> RecognizeStream:
        return ScriptedStream(stt=self, conn_options=conn_options)

    async def aclose(self) -> None:
        self.closed += 1


class ScriptedStream(RecognizeStream):
    async def _run(self) -> None:
        stt: ScriptedSTT = self._stt  # type: ignore[assignment]
        stt.offsets.append(self.start_time_offset)
        for step in stt.scripts.pop(0):
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                self._event_ch.send_nowait(step)
        async for item in self._input_ch:
            stt.frames += isinstance(item, rtc.AudioFrame)
            stt.flushes += isinstance(item, self._FlushSentinel)


async def collect(stream: RecognizeStream, count: int) -> list[SpeechEvent]:
    async with asyncio.timeout(20):
        return [await anext(stream) for _ in range(count)]


def frame() -> rtc.AudioFrame:
    return rtc.AudioFrame(bytes(320), 16000, 1, 160)


async def test_a_wrapped_recogniser_gives_its_own_events_and_labels_beside_them() -> None:
    labels: list[SegmentLabels] = []
    source, inner = FakeSource(), ScriptedSTT(SCRIPT)
    stt = HearkenSTT(inner, source, labels.append)
    metrics: list[Any] = []
    stt.on("metrics_collected", metrics.append)
    async with asyncio.timeout(20):
        stream = stt.stream()
        stream.start_time_offset = 7.0
        stream.push_frame(frame())
        stream.flush()
        stream.push_frame(frame())
        stream.end_input()
        events = [x async for x in stream]
        await stream.aclose()
    assert all(a is b for a, b in zip(events, SCRIPT, strict=True))
    assert (inner.frames, inner.flushes) == (2, 2)
    assert inner.offsets[0] == pytest.approx(7.0, abs=1.0)
    assert len(metrics) == 1  # usage is counted once
    [last] = [x for x in labels if x.revision.final]
    assert (last.text, last.heard.source) == ("Call Anna.", SCRIPT[4])
    assert source.ended == ["voice"]
    await stt.aclose()
    assert inner.closed == 1


async def test_what_is_the_recognisers_stays_the_recognisers() -> None:
    inner = ScriptedSTT()
    stt = HearkenSTT(inner, FakeSource())
    stt.prewarm()
    stt._update_session_keyterms(["anna"])
    assert stt.capabilities is inner.capabilities
    assert (stt.model, stt.provider, stt.label) == (inner.model, inner.provider, inner.label)
    assert (inner.warmed, inner.keyterms, stt.update_options(1)) == (1, ["anna"], 2)
    with pytest.raises(AttributeError):
        stt.nothing_of_the_kind  # noqa: B018


async def test_the_recognisers_failures_are_its_own_and_are_tried_again_by_it_alone() -> None:
    failure = APIConnectionError("gone")
    inner = ScriptedSTT([said("interim", "call an"), failure], [said("interim", "call an"), said("final", "call anna")])
    labels: list[SegmentLabels] = []
    stt = HearkenSTT(inner, FakeSource(), labels.append)
    errors: list[Any] = []
    stt.on("error", errors.append)
    options = APIConnectOptions(max_retry=1, retry_interval=0.01, timeout=5.0)
    stream = stt.stream(conn_options=options)
    events = await collect(stream, 3)
    await stream.aclose()
    assert [x.alternatives[0].text for x in events] == ["call an", "call an", "call anna"]
    assert [x.recoverable for x in errors] == [True]
    assert {x.revision.segment for x in labels} <= {"1"}
    gone = HearkenSTT(ScriptedSTT([failure], [failure]), FakeSource())
    gone.on("error", errors.append)
    with pytest.raises(APIConnectionError):
        await collect(gone.stream(conn_options=options), 1)
    assert [x.recoverable for x in errors] == [True, True, False]


async def test_it_stands_in_a_fallback_and_the_next_recogniser_goes_on() -> None:
    labels: list[SegmentLabels] = []
    gone = ScriptedSTT([said("interim", "call an"), APIConnectionError("gone", retryable=False)], [60.0])
    wrapped = [HearkenSTT(x, FakeSource(), labels.append) for x in (gone, ScriptedSTT(SCRIPT))]
    adapter = FallbackAdapter([*wrapped], max_retry_per_stt=0)
    stream = adapter.stream()
    events = await collect(stream, 7)
    async with asyncio.timeout(10):
        await stream.aclose()
        await adapter.aclose()
    assert [x.alternatives[0].text for x in events if x.alternatives] == [
        "call an",
        "call an",
        "call anna",
        "Call Anna.",
    ]
    assert [x.text for x in labels if x.revision.final][-1] == "Call Anna."


async def test_closing_a_stream_ends_it_at_once() -> None:
    source = FakeSource(hold=asyncio.Event())
    stt = HearkenSTT(ScriptedSTT([said("interim", "call"), 60.0]), source, lambda _: None)
    stream = stt.stream()
    await collect(stream, 1)
    async with asyncio.timeout(5):
        await stream.aclose()
    assert source.ended == ["voice"]


async def test_redaction_is_the_same_in_interim_preflight_and_final() -> None:
    script = [
        said(kind, "call anna", words=["anna"], source_texts=["anna"]) for kind in ("interim", "preflight", "final")
    ]
    labels: list[SegmentLabels] = []
    stt = HearkenSTT(ScriptedSTT(script), FakeSource(), labels.append, redact=True)
    stream = stt.stream()
    events = await collect(stream, 3)
    await stream.aclose()
    assert {x.alternatives[0].text for x in events} == {"call [person]"}
    assert "anna" not in str(events)
    assert [x.created_at for x in events] == [x.created_at for x in script]
    assert not any(x.text for x in labels)
    assert is_given(events[0].alternatives[0].language)


async def test_recordings_and_later_streams_are_sessions_of_their_own() -> None:
    source = FakeSource()
    stt = HearkenSTT(ScriptedSTT([said("final", "one")], [said("final", "two")]), source, lambda _: None, redact=True)
    for _ in range(2):
        stream = stt.stream()
        await collect(stream, 1)
        await asyncio.sleep(0.02)
        await stream.aclose()
    event = await stt.recognize([frame()])
    assert event.alternatives[0].text == "call [person]"
    await stt.aclose()
    assert [(x.session, x.text) for x in source.sent] == [
        ("voice", "one"),
        ("voice-2", "two"),
        ("voice-3", "call anna"),
    ]


async def test_a_node_passes_on_what_its_recogniser_gives() -> None:
    async def node() -> AsyncIterator[SpeechEvent]:
        for event in SCRIPT:
            assert isinstance(event, SpeechEvent)
            yield event
        raise APIConnectionError("the recogniser's own")

    labels: list[SegmentLabels] = []
    events = label_events(node(), FakeSource(), labels.append)
    passed = [await anext(events) for _ in SCRIPT]
    assert all(a is b for a, b in zip(passed, SCRIPT, strict=True))
    with pytest.raises(APIConnectionError):
        await anext(events)
