"""The micro-batching step: updates of many sessions in, revisions out; no clock of its own, no thread, no transport."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from encoder.restart.policies import RestartPolicy
from encoder.tagger import Tagger
from stream.engine.phase_timer import PhaseTimer
from stream.ingest.queue import Intake
from stream.ingest.received import ReceivedSegment
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import NO_WORDS, Growth, Labeller, LabellerCounters, Labelling
from stream.messages.types import Message, Revision
from stream.overload.budget import Budget
from stream.overload.governor import Governor, OverloadChange
from stream.overload.restart_pricing import RestartPricing
from stream.revisions.emission import LOW, Emission
from stream.revisions.span_diff import Difference, diff_spans
from stream.revisions.spans import LabelFlips, count_flips, find_spans, first_change, score_segment
from stream.sessions.active_session import ActiveSession
from stream.sessions.operations import Operation, Remove, Write
from stream.sessions.registry import SessionRegistry
from stream.sessions.session import REMEMBERED_SEGMENTS, Segment, Session
from stream.sessions.snapshot import Entry, SavedSession
from stream.sessions.stats import EngineStats
from stream.sessions.step_result import Answer, Failure, StepResult

__all__ = ["Answer", "Engine", "Failure", "StepResult"]


@dataclass(slots=True)
class _SegmentJob:
    """One segment of one session in one step."""

    living: ActiveSession
    write: Write
    before: Sequence[Labelling]
    """The segment's words as they stand for each tagger."""
    after: tuple[Labelling, ...] = ()
    """As they are read now."""


