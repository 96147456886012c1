"""All sessions of an engine: those at work, those restored and not touched yet, those that are over and remembered."""

from collections.abc import Sequence
from typing import Any

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller
from stream.messages.types import Revision
from stream.revisions.span_diff import Difference
from stream.revisions.spans import retell_spans, score_segment
from stream.sessions.active_session import ActiveSession, end_session, restore_truth
from stream.sessions.operations import DropSession, EndSession, Operation, PurgeEnded, Remove, Restore, Write
from stream.sessions.session import Segment, Session
from stream.sessions.snapshot import Entry, SavedSession
from stream.sessions.step_result import StepResult


class SessionRegistry:
    """Opens sessions and does every operation on them that needs no labelling."""

    def __init__(self, names: Sequence[str], labeller: Labeller[Any], policy: RestartPolicy, remembered: int) -> None:
        self._names = names
        self._remembered = remembered
        self._labeller = labeller
        self._policy = policy
        self.alive: dict[str, ActiveSession] = {}
        self.saved: dict[str, SavedSession] = {}
        """Restored, and nothing done with them yet."""
        self.over: dict[str, Session] = {}

    def open(self, session: str, result: StepResult) -> ActiveSession:
        """The session of that name; an unknown one begins."""
        living = self.alive.get(session)
        if living is None:
            saved = self.saved.pop(session, None)
            known = self.over.pop(session, None) or Session(session)
            truth = known if saved is None else restore_truth(session, saved, self._names)
            living = self.alive[session] = ActiveSession(truth, self._labeller.open(self._policy), self._remembered)
            if saved is None:
                result.stats.sessions += 1
            else:
                living.restore(self._labeller, self._policy, saved)
        return living

    def apply(self, operation: Operation, result: StepResult) -> None:
        """Do an operation that needs no labelling; a `Write` only if it says nothing new."""
        if isinstance(operation, Write):
            self._repeat(operation, result)
        elif isinstance(operation, Remove):
            self._remove(operation, result)
        elif isinstance(operation, EndSession):
            self._end(operation, result)
        elif isinstance(operation, PurgeEnded):
            if self.over.pop(operation.session, None) is not None:
                result.entries.append(Entry(operation.session, None, None))
        elif isinstance(operation, Restore):
            self._restore(operation, result)
        elif isinstance(operation, DropSession):
            self._drop(operation)

    def rebuild(self, living: ActiveSession) -> None:
        """Something failed on the way: begin again from what stood before it."""
        living.rebuild(self._labeller, self._policy)

    def reset(self, operation: Write | Remove) -> list[Entry]:
        """Labelling failed for good: no label of the session stands, texts do, as the operation leaves them."""
        living = self.alive[operation.session]
        living.truth.advance(operation.offset, operation.floor)
        living.reset(self._labeller, self._policy)
        name = operation.segment
        if isinstance(operation, Remove):
            living.truth.segments.pop(name, None)
            return living.removed([name])
        segment = living.truth.open(operation)
        segment.write(operation)
        forgotten = living.close(name) if operation.final and not segment.closed else ()
        return living.wrote(name, living.save(name), forgotten)

    def _repeat(self, write: Write, result: StepResult) -> None:
        """A text that says nothing new may yet open its segment, or bring times."""
        result.stats.repeats += 1
        living = self.open(write.session, result)
        known = living.truth.segments.get(write.segment)
        if known is not None and not _brings_news(known, write):
            living.truth.offset = write.offset
            return
        living.truth.advance(write.offset, write.floor)
        living.truth.open(write).write(write)
        result.revisions += self._retell(living, write.segment)
        result.entries += living.wrote(write.segment, living.save(write.segment))

    def _retell(self, living: ActiveSession, name: str) -> list[Revision]:
        """Who said a span, and where, can come after its text."""
        truth, segment = living.truth, living.truth.segments[name]
        revisions = []
        for tagger, reading in zip(self._names, living.before(name), strict=False):
            shown = truth.shown(tagger, name).spans
            told = retell_spans(segment.text, segment.times, shown, segment.speaker, segment.channel)
            if told is not None:
                revisions.append(truth.revise(tagger, name, Difference(told, score=score_segment(reading))))
        return revisions

    def _remove(self, operation: Remove, result: StepResult) -> None:
        living = self.open(operation.session, result)
        if operation.segment not in living.truth.segments:
            return
        living.truth.advance(operation.offset, operation.floor)
        living.delete(operation.segment)
        result.revisions += living.truth.delete(self._names, operation.segment)
        result.entries += living.removed([operation.segment])

    def _end(self, operation: EndSession, result: StepResult) -> None:
        living, saved = self.alive.pop(operation.session, None), self.saved.pop(operation.session, None)
        truth = living.truth if living else None
        if saved is not None:
            truth = restore_truth(operation.session, saved, self._names)
        if truth is not None:
            truth.advance(operation.offset, operation.floor)
            result.entries += end_session(truth)
            self.over[operation.session] = truth
        if living:
            living.live.free()

    def _restore(self, operation: Restore, result: StepResult) -> None:
        result.entries += operation.saved.repairs
        if operation.saved.ended:
            self.over[operation.session] = restore_truth(operation.session, operation.saved, self._names)
        else:
            self.saved[operation.session] = operation.saved

    def _drop(self, operation: DropSession) -> None:
        self.over.pop(operation.session, None)
        self.saved.pop(operation.session, None)
        if living := self.alive.pop(operation.session, None):
            living.live.free()


def _brings_news(known: Segment, write: Write) -> bool:
    """Whether a repeat of the text says more of it."""
    return (known.times, known.speaker, known.channel) != (write.times, write.speaker, write.channel)
