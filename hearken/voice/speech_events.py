"""Events of a recogniser in LiveKit Agents: labelled, and on request redacted. It imports nothing of LiveKit."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import replace
from inspect import isawaitable
from typing import Any, Protocol, TypeVar, cast

from hearken.voice.label_source import LabelSource
from hearken.voice.labeller import LiveLabeller, SegmentLabels
from hearken.voice.redactor import OnFailure, TextRedactor
from hearken.voice.transcripts import Heard, HeardKind

log = logging.getLogger("hearken.voice")

LabelsCallback = Callable[[SegmentLabels], Awaitable[None] | None]
"""Given the labels of a segment; a function or a coroutine function."""

_KINDS: dict[str, HeardKind] = {
    "interim_transcript": "interim",
    "preflight_transcript": "preflight",
    "final_transcript": "final",
}
_TURN_EVENTS = ("start_of_speech", "end_of_speech")


class SpeechEventLike(Protocol):
    """The part of `livekit.agents.stt.SpeechEvent` that is used."""

    type: Any
    alternatives: list[Any]


E = TypeVar("E", bound=SpeechEventLike)


class SpeechLabeller:
    """Labels the events of one recogniser's stream; with `redact`, covers their text.

    Args:
        source: of the labels.
        on_labels: given the labels, in a task of their own; None: nothing is labelled.
        redact: whether texts are redacted.
        session: name of the sessions; a speaker's id is added.
        redact_seconds: limit of the time that a text is held back.
        on_failure: what becomes of a text that could not be redacted in time.
    """

    def __init__(
        self,
        source: LabelSource,
        on_labels: LabelsCallback | None = None,
        *,
        redact: bool = False,
        session: str = "voice",
        redact_seconds: float = 1.0,
        on_failure: OnFailure = "hide",
    ) -> None:
        self._callback = on_labels
        self._labeller = LiveLabeller(source, self._call, self._log, session=session, show_text=not redact)
        self._redactor = (
            TextRedactor(source, self._log, seconds=redact_seconds, on_failure=on_failure) if redact else None
        )

    async def process(self, event: E) -> E:
        """Return what is passed on of an event: the same object, or one with redacted text. Never fails."""
        kind = str(getattr(event.type, "value", event.type))
        if kind in _TURN_EVENTS:
            self._labeller.tracker.end_turn()
        if kind not in _KINDS or not event.alternatives:
            return event
        if self._callback is not None and isinstance(event.alternatives[0].text, str):
            self._labeller.hear(_read_alternative(_KINDS[kind], event.alternatives[0], event))
        if self._redactor is None:
            return event
        covered = [await self._cover(x) for x in event.alternatives]
        return cast(E, replace(cast(Any, event), alternatives=covered))

    async def finish(self, seconds: float = 1.0) -> None:
        """Close what is open and wait for labels that are under way: no more events come."""
        if self._callback is not None:
            await self._labeller.finish(seconds)

    async def drop(self) -> None:
        """Drop labels that are under way."""
        await self._labeller.drop()

    async def _cover(self, data: Any) -> Any:
        """Redact an alternative, and leave out or redact what holds the same words."""
        assert self._redactor is not None
        texts: dict[str, Any] = {"text": await self._redactor.redact(data.text or "")}
        texts |= {name: None for name in ("words", "metadata") if hasattr(data, name)}
        for name in ("source_texts", "target_texts"):
            others = getattr(data, name, None)
            if others is not None:
                texts[name] = [await self._redactor.redact(x) for x in others]
        return replace(data, **texts)

    async def _call(self, labels: SegmentLabels) -> None:
        assert self._callback is not None
        answer = self._callback(labels)
        if isawaitable(answer):
            await answer

    async def _log(self, error: Exception) -> None:
        log.warning("labelling failed: %s; text goes on without labels", type(error).__name__)
        log.debug("labelling failed", exc_info=error)  # which may quote a text


def _read_alternative(kind: HeardKind, data: Any, event: SpeechEventLike) -> Heard:
    """Read the alternative that a session takes, the first."""
    speaker = str(getattr(data, "speaker_id", None) or "")
    return Heard(kind, data.text, speaker, time=getattr(data, "start_time", None) or None, source=event)


async def label_speech_events(
    events: AsyncIterable[E], labeller: SpeechLabeller, source: LabelSource | None = None
) -> AsyncGenerator[E, None]:
    """Pass on the events of a recogniser, labelled. Only exceptions of the events themselves leave it.

    Args:
        events: such as what `Agent.default.stt_node` gives.
        labeller: of this stream.
        source: closed at the end, if it is given.
    """
    try:
        async for event in events:
            yield await labeller.process(event)
        await labeller.finish()
    finally:
        close = getattr(events, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            await labeller.drop()
            if source is not None:
                await asyncio.shield(source.close())
