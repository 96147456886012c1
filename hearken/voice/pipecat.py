"""Pipecat: a frame processor that labels, and on request redacts, what users say.

    labels = HearkenProcessor(hearken.load("english", taggers=["ner"]))
    pipeline = Pipeline([transport.input(), stt, labels, user_aggregator, llm, tts, transport.output()])

It stands between the recogniser and the user's aggregator, which consumes transcriptions. Every frame goes on at once
and unchanged; labels follow it as `HearkenLabelsFrame`. With `redact=True` transcriptions wait for their redaction, in
order, and frames with redacted text take their place.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pipecat.frames.frames import (
    CancelFrame,
    DataFrame,
    EagerTranscriptionFrame,
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    SystemFrame,
    TranscriptionFrame,
    TranslationFrame,
    UserBackchannelFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.utils.utils import obj_count, obj_id

from hearken.messages import Revision
from hearken.model import Model
from hearken.voice.label_source import LabelSource
from hearken.voice.labeller import LiveLabeller, SegmentLabels
from hearken.voice.redactor import HIDDEN, OnFailure, TextRedactor
from hearken.voice.sources import make_source
from hearken.voice.transcripts import Heard, HeardKind

_KINDS: tuple[tuple[type[Frame], HeardKind], ...] = (
    (InterimTranscriptionFrame, "interim"),
    (TranscriptionFrame, "final"),
    (EagerTranscriptionFrame, "preflight"),
    (UserBackchannelFrame, "final"),
)
_TURN_FRAMES = (UserStartedSpeakingFrame, UserStoppedSpeakingFrame, VADUserStartedSpeakingFrame)


@dataclass
class HearkenLabelsFrame(DataFrame):
    """Labels of one segment, as they stand for one tagger. It comes after the frame with its text, or before it.

    Attributes:
        revision: the labels, and what has changed since the revision before (docs/messages.md).
        text: the text that they are about; empty if texts are redacted.
        user_id: of the transcription.
        frame_id: `id` of the transcription that they answer, as it goes on; None if the call's end has closed it.
    """

    revision: Revision
    text: str = ""
    user_id: str = ""
    frame_id: int | None = None
    interruptible: bool = field(default=False, init=False)


class _HeldFrame(NamedTuple):
    frame: Frame
    direction: FrameDirection
    text: str | None
    """What the frame is to have redacted; None: it only keeps its place."""


class HearkenProcessor(FrameProcessor):
    """Labels what users say; with `redact`, covers it in the frames that go on.

    It has no queue of its own: frames are handled where they come from, and nothing in that waits for labels, so that
    an interruption finds no text here that it could drop. Failures are `ErrorFrame`s upstream, one until labelling
    works again.

    Args:
        source: `hearken.load(...)`; the address of a server; or a source (`hearken.voice.LabelSource`), which is yours
            to close.
        labels: whether labels are pushed.
        redact: whether transcriptions are redacted; their `result`, which holds the same words, becomes None, and
            deltas become the whole text so far.
        session: name of the sessions; a user's id is added.
        redact_seconds: limit of the time that a text is held back.
        on_failure: what becomes of a text that could not be redacted in time: "hide" (it is replaced) or "pass".
        finish_seconds: limit of the time that the end waits for labels.
        name: of the processor.
    """

    def __init__(
        self,
        source: Model | str | LabelSource,
        *,
        labels: bool = True,
        redact: bool = False,
        session: str = "voice",
        redact_seconds: float = 1.0,
        on_failure: OnFailure = "hide",
        finish_seconds: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, enable_direct_mode=True)
        self._labels = labels
        self._source = make_source(source, redact)
        self._owns_source = self._source is not source
        self._labeller = LiveLabeller(
            self._source,
            self._push_labels,
            self._push_failure,
            session=session,
            show_text=not redact,
            spawn=self._spawn,
        )
        self._redactor = (
            TextRedactor(self._source, self._push_failure, seconds=redact_seconds, on_failure=on_failure)
            if redact
            else None
        )
        self._finish_seconds = finish_seconds
        self._held: deque[_HeldFrame] = deque()
        self._pushing: asyncio.Task[None] | None = None

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Get ready: the pipeline starts when the taggers are warm, or the server was tried."""
        await super().setup(setup)
        await self._source.open()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass a frame on; a transcription is labelled behind it."""
        await super().process_frame(frame, direction)
        heard = read_frame(frame, direction)
        text = self._text_to_redact(frame, heard)
        if text is not None:
            frame = replace_text(frame, HIDDEN)
            heard = heard and replace(heard, source=(frame.id, direction))
        try:
            await self._pass_on(frame, direction, text)
        finally:  # even if an interruption cancels the neighbour's task, in which this runs
            if heard is not None and self._labels:
                self._labeller.hear(heard)
            elif heard is not None:
                self._labeller.tracker.read(heard)

    async def _pass_on(self, frame: Frame, direction: FrameDirection, text: str | None) -> None:
        if isinstance(frame, EndFrame):
            await self._finish()
        elif isinstance(frame, CancelFrame):
            await self._drop()
        elif isinstance(frame, InterruptionFrame):
            self._drop_interruptible()
        elif isinstance(frame, _TURN_FRAMES):
            self._labeller.tracker.end_turn()
        if isinstance(frame, SystemFrame) or (text is None and self._pushing is None):
            await self.push_frame(frame, direction)
        else:
            self._held.append(_HeldFrame(frame, direction, text))
            if self._pushing is None:
                self._pushing = self._spawn(self._push_held())

    async def cleanup(self) -> None:
        """Free what is under way, at the end of the pipeline."""
        await super().cleanup()
        await self._drop()
        if self._owns_source:
            await self._source.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = self.create_task(work, "hearken")
        return task

    # Labels

    async def _push_labels(self, labels: SegmentLabels) -> None:
        origin = labels.heard.source
        frame_id, direction = origin if isinstance(origin, tuple) else (None, FrameDirection.DOWNSTREAM)
        frame = HearkenLabelsFrame(labels.revision, labels.text, labels.heard.speaker, frame_id)
        await self.push_frame(frame, direction)

    async def _push_failure(self, error: Exception) -> None:
        await self.push_error(f"Hearken: {type(error).__name__}; text goes on without labels", exception=error)

    async def _finish(self) -> None:
        """Push what is held, and wait shortly for the labels that are under way."""
        if self._pushing is not None:
            await asyncio.wait([self._pushing])
        if self._labels:
            await self._labeller.finish(self._finish_seconds)

    async def _drop(self) -> None:
        self._held.clear()
        if self._pushing is not None:
            await self.cancel_task(self._pushing)
        await self._labeller.drop()

    # Redaction

    def _text_to_redact(self, frame: Frame, heard: Heard | None) -> str | None:
        if self._redactor is None:
            return None
        if heard is not None:
            return self._labeller.tracker.text_of(heard)
        return frame.text if isinstance(frame, TranslationFrame) else None

    def _drop_interruptible(self) -> None:
        """Drop what an interruption drops, except what users have said."""
        kept = [x for x in self._held if x.text is not None or not x.frame.interruptible]
        self._held.clear()
        self._held.extend(kept)

    async def _push_held(self) -> None:
        assert self._redactor is not None, "frames are held to be redacted"
        try:
            while self._held:
                frame, direction, text = self._held.popleft()
                if text is not None:
                    frame.text = await self._redactor.redact(text)
                await self.push_frame(frame, direction)
        finally:
            self._pushing = None


def read_frame(frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> Heard | None:
    """Read a frame of a recogniser; None if it is no transcription of what a user says."""
    kind = next((kind for type, kind in _KINDS if isinstance(frame, type)), None)
    if kind is None or not isinstance(frame.text, str):
        return None
    result = getattr(frame, "result", None)
    name, item = _get(result, "type"), _get(result, "item_id")
    if kind == "interim" and name.endswith(".delta"):
        kind = "delta"
    return Heard(kind, frame.text, str(frame.user_id or ""), item, source=(frame.id, direction))


def _get(result: Any, name: str) -> str:
    """Return a field of what the vendor sent, a dict or an object; empty if it is no string."""
    value = result.get(name) if isinstance(result, dict) else getattr(result, name, None)
    return value if isinstance(value, str) else ""


def replace_text(frame: Frame, text: str) -> Frame:
    """Copy a transcription with another text; the recogniser may keep the old one.

    The copy has an id of its own: observers handle a frame when its id is pushed first, and that was with the text.
    """
    new = copy.copy(frame)
    new.id, new.name = obj_id(), f"{type(frame).__name__}#{obj_count(frame)}"
    new.text, new.metadata = text, dict(frame.metadata)
    if hasattr(new, "result"):
        new.result = None
    return new
