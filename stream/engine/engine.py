"""Engine: the micro-batching step from updates of many sessions to revisions. It has no clock, thread or transport."""

from collections.abc import Callable, Generator
from typing import Any

from encoder.restart.policies import RestartPolicy
from encoder.tagger import Tagger
from stream.engine.changes import Changes, SegmentJob, changes_text, commit_changes
from stream.engine.phase_timer import PhaseTimer
from stream.engine.sliced_work import SlicedOperation, SlicedWork, needs_slices
from stream.engine.update_comparer import UpdateComparer
from stream.ingest.comparison import MAX_OPEN_SEGMENTS, SegmentLimits
from stream.ingest.queue import Intake
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import NO_WORDS, Labeller, LabellerCounters
from stream.messages.caller_id import NOBODY, CallerId
from stream.messages.types import Message
from stream.overload.budget import Budget, Unit
from stream.overload.governor import Governor, OverloadChange
from stream.overload.restart_pricing import RestartPricing
from stream.redaction.faults import hide_error
from stream.revisions.emission import LOW, Emission
from stream.revisions.promise_watch import PromiseWatch
from stream.revisions.score_thresholds import ScoreThresholds
from stream.revisions.settled import DEFAULT_RULES, SettledRules
from stream.sessions.active_session import ActiveSession
from stream.sessions.operations import DropSession, Operation, Remove, Write
from stream.sessions.redactor import Redactor
from stream.sessions.registry import SessionRegistry
from stream.sessions.session import REMEMBERED_SEGMENTS
from stream.sessions.snapshot import SavedSession
from stream.sessions.stats import EngineStats
from stream.sessions.step_result import Answer, Failure, StepResult

__all__ = ["Answer", "Engine", "Failure", "StepResult"]


