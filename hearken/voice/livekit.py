"""LiveKit Agents: labels, and on request redaction, of what a recogniser hears.

    session = AgentSession(stt=HearkenSTT(deepgram.STT(), hearken.load("english", taggers=["ner"]), on_labels), ...)

or, for one agent,

    class Reception(Agent):
        async def stt_node(self, audio, model_settings):
            events = Agent.default.stt_node(self, audio, model_settings)
            async for event in label_events(events, tagger, on_labels):
                yield event

Events go on at once and are the recogniser's own objects; labels come to `on_labels`. With `redact=True` a transcript
waits for its redaction, and an event with redacted text takes its place. A session keeps a recogniser's connection when
agents hand over to each other, unless they override `stt_node`: the wrapped recogniser is the better of the two.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from livekit.agents.stt import STT, RecognizeStream, SpeechEvent
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import AudioBuffer, aio

from hearken.model import Model
from hearken.voice.label_source import LabelSource
from hearken.voice.redactor import OnFailure
from hearken.voice.sources import make_source
from hearken.voice.speech_events import LabelsCallback, SpeechLabeller, label_speech_events

_ONE_TRY = APIConnectOptions(max_retry=0, timeout=DEFAULT_API_CONNECT_OPTIONS.timeout)
"""Retries are the wrapped recogniser's: two layers of them would multiply."""


def label_events(
    events: AsyncIterable[SpeechEvent],
    source: Model | str | LabelSource,
    on_labels: LabelsCallback | None = None,
    *,
    redact: bool = False,
    session: str = "voice",
    redact_seconds: float = 1.0,
    on_failure: OnFailure = "hide",
) -> AsyncGenerator[SpeechEvent, None]:
    """Label the events of `Agent.default.stt_node`.

    Args:
        events: of one participant. What they raise is passed on; nothing of Hearken is raised.
        source: `hearken.load(...)`; the address of a server; or a source (`hearken.voice.LabelSource`), which is yours
            to close.
        on_labels: given `SegmentLabels`, in a task of their own; a function or a coroutine function.
        redact: whether transcripts are redacted, with `source_texts` and `target_texts`; `words` and `metadata`, which
            may hold the same words, become None.
        session: name of the sessions; a speaker's id is added.
        redact_seconds: limit of the time that a text is held back.
        on_failure: what becomes of a text that could not be redacted in time: "hide" (it is replaced) or "pass".
    """
    chosen = make_source(source, redact)
    labeller = SpeechLabeller(
        chosen, on_labels, redact=redact, session=session, redact_seconds=redact_seconds, on_failure=on_failure
    )
    return label_speech_events(events, labeller, chosen if chosen is not source else None)