class Engine:
    """Sessions of live text and their labels.

    `submit`, `restore`, `expire`, `drop` and `sessions` may be called from one thread while `step` runs in another;
    nothing else may overlap. The same messages with the same calls of `step` give the same revisions, byte for byte.

    Args:
        tagger: what `encoder.tagger.load_tagger` gives, or any other Labeller; of one tagger or several.
        policy: where restarts begin, from `encoder.restart.policies`.
        coalesce: compute only the newest of several waiting updates of one segment (right for a live service);
            otherwise every update has its own step, so what stands after each can be measured.
        token_budget: about how many tokens one step takes at most; one update is always taken.
        idle_seconds: sessions that hear nothing for so long are closed by `expire`; None keeps them for ever.
        emission: how sure a span must be before it is published, and before it is changed; all at once by default.
        governor: shortens restarts while updates wait too long, as its caller tells it; None never does.
        budget: shortens restarts while more is spent than it brings, as its caller tells the time; None never does.
        remember_seconds: how long a session that is over is remembered: if it speaks again meanwhile, its `rev` and
            span ids go on.
        remember_segments: closed segments of a session that can still be edited or deleted; all members of a group
            have the same.
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
        governor: Governor | None = None,
        budget: Budget | None = None,
        remember_seconds: float = 3600.0,
        remember_segments: int = REMEMBERED_SEGMENTS,
    ) -> None:
        self.idle_seconds = idle_seconds
        self.remember_seconds = remember_seconds
        self.stats = EngineStats()
        self._labeller: Labeller[Any] = HybridLabeller(tagger) if isinstance(tagger, Tagger) else tagger
        self.names = tuple(name for one in self._labeller.passes for name in one)
        """The taggers' names in revisions."""
        self._unknown = (NO_WORDS,) * len(self.names)
        self.governor = governor
        self.budget = budget
        self._spending = RestartPricing(governor, budget)
        self._sessions = SessionRegistry(self.names, self._labeller, self._spending.govern(policy), remember_segments)
        self._token_budget = token_budget
        self._emission = emission
        self._intake = Intake(coalesce, remember_segments)
        self._now = 0.0
        self._computed = 0
        """Words that the last step computed."""

    def submit(self, message: Message, offset: int, now: float | None = None) -> None:
        """Take one message; its effects come from later steps. `now` is any rising clock, for idle expiry.

        Raises:
            InputError: the message is bad; nothing was changed.
        """
        self._intake.accept(message, offset, self._now if now is None else now)
        self._now = self._now if now is None else now

    def expire(self, now: float) -> int:
        """Close sessions idle for `idle_seconds`, as an End would; returns how many. Later steps publish it.

        Forgets what is remembered of sessions that are over since `remember_seconds`.
        """
        self._now = max(self._now, now)
        self._intake.bury(now - self.remember_seconds)
        return 0 if self.idle_seconds is None else self._intake.expire(now - self.idle_seconds, now)

    def drop(self, session: str) -> None:
        """Forget a session and what waits of it without closing it or telling of it: somebody else has it now."""
        self._intake.drop(session)

    def restore(self, saved: SavedSession, session: str, now: float | None = None) -> None:
        """Go on with a session that another engine kept; its messages that are in it are answered and not done again.

        Nothing is computed before its next operation. What was known here of a session of that name is dropped. `now`
        is as in `submit`. The next step gives `saved.repairs` as its entries.
        """
        self._intake.restore(session, saved, self._now if now is None else now)
        self._now = self._now if now is None else now

    def segments(self, session: str) -> Mapping[str, ReceivedSegment]:
        """Segments of a session as received so far, whatever was labelled of them; only to look at."""
        return self._intake.segments(session)

    @property
    def sessions(self) -> list[str]:
        """Sessions that are alive, those restored too; not those that are over."""
        return self._intake.sessions()

    @property
    def session_count(self) -> int:
        """How many `sessions` are."""
        return self._intake.count

    @property
    def open_segments(self) -> int:
        """How many segments of them are open."""
        return self._intake.open_segments()

    @property
    def waiting_since(self) -> float | None:
        """When the message that is next was submitted; None: none waits."""
        return self._intake.waiting_since

    @property
    def counters(self) -> LabellerCounters:
        """What the labeller did so far, and the pages that it has; may be read while a step runs."""
        return self._labeller.counters()

    @property
    def shortens(self) -> bool:
        """Whether restarts are shortened, because updates wait or the budget is spent."""
        return self._spending.shortens

    @property
    def price(self) -> float:
        """Changes that a word computed again has to bring at present; infinite when no restart is done."""
        return self._spending.price

    @property
    def pending(self) -> int:
        """Operations that wait for a step: 0 when all that was submitted is answered (between steps)."""
        return self._intake.waiting

    def govern(self, now: float, *, crowded: bool = False) -> OverloadChange | None:
        """Tell governor and budget the time, before a step or while idle; says if shortening restarts begins or ends.

        Args:
            now: the clock that `submit` was given.
            crowded: so many messages wait that their source may be held back (`Governor.observe`).
        """
        since = self._intake.waiting_since
        waited = 0.0 if since is None else now - since
        return self._spending.observe(waited, now, crowded=crowded and self.pending > 0)

    def rest(self) -> float | None:
        """Nothing waits; gives the seconds after which `govern` is to be asked again although nothing came."""
        return self._spending.rest()

    def took(self, seconds: float) -> None:
        """Tell a budget of seconds how long the last step took."""
        if self.budget and self.budget.unit == "seconds":
            self.budget.pay(seconds, self._computed)

    def step(self, clock: Callable[[], float] | None = None) -> StepResult:
        """Label what waits, at most one update of each session, oldest first, up to the token budget.

        A clock, where one is given, is only for telling how long each phase took: `StepResult.laps`.
        """
        result = StepResult()
        laps = PhaseTimer(clock, result.laps)
        before = self._labeller.counters()
        jobs = self._schedule(result)
        laps.end("schedule")
        try:
            plans = self._point(jobs)
            laps.end("point")
            self._labeller.run(plans)  # prefix and tail
            laps.end("encode")
            self._decode(jobs, plans)
            laps.end("decode")
        except Exception:
            jobs = self._isolate(jobs, result)
            laps.end("isolate")
        self._emit(jobs, result)
        self._count(result, before)
        laps.end("emit")
        return result

    def _schedule(self, result: StepResult) -> list[_SegmentJob]:
        """Take waiting operations; what needs no labelling is done at once."""
        jobs = []
        for operation in self._intake.take(self._token_budget):
            try:
                if isinstance(operation, Write):
                    living = self._sessions.open(operation.session, result)
                    if _is_news(living.truth, operation):
                        jobs.append(_SegmentJob(living, operation, living.before(operation.segment) or self._unknown))
                        continue
                self._sessions.apply(operation, result)
                self._answer(operation, result)
            except Exception as error:
                self._give_up(operation, error, result)
        return jobs

    def _point(self, jobs: list[_SegmentJob]) -> list[Any]:
        """Cut what was rewritten and choose where each segment's labels are read anew."""
        plans = [job.living.live.plan(job.write.segment, job.write.text, job.write.final) for job in jobs]
        self._labeller.point(plans)
        return plans

    def _decode(self, jobs: list[_SegmentJob], plans: list[Any]) -> None:
        """Scores to labelled words."""
        for job, readings in zip(jobs, self._labeller.read(plans), strict=True):
            job.after = readings

    def _emit(self, jobs: list[_SegmentJob], result: StepResult) -> None:
        """Make the new labels stand and tell what changed."""
        for job in jobs:
            try:
                revisions, entries = self._revise(job, result.stats)
            except Exception as error:
                self._give_up(job.write, error, result)
                continue
            result.revisions += revisions
            result.entries += entries
            self._answer(job.write, result)

    def _revise(self, job: _SegmentJob, stats: EngineStats) -> tuple[list[Revision], list[Entry]]:
        write, living, truth = job.write, job.living, job.living.truth
        truth.advance(write.offset, write.floor)
        segment = truth.open(write)
        closing = write.final and not segment.closed
        rewritten = self._measure(job, segment, closing, stats)
        differences = [
            (name, self._differ(job, segment, name, reading, at))
            for name, reading, at in zip(self.names, job.after, rewritten, strict=True)
            if closing or not _stays(segment, name, reading)
        ]
        segment.write(write)
        living.readings[write.segment] = job.after
        forgotten = living.close(write.segment) if closing else ()
        words = living.save(write.segment)
        revisions = [truth.revise(name, write.segment, x) for name, x in differences if x or closing]
        return revisions, living.wrote(write.segment, words, forgotten)

    def _differ(
        self, job: _SegmentJob, segment: Segment, tagger: str, reading: Labelling, rewritten: int | None
    ) -> Difference:
        """What changes for readers of one tagger."""
        write, truth = job.write, job.living.truth
        shown = truth.shown(tagger, write.segment)
        is_final = write.final or segment.closed
        told = self._emission.publish(segment.text, shown.spans, write.text, reading, is_final)
        found = find_spans(write.text, write.times, told, write.speaker, write.channel)
        next_id = truth.numbers_of(tagger).next_span
        difference = diff_spans(segment.text, shown.spans, write.text, found, rewritten, next_id)
        shown.whole = told is reading or list(told.spans) == list(reading.spans)
        difference.score = score_segment(reading)
        return difference

    def _measure(self, job: _SegmentJob, segment: Segment, closing: bool, stats: EngineStats) -> list[int | None]:
        """Count words and work, pass by pass; gives each tagger the first rewritten character (see diff_spans)."""
        found: list[int | None] = []
        stats.updates += 1
        for names in self._labeller.passes:
            of_pass = slice(len(found), len(found) + len(names))
            after = job.after[of_pass]
            change = _add_up([x.growth for x in after]) or _compare(segment.text, job, of_pass)
            stats.words += change.words
            stats.count_work(after[0].work, closing, change.flips)
            found += [change.rewritten] * len(names)
        return found

    def _answer(self, operation: Operation, result: StepResult) -> None:
        result.answered += [Answer(operation.session, offset) for offset in operation.answers]
        result.stats.coalesced += max(0, len(operation.answers) - 1)

    def _isolate(self, jobs: list[_SegmentJob], result: StepResult) -> list[_SegmentJob]:
        """Something failed in a step of many: label each session alone, from its truth; give up those that fail."""
        good = []
        for job in jobs:
            try:
                self._sessions.rebuild(job.living)
                plans = self._point([job])
                self._labeller.run(plans)
                self._decode([job], plans)
                good.append(job)
            except Exception as error:
                self._give_up(job.write, error, result)
        return good

    def _give_up(self, operation: Operation, error: Exception, result: StepResult) -> None:
        """Reset the session: no label stands, texts do. `rev` and ids go on, or readers would drop what follows."""
        segment, offset = "", -1
        if isinstance(operation, Write | Remove):
            segment, offset = operation.segment, operation.offset
            result.entries += self._sessions.reset(operation)
        result.failures.append(Failure(operation.session, segment, offset, error))
        result.stats.failures += 1
        self._answer(operation, result)

    def _count(self, result: StepResult, before: LabellerCounters) -> None:
        after, stats = self._labeller.counters(), result.stats
        stats.messages, stats.revisions = len(result.answered), len(result.revisions)
        stats.evictions = after.evictions - before.evictions
        stats.reanchors = after.reanchors - before.reanchors
        stats.flops = after.flops - before.flops
        stats.restarts_shortened = self._spending.shortened - self.stats.restarts_shortened
        stats.changes_undone = self._spending.undone - self.stats.changes_undone
        self._computed = stats.words_recomputed
        if self.budget and self.budget.unit == "flops":
            self.budget.pay(stats.flops, self._computed)
        self.stats.add(stats)


