"""Labelling beside a voice pipeline, which never waits for it.

A transcript is put into a queue and labelled by a task of its own. If labels fall behind, the newest text of a segment
takes the place of the older one, and no closed segment is left out. Failures are told once, until labelling works
again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hearken.messages import Revision, Update
from hearken.voice.failures import FailureReport, OnError
from hearken.voice.label_source import LabelSource
from hearken.voice.transcripts import Heard, SegmentTracker

MAX_WAITING = 256
"""Segments of a speaker that wait for labels; beyond it the oldest one gets none, which is told as a failure."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class LabelsLost(RuntimeError):
    """Labelling is so far behind that a segment gets no labels; its text went on."""


@dataclass(frozen=True, slots=True)
class SegmentLabels:
    """Labels of a segment, as they stand for one tagger.

    Attributes:
        revision: the labels, and what has changed since the revision before (docs/messages.md).
        text: the text that they are about; empty if texts are redacted.
        heard: the transcript that they answer.
    """

    revision: Revision
    text: str
    heard: Heard


OnLabels = Callable[[SegmentLabels], Awaitable[None]]


@dataclass(slots=True)
class _Queue:
    """Updates of one session that wait, by segment; a newer one takes the place of the older one."""

    waiting: dict[str, tuple[Update, Heard]] = field(default_factory=dict)
    task: "asyncio.Task[None] | None" = None


class LiveLabeller:
    """Labels the transcripts of one conversation.

    Args:
        source: of the labels.
        on_labels: given the labels.
        on_error: given the first failure, and the first one after it has worked again.
        session: name of the sessions.
        show_text: whether labels have the text that they are about.
        spawn: starts a task.
    """

    def __init__(
        self,
        source: LabelSource,
        on_labels: OnLabels,
        on_error: OnError,
        *,
        session: str = "voice",
        show_text: bool = True,
        spawn: Spawn = asyncio.create_task,
    ) -> None:
        self.tracker = SegmentTracker(session)
        self._source = source
        self._on_labels = on_labels
        self._show_text = show_text
        self._spawn = spawn
        self._queues: dict[str, _Queue] = {}
        self._failures = FailureReport(on_error)
        self._dropped = False

    def hear(self, heard: Heard) -> None:
        """Take a transcript. Never waits and never fails."""
        for update in self.tracker.read(heard):
            self._put(update, heard)

    async def finish(self, seconds: float) -> bool:
        """Close what is open, and wait for the labels that are under way.

        Returns:
            Whether all came within this time.
        """
        for update in self.tracker.close_all():
            self._put(update, Heard("final", update.text, update.speaker or ""))
        try:
            async with asyncio.timeout(seconds):
                while tasks := [x.task for x in self._queues.values() if x.task]:
                    await asyncio.wait(tasks)
                await self._source.flush()
        except TimeoutError:
            return False
        except Exception as error:
            await self._failures.tell(error)
            return False
        return True

    async def drop(self) -> None:
        """Drop the labels that are under way, and the sessions."""
        self._dropped = True
        tasks = [x.task for x in self._queues.values() if x.task]
        for queue in self._queues.values():
            queue.waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in self._queues:
            await self._source.end(session)
        self._queues.clear()

    def _put(self, update: Update, heard: Heard) -> None:
        queue = self._queues.setdefault(update.session, _Queue())
        queue.waiting[update.segment] = update, heard
        if queue.task is None:
            queue.task = self._spawn(self._work(queue))

    async def _work(self, queue: _Queue) -> None:
        try:
            while queue.waiting:
                while len(queue.waiting) > MAX_WAITING:
                    del queue.waiting[next(iter(queue.waiting))]
                    await self._failures.tell(LabelsLost(f"more than {MAX_WAITING} segments wait for labels"))
                update, heard = queue.waiting.pop(next(iter(queue.waiting)))
                try:
                    await self._source.send(update, partial(self._deliver, update, heard))
                    self._failures.clear()
                except Exception as error:
                    await self._failures.tell(error)
        finally:
            queue.task = None

    async def _deliver(self, update: Update, heard: Heard, revision: Revision) -> None:
        if self._dropped:
            return
        try:
            await self._on_labels(SegmentLabels(revision, update.text if self._show_text else "", heard))
        except Exception as error:
            await self._failures.tell(error)