class HearkenSTT(STT):
    """A recogniser whose transcripts are labelled, and on request redacted.

    What it is not asked about itself, the wrapped recogniser answers: capabilities, model, provider and its own
    methods.

    Args:
        wrapped: any recogniser; it is closed with this one.
        source, on_labels, redact, session, redact_seconds, on_failure: as of `label_events`.
    """

    def __init__(
        self,
        wrapped: STT,
        source: Model | str | LabelSource,
        on_labels: LabelsCallback | None = None,
        *,
        redact: bool = False,
        session: str = "voice",
        redact_seconds: float = 1.0,
        on_failure: OnFailure = "hide",
    ) -> None:
        super().__init__(capabilities=wrapped.capabilities)
        self.wrapped_stt = wrapped
        self._source = make_source(source, redact)
        self._owns_source = self._source is not source
        self._session = session
        self._labellers = 0
        self._make_labeller = partial(
            SpeechLabeller,
            self._source,
            on_labels,
            redact=redact,
            redact_seconds=redact_seconds,
            on_failure=on_failure,
        )
        self._recordings: SpeechLabeller | None = None
        """Labels what `recognize` gives, one after the other."""
        wrapped.on("metrics_collected", self._forward_metrics)
        wrapped.on("error", self._forward_error)

    def __getattr__(self, name: str) -> Any:
        """Look up what is not part of `STT`, such as `update_options`, in the wrapped recogniser."""
        if name == "wrapped_stt" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.wrapped_stt, name)

    @property
    def label(self) -> str:
        """Label of the wrapped recogniser, as metrics have it."""
        return str(self.wrapped_stt.label)

    @property
    def model(self) -> str:
        """Model of the wrapped recogniser."""
        return str(self.wrapped_stt.model)

    @property
    def provider(self) -> str:
        """Provider of the wrapped recogniser."""
        return str(self.wrapped_stt.provider)

    @property
    def capabilities(self) -> Any:
        """Capabilities of the wrapped recogniser, as they are now."""
        return self.wrapped_stt.capabilities

    def prewarm(self) -> None:
        """Prepare the wrapped recogniser."""
        self.wrapped_stt.prewarm()

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        self.wrapped_stt._update_session_keyterms(keyterms)

    def _push_conversation_item(self, ev: Any) -> None:
        self.wrapped_stt._push_conversation_item(ev)

    def _forward_metrics(self, *args: Any) -> None:
        self.emit("metrics_collected", *args)

    def _forward_error(self, *args: Any) -> None:
        self.emit("error", *args)

    async def recognize(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechEvent:
        """Recognise a recording; metrics, errors and retries are the wrapped recogniser's."""
        event = await self.wrapped_stt.recognize(buffer, language=language, conn_options=conn_options)
        if self._recordings is None:
            self._recordings = self.open_labeller()
        return await self._recordings.process(event)

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> SpeechEvent:
        return await self.recognize(buffer, language=language, conn_options=conn_options)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> RecognizeStream:
        """Open a stream of the wrapped recogniser."""
        return HearkenRecognizeStream(self, language, conn_options)

    async def aclose(self) -> None:
        """Close the wrapped recogniser."""
        self.wrapped_stt.off("metrics_collected", self._forward_metrics)
        self.wrapped_stt.off("error", self._forward_error)
        await self.wrapped_stt.aclose()
        if self._recordings is not None:
            await self._recordings.finish()
            await self._recordings.drop()
        if self._owns_source:
            await self._source.close()

    def open_labeller(self) -> SpeechLabeller:
        """Make what labels one stream, in sessions of its own."""
        self._labellers += 1
        number = f"-{self._labellers}" if self._labellers > 1 else ""
        return self._make_labeller(session=self._session + number)


class HearkenRecognizeStream(RecognizeStream):
    """A stream of `HearkenSTT`."""

    def __init__(self, stt: HearkenSTT, language: NotGivenOr[str], conn_options: APIConnectOptions) -> None:
        self._wrapped: RecognizeStream | None = None
        self._hearken = stt
        self._language = language
        self._wrapped_options = conn_options
        super().__init__(stt=stt, conn_options=_ONE_TRY)

    @property
    def context(self) -> Any:
        """What the wrapped recogniser has learned of the speaker."""
        return self._wrapped.context if self._wrapped is not None else self._context

    @property
    def start_time(self) -> float:
        """Wall clock at which the wrapped stream's times begin."""
        return float(self._wrapped.start_time if self._wrapped is not None else self._start_time)

    @start_time.setter
    def start_time(self, value: float) -> None:
        self._start_time = value
        if self._wrapped is not None:
            self._wrapped.start_time = value

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[SpeechEvent]) -> None:
        async for _ in event_aiter:  # the wrapped stream counts usage
            pass

    def _emit_error(self, api_error: Exception, recoverable: bool) -> None:
        """Nothing: the wrapped stream has told its error, which `HearkenSTT` forwards."""

    async def _run(self) -> None:
        wrapped = self._wrapped = self._hearken.wrapped_stt.stream(
            language=self._language, conn_options=self._wrapped_options
        )
        wrapped.start_time_offset = self.start_time_offset

        async def forward() -> None:
            with suppress(RuntimeError):  # the wrapped stream has ended; its events say why
                async for item in self._input_ch:
                    if not isinstance(item, self._FlushSentinel):
                        wrapped.push_frame(item)
                    elif not (self._input_ch.closed and self._input_ch.empty()):  # `end_input` flushes as well
                        wrapped.flush()
                wrapped.end_input()

        forwarding = asyncio.create_task(forward())
        try:
            async with aclosing(label_speech_events(wrapped, self._hearken.open_labeller())) as events:
                async for event in events:
                    self._event_ch.send_nowait(event)
        finally:
            await aio.cancel_and_wait(forwarding)
            await wrapped.aclose()
