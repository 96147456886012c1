"""The micro-batching step: waiting updates of many sessions in, revisions out; no clock, no threads, no transport."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from encoder.restart import RestartPolicy
from encoder.tagger import Tagger
from stream.diff import diff_spans
from stream.emission import EmissionPolicy, ShowAll
from stream.hybrid import HybridLabeller
from stream.intake import Forget, Intake, Operation, Remove, Write
from stream.labeller import NO_WORDS, Counters, Labeller, Live, Reading
from stream.messages import Message, Revision
from stream.overload import Governor, Shift
from stream.result import Answer, Failure, StepResult
from stream.session import Segment, Session
from stream.stats import EngineStats
from stream.words import count_flips, find_spans, first_change

__all__ = ["Answer", "Engine", "Failure", "StepResult"]


@dataclass(slots=True)
class _Living:
    """A session at work: its truth, its labels in the tagger, and the words of its segments as last read."""

    truth: Session
    live: Live[Any]
    readings: dict[str, Reading] = field(default_factory=dict)


@dataclass(slots=True)
class _Job:
    """One segment of one session in one step."""

    living: _Living
    write: Write
    reading: Reading = NO_WORDS


class Engine:
    """Sessions of live text and their labels.

    `submit`, `expire` and `drop` may be called from one thread while `step` runs in another; nothing else may overlap.
    The same messages with the same calls of `step` give the same revisions, byte for byte.

    Args:
        tagger: what `encoder.tagger.load_tagger` gives, or any other Labeller.
        policy: where restarts begin, from `encoder.restart`.
        coalesce: compute only the newest of several waiting updates of one segment (right for a live service);
            otherwise every update has its own step, so what stands after each can be measured.
        token_budget: about how many tokens one step takes at most; one update is always taken.
        idle_seconds: sessions that hear nothing for so long are closed by `expire`; None keeps them for ever.
        name: the tagger's name in revisions; None takes the tagger's own.
        emission: which spans are shown; None shows all at once.
        governor: shortens restarts while updates wait too long, as its caller tells it; None never does.
    """

    def __init__(
        self,
        tagger: Tagger | Labeller[Any],
        policy: RestartPolicy,
        *,
        coalesce: bool = False,
        token_budget: int = 2048,
        idle_seconds: float | None = None,
        name: str | None = None,
        emission: EmissionPolicy | None = None,
        governor: Governor | None = None,
    ) -> None:
        self.name = name or tagger.name
        self.idle_seconds = idle_seconds
        self.stats = EngineStats()
        self._labeller: Labeller[Any] = HybridLabeller(tagger) if isinstance(tagger, Tagger) else tagger
        self.governor = governor
        self._policy = governor.govern(policy) if governor else policy
        self._token_budget = token_budget
        self._emission = emission or ShowAll()
        self._intake = Intake(coalesce)
        self._sessions: dict[str, _Living] = {}
        self._now = 0.0

    def submit(self, message: Message, offset: int, now: float | None = None) -> None:
        """Take one message; its effects come from later steps. `now` is any rising clock, for idle expiry.

        Raises:
            InputError: the message is bad; nothing was changed.
        """
        self._intake.accept(message, offset, self._now if now is None else now)
        self._now = self._now if now is None else now

    def expire(self, now: float) -> int:
        """Close sessions idle for `idle_seconds`, as an End would; returns how many. Later steps publish it."""
        return 0 if self.idle_seconds is None else self._intake.expire(now - self.idle_seconds)

    def drop(self, session: str) -> None:
        """Forget a session and what waits of it without closing it or telling of it: somebody else has it now."""
        self._intake.drop(session)

    @property
    def pending(self) -> int:
        """Operations that wait for a step: 0 when all that was submitted is answered (between steps)."""
        return self._intake.waiting

    def govern(self, now: float, *, crowded: bool = False) -> Shift | None:
        """Tell the governor how long messages wait, before a step or while idle; says if overload begins or ends.

        Args:
            now: the clock that `submit` was given.
            crowded: so many messages wait that their source may be held back (`Governor.observe`).
        """
        if self.governor is None:
            return None
        since = self._intake.waiting_since
        waited = 0.0 if since is None else now - since
        return self.governor.observe(waited, now, crowded=crowded and self.pending > 0)

    def step(self) -> StepResult:
        """Label what waits, at most one update of each session, oldest first, up to the token budget."""
        result = StepResult()
        before = self._labeller.counters()
        jobs = self._schedule(result)
        try:
            plans = self._point(jobs)
            self._labeller.run(plans)  # prefix and tail
            self._decode(jobs, plans)
        except Exception:
            jobs = self._isolate(jobs, result)
        self._emit(jobs, result)
        self._count(result, before)
        return result

    def _schedule(self, result: StepResult) -> list[_Job]:
        """Take waiting operations; what needs no labelling is done at once."""
        jobs = []
        for operation in self._intake.take(self._token_budget):
            if isinstance(operation, Write) and self._is_news(operation):
                jobs.append(_Job(self._living(operation.session, result), operation))
                continue
            try:
                self._apply(operation, result)
                self._answer(operation, result)
            except Exception as error:
                self._give_up(operation, error, result)
        return jobs

    def _point(self, jobs: list[_Job]) -> list[Any]:
        """Cut what was rewritten and choose where each segment's labels are read anew."""
        return [job.living.live.plan(job.write.segment, job.write.text, job.write.final) for job in jobs]

    def _decode(self, jobs: list[_Job], plans: list[Any]) -> None:
        """Scores to labelled words."""
        for job, reading in zip(jobs, self._labeller.read(plans), strict=True):
            job.reading = reading

    def _emit(self, jobs: list[_Job], result: StepResult) -> None:
        """Make the new labels stand and tell what changed."""
        for job in jobs:
            try:
                revision = self._revise(job, result.stats)
            except Exception as error:
                self._give_up(job.write, error, result)
                continue
            if revision is not None:
                result.revisions.append(revision)
            self._answer(job.write, result)

    def _revise(self, job: _Job, stats: EngineStats) -> Revision | None:
        write, truth = job.write, job.living.truth
        segment = truth.open(write.segment)
        before = job.living.readings.get(write.segment, NO_WORDS)
        rewritten = self._measure(job, segment, before, stats)
        found = self._emission.show(find_spans(write.text, write.times, job.reading), segment.spans, write.final)
        difference = diff_spans(segment.text, segment.spans, write.text, found, rewritten, truth.next_span)
        closing = write.final and not segment.closed
        segment.text, segment.times = write.text, write.times
        truth.offset = write.offset
        job.living.readings[write.segment] = job.reading
        if closing:
            self._close(job.living, write.segment)
        return truth.revise(self.name, write.segment, difference) if difference or closing else None

    def _measure(self, job: _Job, segment: Segment, before: Reading, stats: EngineStats) -> int | None:
        """Count the words; returns the first character that was rewritten (see diff_spans)."""
        write, after = job.write, job.reading
        word, rewritten = first_change(segment.text, before, write.text, after)
        stats.words += len(after.starts) - word
        stats.count_work(after.work, write.final and not segment.closed, count_flips(before, after, word))
        return rewritten

    def _close(self, living: _Living, name: str) -> None:
        for forgotten in living.truth.close(name):
            living.readings.pop(forgotten, None)
            living.live.forget(forgotten)

    def _apply(self, operation: Operation, result: StepResult) -> None:
        """Do an operation that needs no labelling."""
        living = self._sessions.get(operation.session)
        if isinstance(operation, Write):
            result.stats.repeats += 1
            if living and (segment := living.truth.segments.get(operation.segment)):
                segment.times = operation.times
                living.truth.offset = operation.offset
        elif living and isinstance(operation, Forget):
            del self._sessions[operation.session]
            living.live.free()
        elif living and isinstance(operation, Remove) and operation.segment in living.truth.segments:
            self._remove(living, operation, result)

    def _remove(self, living: _Living, operation: Remove, result: StepResult) -> None:
        living.truth.offset = operation.offset
        living.readings.pop(operation.segment, None)
        living.live.delete(operation.segment)
        revision = living.truth.delete(self.name, operation.segment)
        if revision is not None:
            result.revisions.append(revision)

    def _is_news(self, write: Write) -> bool:
        living = self._sessions.get(write.session)
        segment = living.truth.segments.get(write.segment) if living else None
        if segment is None:
            return write.final or write.text != ""
        return segment.text != write.text or (write.final and not segment.closed)

    def _living(self, session: str, result: StepResult) -> _Living:
        living = self._sessions.get(session)
        if living is None:
            living = _Living(Session(session), self._labeller.open(self._policy))
            self._sessions[session] = living
            result.stats.sessions += 1
        return living

    def _answer(self, operation: Operation, result: StepResult) -> None:
        result.answered.extend(Answer(operation.session, offset) for offset in operation.answers)
        result.stats.coalesced += max(0, len(operation.answers) - 1)

    def _isolate(self, jobs: list[_Job], result: StepResult) -> list[_Job]:
        """Something failed in a step of many: label each session alone, from its truth; give up those that fail."""
        good = []
        for job in jobs:
            try:
                self._rebuild(job.living)
                plans = self._point([job])
                self._labeller.run(plans)
                self._decode([job], plans)
                good.append(job)
            except Exception as error:
                self._give_up(job.write, error, result)
        return good

    def _rebuild(self, living: _Living) -> None:
        living.live.free()
        context = [(name, x.text) for name, x in living.truth.segments.items() if x.closed]
        living.live = self._labeller.open(self._policy, context)

    def _give_up(self, operation: Operation, error: Exception, result: StepResult) -> None:
        """Reset the session. `rev` and ids go on, so that readers do not take what follows for repeats."""
        if living := self._sessions.get(operation.session):
            with suppress(Exception):
                living.live.free()
            living.live = self._labeller.open(self._policy)
            living.readings.clear()
            living.truth.segments.clear()
        segment, offset = ("", -1) if isinstance(operation, Forget) else (operation.segment, operation.offset)
        result.failures.append(Failure(operation.session, segment, offset, error))
        result.stats.failures += 1
        self._answer(operation, result)

    def _count(self, result: StepResult, before: Counters) -> None:
        after, stats = self._labeller.counters(), result.stats
        stats.messages, stats.revisions = len(result.answered), len(result.revisions)
        stats.evictions = after.evictions - before.evictions
        stats.reanchors = after.reanchors - before.reanchors
        stats.flops = after.flops - before.flops
        if self.governor:
            stats.restarts_shortened = self.governor.shortened - self.stats.restarts_shortened
        self.stats.add(stats)
