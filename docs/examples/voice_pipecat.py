"""Pipecat with labels: plays what a recogniser said, and prints what comes out behind Hearken. It needs no key.

python docs/examples/voice_pipecat.py            labels of names and places
python docs/examples/voice_pipecat.py --redact   frames whose text is redacted
"""

import asyncio
import sys

from pipecat.frames.frames import EndFrame, Frame, InterimTranscriptionFrame, InterruptionFrame, TranscriptionFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

import hearken
from hearken.voice.pipecat import HearkenLabelsFrame, HearkenProcessor

WHEN = "2026-01-01T12:00:00Z"
SAID: list[Frame] = [
    InterimTranscriptionFrame("my name is", "caller", WHEN),
    InterimTranscriptionFrame("my name is anna rice", "caller", WHEN),
    InterruptionFrame(),  # the caller speaks over the bot
    InterimTranscriptionFrame("my name is anna rice and i live", "caller", WHEN),
    TranscriptionFrame("My name is Anna Rice, and I live in Rome.", "caller", WHEN),
]


class Printer(FrameProcessor):
    """Stands where the user's aggregator would."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Print a frame and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, HearkenLabelsFrame):
            found = ", ".join(f"{x.label} {frame.text[x.start : x.end]!r}" for x in frame.revision.spans)
            print(f"  {frame.revision.tagger}{' (final)' * frame.revision.final}: {found or 'nothing'}")
        elif isinstance(frame, InterimTranscriptionFrame | TranscriptionFrame):
            print(frame.text)
        await self.push_frame(frame, direction)


async def main(redact: bool) -> None:
    """Play the script through a pipeline."""
    model = hearken.load("english", taggers=["ner", "pii"] if redact else ["ner"], redact="all" if redact else None)
    labels = HearkenProcessor(model, redact=redact, labels=not redact, redact_seconds=10)
    worker = PipelineWorker(Pipeline([labels, Printer()]))

    async def speak() -> None:
        for frame in SAID:
            await worker.queue_frame(frame)
            await asyncio.sleep(0.3)
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner()
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), speak())


if __name__ == "__main__":
    asyncio.run(main("--redact" in sys.argv))