class _UpdateChange(NamedTuple):
    """What an update did to the words of one pass."""

    words: int
    """Words from the first on that is not as it was."""
    rewritten: int | None
    """See `diff_spans`."""
    flips: LabelFlips


def _add_up(growths: Sequence[Growth | None]) -> _UpdateChange | None:
    """What the taggers of a pass (one at least) say themselves, if they do."""
    first, by_input, by_model = growths[0], 0, 0
    for growth in growths:
        if growth is None or first is None:
            return None
        by_input += growth.by_input
        by_model += growth.by_model
    return first and _UpdateChange(first.arrived, first.rewritten, LabelFlips(by_input, by_model))


def _compare(text: str, job: _SegmentJob, of_pass: slice) -> _UpdateChange:
    """The same, of any two readings."""
    before, after = job.before[of_pass], job.after[of_pass]
    word, rewritten = first_change(text, before[0], job.write.text, after[0])
    return _UpdateChange(len(after[0].starts) - word, rewritten, count_flips(before, after, word))


def _stays(segment: Segment, tagger: str, reading: Labelling) -> bool:
    """Whether readers of one tagger have just the spans that it finds, as they had before: nothing is to be told."""
    shown = segment.shown.get(tagger)
    return shown is not None and shown.whole and reading.growth is not None and reading.growth.quiet


def _is_news(truth: Session, write: Write) -> bool:
    segment = truth.segments.get(write.segment)
    if segment is None:
        return write.final or write.text != ""
    return segment.text != write.text or (write.final and not segment.closed)
