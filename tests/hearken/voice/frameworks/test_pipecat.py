"""The processor in pipelines of the released Pipecat, with its own test transport and the events of recognisers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("pipecat", reason="make test-voice installs it")

from pipecat.frames.frames import (
    CancelFrame,
    EagerTranscriptionFrame,
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    TextFrame,
    TranscriptionFrame,
    TranslationFrame,
    UserBackchannelFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies

from hearken.voice.pipecat import HearkenLabelsFrame, HearkenProcessor
from hearken.voice.redactor import HIDDEN
from tests.hearken.voice.sources import FakeSource, cover

WHEN = "2026-01-01T00:00:00Z"


def interim(text: str, user: str = "", **more: Any) -> InterimTranscriptionFrame:
    return InterimTranscriptionFrame(text, user, WHEN, **more)


def final(text: str, user: str = "", **more: Any) -> TranscriptionFrame:
    return TranscriptionFrame(text, user, WHEN, **more)


async def play(processor: FrameProcessor, *frames: Frame, **options: Any) -> tuple[Sequence[Frame], Sequence[Frame]]:
    async with asyncio.timeout(20):
        down, up = await run_test(processor, frames_to_send=frames, **options)
    return down, up


def texts(frames: Sequence[Frame]) -> list[str]:
    """Texts of what is no label, in order."""
    return [x.text for x in frames if hasattr(x, "text") and not isinstance(x, HearkenLabelsFrame)]


def labels(frames: Sequence[Frame]) -> list[HearkenLabelsFrame]:
    return [x for x in frames if isinstance(x, HearkenLabelsFrame)]


async def test_transcriptions_go_on_as_they_are_and_labels_name_them() -> None:
    source = FakeSource()
    frames = [interim("call an"), interim("call anna"), interim("call anna"), final("Call Anna."), TextFrame("other")]
    down, _ = await play(HearkenProcessor(source), *frames)
    passed = [x for x in down if not isinstance(x, HearkenLabelsFrame)]
    assert all(a is b for a, b in zip(passed, frames, strict=True))
    [last] = [x for x in labels(down) if x.revision.final]
    assert (last.text, last.frame_id) == ("Call Anna.", frames[3].id)
    assert [(x.label, x.text) for x in last.revision.spans] == [("person", "Anna")]
    assert source.ended == ["voice"]
    assert source.opened == 1
    assert source.closed == 0  # it is its maker's


@pytest.mark.parametrize("redact", [False, True])
async def test_a_barge_in_loses_no_text_while_labels_take_long(redact: bool) -> None:
    source = FakeSource(seconds=0.15)
    said = [interim("call anna"), final("call anna now"), final("in rome")]
    down, _ = await play(HearkenProcessor(source, redact=redact), *said, SleepFrame(0.05), InterruptionFrame())
    shown = [cover(x.text) if redact else x.text for x in said]
    assert texts(down) == shown
    assert {x.revision.segment for x in labels(down) if x.revision.final} == {"1", "2"}


async def test_an_interruption_goes_on_at_once_and_its_segment_stays_open() -> None:
    source = FakeSource(seconds=0.1)
    before, after = interim("call"), final("call anna")
    down, _ = await play(HearkenProcessor(source, redact=True), before, SleepFrame(0.02), InterruptionFrame(), after)
    kinds = [type(x) for x in down if not isinstance(x, HearkenLabelsFrame)]
    assert kinds == [InterruptionFrame, InterimTranscriptionFrame, TranscriptionFrame]
    assert {x.revision.segment for x in labels(down)} == {"1"}


async def test_redacted_frames_keep_their_place_and_hold_nothing_of_the_text() -> None:
    raw = {"channel": "anna"}
    said = [
        interim("call anna", "u", result=raw),
        EagerTranscriptionFrame("call anna", "u", WHEN, result=raw),
        TextFrame("between"),
        final("call anna", "u", result=raw, finalized=True),
        TranslationFrame("ruf anna", "u", WHEN),
        UserBackchannelFrame("anna mhm", "u", WHEN),
    ]
    down, _ = await play(HearkenProcessor(FakeSource(seconds=0.02), redact=True), *said)
    passed = [x for x in down if not isinstance(x, HearkenLabelsFrame)]
    assert texts(passed) == [
        "call [person]",
        "call [person]",
        "between",
        "call [person]",
        "ruf [person]",
        "[person] mhm",
    ]
    assert [type(x) for x in passed] == [type(x) for x in said]
    assert {x.id for x in passed} & {x.id for x in said} == {said[2].id}  # observers handle an id once
    assert {x.frame_id for x in labels(down)} <= {x.id for x in passed}
    assert passed[3].finalized
    assert "anna" not in str([vars(x) for x in passed])
    assert said[0].text == "call anna"
    assert said[0].result == raw  # the recogniser's own
    assert [x.text for x in labels(down)] == [""] * len(labels(down))


async def test_deltas_are_one_text_and_redacted_as_one() -> None:
    def delta(text: str) -> InterimTranscriptionFrame:
        return interim(text, result={"type": "conversation.item.input_audio_transcription.delta", "item_id": "i"})

    said = [delta("call"), delta(" an"), delta("na"), final("Call Anna.", result={"item_id": "i"})]
    source = FakeSource()
    down, _ = await play(HearkenProcessor(source), *said)
    assert texts(down) == ["call", " an", "na", "Call Anna."]
    assert source.sent[-1].text == "Call Anna."
    assert {x.segment for x in source.sent} == {"1"}
    down, _ = await play(HearkenProcessor(FakeSource(), redact=True), *said)
    assert texts(down) == ["call", "call an", "call [person]", "Call [person]."]


async def test_users_are_sessions_of_their_own_and_open_segments_are_closed_at_the_end() -> None:
    source = FakeSource()
    said = [interim("hi anna", "a"), interim("in rome", "b"), UserStoppedSpeakingFrame(), final("hi anna", "a")]
    down, _ = await play(HearkenProcessor(source, session="call"), *said)
    closed = {(x.revision.session, x.text) for x in labels(down) if x.revision.final}
    assert closed == {("call/a", "hi anna"), ("call/b", "in rome")}
    assert sorted(source.ended) == ["call/a", "call/b"]


async def test_text_flows_while_labelling_fails_and_one_error_says_so() -> None:
    source = FakeSource(fails=lambda: ConnectionError("away"))
    said = [final(str(number)) for number in range(20)]
    down, up = await play(HearkenProcessor(source), *said)
    assert texts(down) == [x.text for x in said]
    assert len([x for x in up if isinstance(x, ErrorFrame)]) == 1
    down, up = await play(HearkenProcessor(source, redact=True, labels=False), *said)
    assert texts(down) == [HIDDEN] * 20
    assert len([x for x in up if isinstance(x, ErrorFrame)]) == 1
    assert source.redacted == ["0"]  # the others did not wait for a source that is away


async def test_transcripts_that_come_from_below_are_labelled_where_they_go() -> None:
    said = final("call anna")
    _, up = await play(HearkenProcessor(FakeSource()), said, frames_to_send_direction=FrameDirection.UPSTREAM)
    assert said in up


async def test_cancelling_drops_what_is_under_way() -> None:
    source = FakeSource(hold=asyncio.Event())
    processor = HearkenProcessor(source, redact=True)
    down, _ = await play(processor, final("call anna"), SleepFrame(0.05), CancelFrame(), send_end_frame=False)
    assert texts(down) == []
    assert source.ended == ["voice"]


async def test_the_language_model_gets_redacted_text() -> None:
    context = LLMContext()
    turns = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
    aggregator = LLMContextAggregatorPair(context, user_params=turns).user()
    said = [
        UserStartedSpeakingFrame(),
        interim("call"),
        final("call anna"),
        SleepFrame(0.3),
        UserStoppedSpeakingFrame(),
    ]
    pipeline = Pipeline([HearkenProcessor(FakeSource(seconds=0.02), redact=True), aggregator])
    down, _ = await play(pipeline, *said, SleepFrame(0.3))
    assert [x["content"] for x in context.get_messages()] == ["call [person]"]
    assert len([x for x in labels(down) if x.revision.final]) == 1  # it lets other frames through


async def test_it_stands_among_other_processors() -> None:
    class Slow(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            await asyncio.sleep(0.01)
            await self.push_frame(frame, direction)

    said = [interim("call"), final("call anna"), final("in rome")]
    down, _ = await play(Pipeline([Slow(), HearkenProcessor(FakeSource(seconds=0.02)), Slow()]), *said)
    assert texts(down) == [x.text for x in said]
    assert len([x for x in labels(down) if x.revision.final]) == 2