class Engine:
    """Live text sessions and their labels.

    One thread may call `submit`, `restore`, `expire`, `drop` and `intake` while another one runs `step`; no other calls
    may overlap. The same messages with the same calls of `step` give the same revisions, byte for byte.

    Args:
        tagger: from `encoder.tagger.load_tagger`, or any other Labeller, of one tagger or several.
        policy: where restarts begin, from `encoder.restart.policies`.
        coalesce: whether only the newest of several waiting updates of one segment is computed, as a live service
            wants it; otherwise each update has a step of its own, so that the labels after each can be measured.
        token_budget: approximate number of tokens that one step takes; it takes at least one update. An update that
            needs more than `LONG_TOKENS` is worked on in slices, by several steps.
        idle_seconds: `expire` closes sessions that had no message for this long; None never closes any.
        emission: how stable a span must be before it is published, and before it is changed; by default it need not be.
        thresholds: of the text scores, whose crossing is published.
        governor: limits restarts while updates wait too long, as reported by `update_load`; None never does.
        budget: limits restarts to a rate of compute, by the time reported by `update_load`; None never does.
        remember_seconds: how long an ended session is remembered, so that `rev` and span ids continue if it comes back.
        remember_segments: closed segments of a session that can be edited or deleted; the same in all of a group.
        max_open_segments: a new segment beyond them closes the oldest one of its session (`Revision.closed_by`).
        redactor: makes the redacted stream; then spans of revisions have no text.
        whole_words: whether spans are fitted to whole words; evaluations measure those that the tagger labelled.
        promises: what is promised of published spans; None: nothing, fates are only counted.
        rules: how the settled text of each tagger is found.
    """

    def __init__(
        self,
        tagger: Tagger | Labeller[Any],
        policy: RestartPolicy,
        *,
        coalesce: bool = False,
        token_budget: int = 2048,
        idle_seconds: float | None = None,
        emission: Emission = LOW,
        thresholds: ScoreThresholds | None = None,
        governor: Governor | None = None,
        budget: Budget | None = None,
        remember_seconds: float = 3600.0,
        remember_segments: int = REMEMBERED_SEGMENTS,
        max_open_segments: int = MAX_OPEN_SEGMENTS,
        redactor: Redactor | None = None,
        whole_words: bool = True,
        promises: PromiseWatch | None = None,
        rules: SettledRules = DEFAULT_RULES,
    ) -> None:
        self.idle_seconds = idle_seconds
        self.remember_seconds = remember_seconds
        self.stats = EngineStats()
        self.labeller: Labeller[Any] = HybridLabeller(tagger) if isinstance(tagger, Tagger) else tagger
        """Its `counters` may be read while a step runs."""
        self.tagger_names = tuple(name for names in self.labeller.passes for name in names)
        """Names of the taggers, as in revisions, pass by pass."""
        self.pricing = RestartPricing(governor, budget)
        """Which restarts are limited at present, and why."""
        self.promises = promises or PromiseWatch()
        """Fates of published spans, and the evidence against what is promised of them."""
        self.intake = Intake(coalesce, SegmentLimits(max_open_segments, remember_segments))
        """Sessions and segments as received, and the operations that wait."""
        self._policy = policy
        """Before pricing."""
        self._emission = emission
        self._thresholds = thresholds or ScoreThresholds()
        self._sessions = SessionRegistry(
            self.tagger_names,
            self.labeller,
            self.pricing.apply_to(policy),
            remember_segments,
            self._thresholds,
            self.promises,
            self.pricing,
        )
        self.redactor = self._sessions.redactor = redactor
        self.pricing.may_defer &= redactor is None  # what is released for want of a context stays released
        self._no_words = (NO_WORDS,) * len(self.tagger_names)
        self._token_budget = token_budget
        self.rules = rules
        """How the settled text of each tagger is found."""
        self._comparer = UpdateComparer(
            self.labeller.passes,
            emission=emission,
            thresholds=self._thresholds,
            rules=rules,
            watch=self.promises.settled,
            whole_words=whole_words,
        )
        self.sliced = SlicedWork()
        """Long operations in progress."""
        self._worked_on_slices = False
        """In the last step."""
        self._now = 0.0
        self._words_computed = 0
        """By the last step."""

    def submit(self, message: Message, offset: int, now: float | None = None, caller: CallerId = NOBODY) -> bool:
        """Take one message; later steps apply it.

        Args:
            message: in normal form.
            offset: of the message in its source.
            now: the time by any monotonic clock, for idle expiry.
            caller: its source; while more waits than a step takes, callers take turns.

        Returns:
            Whether it takes the place of an update that waited.

        Raises:
            InputError: the message is bad; nothing was changed.
        """
        supersedes = self.intake.accept(message, offset, self._now if now is None else now, caller)
        self._now = self._now if now is None else now
        return supersedes

    def expire(self, now: float) -> int:
        """Close sessions idle for `idle_seconds`, as an End would; later steps publish it. Returns their number.

        Forgets what is remembered of sessions that ended `remember_seconds` ago.
        """
        self._now = max(self._now, now)
        self.intake.purge_ended(now - self.remember_seconds)
        return 0 if self.idle_seconds is None else self.intake.expire(now - self.idle_seconds, now)

    def drop(self, session: str) -> None:
        """Forget a session and its waiting messages without closing it or publishing anything: another owner has it."""
        self.intake.drop(session)

    def restore(self, saved: SavedSession, session: str, now: float | None = None) -> None:
        """Continue a session that another engine saved; messages that are in it are answered and not applied again.

        Replaces a session of that name. Nothing is computed before its next operation. `now` is as in `submit`. The
        next step gives `saved.repairs` among its entries.
        """
        self.intake.restore(session, saved, self._now if now is None else now)
        self._now = self._now if now is None else now

    def make_sibling(self, budget: Budget | None = None) -> "Engine":
        """Make an engine that labels as this one does, with the same taggers in memory and nothing else in common.

        Its sessions take room in the same cache until they end. The two may not step at the same time.

        Args:
            budget: limits the restarts of the sibling, which has no governor.
        """
        redactor = self.redactor
        return Engine(
            self.labeller,
            self._policy,
            emission=self._emission,
            thresholds=self._thresholds,
            budget=budget,
            redactor=redactor and redactor.make_sibling(),
            rules=self.rules,
        )

    @property
    def score_thresholds(self) -> dict[str, dict[str, float]]:
        """Thresholds of the text scores, by tagger and name."""
        scores = self.labeller.text_scores.items()
        return {tagger: {name: self._thresholds.of(tagger, name) for name in names} for tagger, names in scores}

    @property
    def pending(self) -> int:
        """Number of operations that wait, or are worked on in slices: 0, between steps, if all messages are done."""
        return self.intake.waiting + len(self.sliced)

    def update_load(self, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Report the time to governor and budget, before a step or while idle; tells if limiting restarts begins or
        ends.

        Args:
            now: by the clock of `submit`.
            crowded: whether so many messages wait that their source may be held back (`Governor.observe`).
        """
        since = self.intake.waiting_since
        waited = 0.0 if since is None else now - since
        return self.pricing.observe(waited, now, crowded=crowded and self.pending > 0)

    def record_step_time(self, seconds: float) -> None:
        """Charge the duration of the last step to a budget in seconds."""
        self._charge_budget("seconds", seconds)

    def step(self, clock: Callable[[], float] | None = None) -> StepResult:
        """Label what waits, at most one update of each session, up to the token budget; work on slices of long ones.

        A clock is only used to measure the duration of each phase: `StepResult.phase_seconds`.
        """
        result = StepResult()
        timer = PhaseTimer(clock, result.phase_seconds)
        before = self.labeller.counters()
        jobs = self._schedule(result)
        timer.end("schedule")
        try:
            self._label(jobs, timer)
        except Exception:
            jobs = self._isolate(jobs, result)
            timer.end("isolate")
        self._emit(jobs, result)
        timer.end("emit")
        if self.sliced:
            self._work_on_slices(jobs, result)
            timer.end("slices")
        result.redacted = self.redactor.take_messages() if self.redactor else []
        self._count_step(result, before)
        return result

    def _schedule(self, result: StepResult) -> list[SegmentJob]:
        """Take waiting operations; those that need no labelling are applied at once."""
        jobs = []
        operations = self.intake.take_operations(self._token_budget, self._sessions.missing_tokens)
        self.pricing.begin_step(self.intake.crowded)
        for operation in operations:
            try:
                if isinstance(operation, Write):
                    session = self._sessions.activate_session(operation.session, result)
                    if needs_slices(session, operation):
                        self._begin_slices(session, operation)
                        continue
                    if changes_text(session.state, operation):
                        before = session.previous_readings(operation.segment) or self._no_words
                        jobs.append(SegmentJob(session, operation, before))
                        continue
                elif isinstance(operation, DropSession) and (dropped := self.sliced.remove(operation.session)):
                    self._mark_answered(dropped.write, result)
                self._sessions.apply_operation(operation, result)
                self._mark_answered(operation, result)
            except Exception as error:
                self._give_up(operation, error, result)
        return jobs

    def _label(self, jobs: list[SegmentJob], timer: PhaseTimer) -> None:
        """Give each job its new readings: choose restart points, compute prefix and tail, decode."""
        plans = [job.session.labels.plan_segment(job.write.segment, job.write.text, job.write.final) for job in jobs]
        self.labeller.choose_restarts(plans)
        timer.end("point")
        self.labeller.compute(plans)
        timer.end("encode")
        for job, readings in zip(jobs, self.labeller.decode(plans), strict=True):
            job.after = readings
        timer.end("decode")

    def _emit(self, jobs: list[SegmentJob], result: StepResult) -> None:
        """Store the new labels and publish what changed."""
        for job in jobs:
            try:
                changes = self._revise(job, result.stats)
            except Exception as error:
                self._give_up(job.write, error, result)
                continue
            result.add_changes(*changes)
            self._mark_answered(job.write, result)

    def _revise(self, job: SegmentJob, stats: EngineStats) -> Changes:
        """Apply one labelled update: compare it with what readers have, and commit."""
        return commit_changes(job, [x for x in self._comparer.compare(job, stats) if x is not None], self.promises)

    def _begin_slices(self, session: ActiveSession, write: Write) -> None:
        """Let the session wait until the write has been worked on in slices."""
        self.intake.block(write.session)
        operation = SlicedOperation(write)
        operation.work = self._label_in_slices(session, operation)
        self.sliced.add(operation, max(write.cost, len(write.text) // 4))

    def _label_in_slices(self, session: ActiveSession, operation: SlicedOperation) -> Generator[None, None, Changes]:
        """Do for one write what `_schedule`, `_label` and `_revise` do, slice by slice."""
        write, labels = operation.write, session.labels
        yield from labels.restore_in_slices(write.segment)
        if not changes_text(session.state, write):
            result = StepResult(stats=operation.stats)
            self._sessions.apply_operation(write, result)
            return result.revisions, result.entries, result.settled
        job = SegmentJob(session, write, session.previous_readings(write.segment) or self._no_words)
        job.after = yield from self.labeller.label_in_slices(labels, write.segment, write.text, write.final)
        differences = []
        for difference in self._comparer.compare(job, operation.stats):
            yield
            if difference is not None:
                differences.append(difference)
        yield
        return commit_changes(job, differences, self.promises)

    def _work_on_slices(self, jobs: list[SegmentJob], result: StepResult) -> None:
        """Work on long writes, but not in two steps on end that label others too: those wait for one slice at most."""
        if jobs and self._worked_on_slices:
            self._worked_on_slices = False
            return
        self._worked_on_slices = True
        for _ in range(self.sliced.count_slices(sum(job.write.cost for job in jobs))):
            if self.sliced:
                self._work_on_slice(self.sliced.next(), result)

    def _work_on_slice(self, operation: SlicedOperation, result: StepResult) -> None:
        try:
            next(operation.work)
            return
        except StopIteration as end:
            result.add_changes(*end.value)
            result.stats.add(operation.stats)
            self._mark_answered(operation.write, result)
        except Exception:
            self._label_whole(operation.write, result)
        self.sliced.remove(operation.write.session)
        self.intake.unblock(operation.write.session)

    def _label_whole(self, write: Write, result: StepResult) -> None:
        """Label a write at once after a slice of it has failed; gives up if that fails too."""
        session = self._sessions.active[write.session]
        try:
            self._sessions.rebuild_labels(session)
            job = SegmentJob(session, write, session.previous_readings(write.segment) or self._no_words)
            self._label([job], PhaseTimer(None, {}))
        except Exception as error:
            self._give_up(write, error, result)
        else:
            self._emit([job], result)

    def _mark_answered(self, operation: Operation, result: StepResult) -> None:
        result.answered += [Answer(operation.session, offset) for offset in operation.answers]
        result.stats.coalesced += max(0, len(operation.answers) - 1)

    def _isolate(self, jobs: list[SegmentJob], result: StepResult) -> list[SegmentJob]:
        """Label each session alone after a step of many has failed; gives up those that fail again."""
        good = []
        for job in jobs:
            try:
                self._sessions.rebuild_labels(job.session)
                self._label([job], PhaseTimer(None, {}))
                good.append(job)
            except Exception as error:
                self._give_up(job.write, error, result)
        return good

    def _give_up(self, operation: Operation, error: Exception, result: StepResult) -> None:
        """Reset the session: labels are discarded, texts are kept, `rev` and span ids continue.

        If `rev` began again, readers would drop what follows as repeats.
        """
        segment, offset = "", -1
        if isinstance(operation, Write | Remove):
            segment, offset = operation.segment, operation.offset
            result.entries += self._sessions.reset_session(operation)
        fault = hide_error(error) if self.redactor else error
        result.failures.append(Failure(operation.session, segment, offset, fault))
        result.stats.failures += 1
        self._mark_answered(operation, result)

    def _count_step(self, result: StepResult, before: LabellerCounters) -> None:
        after, stats = self.labeller.counters(), result.stats
        stats.messages, stats.revisions = len(result.answered), len(result.revisions)
        stats.evictions, stats.reanchors = after.evictions - before.evictions, after.reanchors - before.reanchors
        stats.flops = after.flops - before.flops
        stats.restarts_shortened = self.pricing.shortened - self.stats.restarts_shortened
        stats.contexts_deferred = self.pricing.deferred - self.stats.contexts_deferred
        stats.forgone_changes = self.pricing.forgone_changes - self.stats.forgone_changes
        self._words_computed = stats.words_recomputed
        self._charge_budget("flops", stats.flops)
        self.stats.add(stats)

    def _charge_budget(self, unit: Unit, cost: float) -> None:
        budget = self.pricing.budget
        if budget and budget.unit == unit:
            budget.charge(cost, self._words_computed)
