"""LiveKit Agents with labels: a recogniser that plays a script, wrapped by Hearken. It needs no key.

python docs/examples/voice_livekit.py            labels of names and places
python docs/examples/voice_livekit.py --redact   events whose text is redacted
"""

import asyncio
import sys
from typing import Any

from livekit.agents.stt import STT, RecognizeStream, SpeechData, SpeechEvent, SpeechEventType, STTCapabilities
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

import hearken
from hearken.voice import SegmentLabels
from hearken.voice.livekit import HearkenSTT

SAID = [
    ("interim_transcript", "my name is"),
    ("interim_transcript", "my name is anna rice"),
    ("preflight_transcript", "My name is Anna Rice."),
    ("interim_transcript", "my name is anna rice and i live"),
    ("final_transcript", "My name is Anna Rice, and I live in Rome."),
]


class ScriptedSTT(STT):
    """A recogniser that says what it is told; in place of `deepgram.STT()` and the like."""

    def __init__(self) -> None:
        super().__init__(capabilities=STTCapabilities(streaming=True, interim_results=True))

    async def _recognize_impl(self, *_: Any, **__: Any) -> SpeechEvent:
        raise NotImplementedError

    def stream(self, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS, **_: Any) -> RecognizeStream:
        """Begin the script."""
        return ScriptedStream(stt=self, conn_options=conn_options)


class ScriptedStream(RecognizeStream):
    """Plays the script."""

    async def _run(self) -> None:
        for kind, text in SAID:
            data = SpeechData("en", text)  # type: ignore[arg-type]
            self._event_ch.send_nowait(SpeechEvent(SpeechEventType(kind), alternatives=[data]))
            await asyncio.sleep(0.3)


def show(labels: SegmentLabels) -> None:
    """Print labels, as they come."""
    found = ", ".join(f"{x.label} {labels.text[x.start : x.end]!r}" for x in labels.revision.spans)
    print(f"  {labels.revision.tagger}{' (final)' * labels.revision.final}: {found or 'nothing'}")


async def main(redact: bool) -> None:
    """Read the events as an agent's session does."""
    model = hearken.load("english", taggers=["ner", "pii"] if redact else ["ner"], redact="all" if redact else None)
    stt = HearkenSTT(ScriptedSTT(), model, None if redact else show, redact=redact, redact_seconds=10)
    stream = stt.stream()
    async for event in stream:
        print(event.alternatives[0].text)
    await stream.aclose()
    await stt.aclose()


if __name__ == "__main__":
    asyncio.run(main("--redact" in sys.argv))
