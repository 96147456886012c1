"""Registry of all sessions of an engine: active ones, restored ones without an operation yet, and remembered ended
ones.
"""

from collections.abc import Sequence
from typing import Any

from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller
from stream.messages.types import Revision
from stream.overload.restart_pricing import RestartPricing
from stream.revisions.promise_watch import PromiseWatch
from stream.revisions.score_thresholds import ScoreThresholds, publish_scores
from stream.revisions.span_diff import Difference
from stream.revisions.spans import score_segment, update_span_details
from stream.sessions.active_session import ActiveSession, end_session, restore_state
from stream.sessions.operations import DropSession, EndSession, Operation, PurgeEnded, Remove, Restore, Write
from stream.sessions.redactor import Redactor
from stream.sessions.session import Segment, Session
from stream.sessions.snapshot import Entry, SavedSession
from stream.sessions.step_result import FormatDifference, StepResult


class SessionRegistry:
    """Opens sessions and applies every operation that needs no labelling."""

    def __init__(
        self,
        taggers: Sequence[str],
        labeller: Labeller[Any],
        policy: RestartPolicy,
        remember_segments: int,
        thresholds: ScoreThresholds,
        promises: PromiseWatch,
        pricing: RestartPricing,
    ) -> None:
        self._taggers = taggers
        self._remember_segments = remember_segments
        self._labeller = labeller
        self._policy = policy
        self._thresholds = thresholds
        self._promises = promises
        self._pricing = pricing
        self.redactor: Redactor | None = None
        """Set once, before the first session; None if nothing is redacted."""
        passes = zip(labeller.passes, labeller.precisions, strict=True)
        self._number_formats = {name: number_format for names, number_format in passes for name in names}
        self._reported: set[FormatDifference] = set()
        self.active: dict[str, ActiveSession] = {}
        self.restored: dict[str, SavedSession] = {}
        """Restored sessions that no operation has used yet."""
        self.ended: dict[str, Session] = {}

    def activate_session(self, name: str, result: StepResult) -> ActiveSession:
        """Return the active session of that name; a restored, ended or unknown one becomes active."""
        session = self.active.get(name)
        if session is None:
            saved = self.restored.pop(name, None)
            known = self.ended.pop(name, None) or Session(name)
            state = known if saved is None else restore_state(name, saved, self._taggers)
            labels = self._labeller.open_session(self._policy)
            formats, redactor = self._number_formats, self.redactor
            session = self.active[name] = ActiveSession(state, labels, self._remember_segments, formats, redactor)
            if redactor is not None:
                redactor.open_session(state, saved)
            if saved is None:
                result.stats.sessions += 1
            else:
                session.restore_labels(self._labeller, self._policy, saved)
        return session

    def missing_tokens(self, operation: Operation) -> int:
        """Estimate the tokens that have to be computed for an operation beyond its new text.

        Where an open segment need not wait for its closed context (`RestartPricing.allow_context`), it is the rest of
        the segment.
        """
        name = operation.session
        session, saved = self.active.get(name), self.restored.get(name)
        if session is not None:
            missing = session.labels.missing_tokens
        else:
            missing = 0 if saved is None else sum(map(len, saved.contexts)) // 4
        if isinstance(operation, Write) and not operation.final and self._pricing.may_defer:
            return min(missing, len(operation.text) // 4)
        return missing

    def apply_operation(self, operation: Operation, result: StepResult) -> None:
        """Apply an operation that needs no labelling; a `Write` only if it does not change the text."""
        if isinstance(operation, Write):
            self._repeat_text(operation, result)
        elif isinstance(operation, Remove):
            self._remove_segment(operation, result)
        elif isinstance(operation, EndSession):
            self._end_session(operation, result)
        elif isinstance(operation, PurgeEnded):
            if self.ended.pop(operation.session, None) is not None:
                result.entries.append(Entry(operation.session, None, None))
        elif isinstance(operation, Restore):
            self._add_restored(operation, result)
        elif isinstance(operation, DropSession):
            self._drop_session(operation)

    def rebuild_labels(self, session: ActiveSession) -> None:
        """Replace the labels of a session after a failed step by those from before it."""
        session.rebuild_labels(self._labeller, self._policy)

    def reset_session(self, operation: Write | Remove) -> list[Entry]:
        """Discard all labels of a session for which labelling failed twice, and apply the operation to its texts."""
        session = self.active[operation.session]
        session.state.begin_change(operation.offset, operation.fully_applied_through)
        session.reset_labels(self._labeller, self._policy)
        name = operation.segment
        if isinstance(operation, Remove):
            removed = session.state.segments.pop(name, None)
            if removed is not None and self.redactor is not None:
                self.redactor.remove_segment(session.state, name, removed)
            return session.snapshot_entries_after_removal([name])
        segment = session.state.open_segment(operation)
        segment.store_text(operation)
        if self.redactor is not None:
            self.redactor.withhold_write(session.state, operation)
        forgotten = session.close_segment(name) if operation.final and not segment.closed else ()
        return session.snapshot_entries_after_write(name, session.save_segment(name), forgotten)

    def _repeat_text(self, write: Write, result: StepResult) -> None:
        """Apply a repeated text, which may still open its segment or bring times and speakers."""
        result.stats.repeats += 1
        session = self.activate_session(write.session, result)
        known = session.state.segments.get(write.segment)
        if known is not None and not _changes_details(known, write):
            session.state.offset = write.offset
            return
        session.state.begin_change(write.offset, write.fully_applied_through)
        session.state.open_segment(write).store_text(write)
        result.revisions += self._revise_details(session, write.segment)
        words = session.save_segment(write.segment)
        result.entries += session.snapshot_entries_after_write(write.segment, words)

    def _revise_details(self, session: ActiveSession, name: str) -> list[Revision]:
        """Publish speakers, channel and times that came after the text of their spans."""
        state, segment = session.state, session.state.segments[name]
        revisions = []
        for tagger, reading in zip(self._taggers, session.previous_readings(name), strict=False):
            shown = state.spans_of(tagger, name)
            spans = update_span_details(segment.text, segment.times, shown.spans, segment.speaker, segment.channel)
            if spans is not None:
                difference = Difference(spans, score=score_segment(reading))
                scores = publish_scores(reading) or (shown.scores if len(reading.starts) else {})
                self._thresholds.add_scores(difference, tagger, shown.scores, scores, segment.closed)
                revisions.append(state.revise(tagger, name, difference))
        return revisions

    def _remove_segment(self, operation: Remove, result: StepResult) -> None:
        session = self.activate_session(operation.session, result)
        if operation.segment not in session.state.segments:
            return
        session.state.begin_change(operation.offset, operation.fully_applied_through)
        session.delete_labels(operation.segment)
        if self.redactor is not None:
            self.redactor.remove_segment(session.state, operation.segment, session.state.segments[operation.segment])
        result.revisions += session.state.retract_segment(self._taggers, operation.segment, self._thresholds)
        result.entries += session.snapshot_entries_after_removal([operation.segment])

    def _end_session(self, operation: EndSession, result: StepResult) -> None:
        session, saved = self.active.pop(operation.session, None), self.restored.pop(operation.session, None)
        state = session.state if session else None
        if saved is not None:
            state = restore_state(operation.session, saved, self._taggers)
        if state is not None:
            state.begin_change(operation.offset, operation.fully_applied_through)
            if self.redactor is not None:
                self.redactor.end_session(state)
            result.entries += end_session(state)
            self.ended[operation.session] = state
        if session:
            session.labels.free()
        self._promises.end_session(operation.session)

    def _add_restored(self, operation: Restore, result: StepResult) -> None:
        self._promises.drop_session(operation.session)
        result.entries += operation.saved.repairs
        if operation.saved.ended:
            self.ended[operation.session] = restore_state(operation.session, operation.saved, self._taggers)
        else:
            self.restored[operation.session] = operation.saved
            self._compare_formats(operation.saved, result)

    def _compare_formats(self, saved: SavedSession, result: StepResult) -> None:
        """Report number formats other than ours of the engine that last wrote the session."""
        newest = saved.segments.find_newest()
        found = {} if newest is None else {name: x.number_format for name, x in newest.labels.items()}
        differences = {
            FormatDifference(tagger, here, there)
            for tagger, here in self._number_formats.items()
            if (there := found.get(tagger, "")) not in ("", here)
        }
        result.stats.restored_other_format += bool(differences)
        result.format_differences += sorted(differences - self._reported)
        self._reported |= differences

    def _drop_session(self, operation: DropSession) -> None:
        self._promises.drop_session(operation.session)
        self.ended.pop(operation.session, None)
        self.restored.pop(operation.session, None)
        if session := self.active.pop(operation.session, None):
            session.labels.free()


def _changes_details(known: Segment, write: Write) -> bool:
    """Tell whether a repeat of the text changes the times, the speaker, the channel or the confirmed part."""
    return (known.times, known.speaker, known.channel, known.confirmed) != (
        write.times,
        write.speaker,
        write.channel,
        write.confirmed,
    )
