"""The segments of one session over one slot of the encoder: what each plan needs computed, pass by pass.

The scores of a closed segment are a function of the closed context that it joined (`encoder.session.closed_context`)
and of its own tokens, so *final equals offline*. That holds by construction: the slot is only a cache of passes that
the canonical history would have run. Before each pass the slot is compared with that history, and cut or replayed where
it differs. A pass is chosen only when it is about to run, so a session may be evicted between any two passes.

Several segments can be open. Each continues the closed context and knows nothing of the others; the slot holds one of
them. When the context has changed under an open segment, its labels stand until its next plan, which computes all of
them again. An edit or a deletion changes the context as if the segment had never had another text; labels of segments
that closed after it are not computed again.
"""

from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from encoder.runtime.passes import Pass
from encoder.session.closed_context import ClosedContext, ClosedSegment, SlotPosition, SlotSpan, WindowRules
from encoder.session.context_codec import load_context, save_context
from encoder.session.plan import OpenSegment, PlanningSession, SegmentPlan, StandingRead
from encoder.session.segment_window import SegmentWindow


class SessionEncoder:
    """Segments of one session. Made by `SessionPool.open_session`; token numbers are the segment's own, from 0."""

    def __init__(self, release_slot: Callable[[PlanningSession], None], rules: WindowRules) -> None:
        self.slot: int | None = None
        """Set by the pool before a pass is run."""
        self._release_slot = release_slot
        self._rules = rules
        self._context = ClosedContext(rules)
        self._open: dict[Hashable, OpenSegment] = {}
        self._spans: list[SlotSpan] = []  # closed segments in the slot, in the states that they closed with
        self._current: SegmentWindow | None = None  # the segment that lies after them
        self._window = 0  # first slot token that has a standing state
        self._aligned: SegmentPlan | None = None  # the plan whose base is known to begin with `_spans`

    # plans

    def plan_update(self, segment: Hashable, tokens: NDArray[np.int32], keep: int, restart: int) -> SegmentPlan:
        """Plan the scores of an open segment, which is opened here if it is new.

        Args:
            segment: the segment's id.
            tokens: (n,) all tokens of the segment as it is now; the caller does not change them afterwards.
            keep: leading tokens that stand since the segment's last plan (0 if it is new).
            restart: token from which the policy wants labels computed; any number, as it is clamped to the window's
                start and to the first token that is new or invalid.
        """
        opened = self._open.get(segment)
        if opened is None:
            opened = self._open[segment] = OpenSegment(segment, tokens)
        # A resumed segment has labels but no scores here: a tagger that is new to it could not be read.
        current = opened.context_version == self._context.version and not opened.scores_missing
        unchanged = current and keep == len(tokens) == opened.count
        keep = min(keep, opened.count, len(tokens))
        opened.computed_together = opened.computed_together and keep == opened.count
        opened.tokens = tokens
        if unchanged:
            return SegmentPlan(self, opened, [], opened.context_version, keep, 0, 0, done=True)
        return self._plan(opened, keep, restart)

    def plan_close(self, segment: Hashable) -> SegmentPlan:
        """Close an open segment with the tokens that it has; the plan computes what makes its labels canonical.

        Raises:
            KeyError: the segment is not open.
        """
        opened = self._open.pop(segment)
        current = opened.context_version == self._context.version and not opened.scores_missing
        done = current and opened.computed_together
        plan = self._plan(opened, opened.count, 0)
        plan.closes, plan.done = ClosedSegment(segment, opened.tokens), done or plan.done
        self._context.append_segment(plan.closes)
        return plan

    def plan_edit(self, segment: Hashable, tokens: NDArray[np.int32]) -> SegmentPlan:
        """Replace the tokens of a closed segment; all its labels are computed again, those of later segments stand.

        A segment that the context no longer shows is computed as the first of a session.
        """
        index = self._context.find(segment)
        base = self._context.context_before(index) if index >= 0 else []
        closed = ClosedSegment(segment, tokens)
        edited = OpenSegment(segment, tokens)
        plan = SegmentPlan(self, edited, base, None, 0, 0, 0, closes=closed, joins_context=index >= 0)
        same = index >= 0 and np.array_equal(self._context.closed[index].tokens, tokens)
        plan.done = not len(tokens)
        if index >= 0 and not same:
            self._context.replace_segment(index, closed)
        if not plan.done:
            self._current = None
        return plan

    def delete_segment(self, segment: Hashable) -> None:
        """Delete an open or closed segment; an unknown one is ignored."""
        opened = self._open.pop(segment, None)
        if opened is not None:
            if self._current is not None and self._current.segment is opened:
                self._current = None
        elif (index := self._context.find(segment)) >= 0:
            self._context.replace_segment(index, None)

    def forget_segment(self, segment: Hashable) -> None:
        """Free the id of a closed segment, which can no longer be edited or deleted; it stays in the context."""
        self._context.forget_segment(segment)

    def evict(self) -> None:
        """Drop everything that is cached; the next plan computes it again from the session's own tokens."""
        self._release_slot(self)
        self._spans, self._current, self._window, self._aligned = [], None, 0, None

    def free(self) -> None:
        """Drop the cache and forget all segments."""
        self.evict()
        self._context = ClosedContext(self._rules)
        self._open = {}

    def save_context(self) -> bytes:
        """Encode the closed context; ids of segments must be strings, and not empty."""
        return save_context(self._context)

    def load_context(self, data: bytes) -> None:
        """Replace the closed context by one that `save_context` encoded; only before anything else is done here.

        Raises:
            msgspec.DecodeError: `save_context` did not make these bytes.
        """
        self._context = load_context(self._rules, data)

    def resume_segment(self, segment: Hashable, tokens: NDArray[np.int32], standing: StandingRead) -> None:
        """Open a segment whose labels are stored elsewhere; its next plan computes it whole.

        That plan reports all scores. If the context is still that of the labels, the labels before
        `SegmentPlan.final_tokens` are final: reading them again would only repeat what is known.
        """
        self._open[segment] = OpenSegment(segment, tokens, standing.version, standing.whole, scores_missing=True)

    def standing_read(self, segment: Hashable) -> StandingRead:
        """Tell how an open segment's labels were computed, for `resume_segment`."""
        opened = self._open[segment]
        return StandingRead(opened.context_version, opened.computed_together)

    @property
    def missing_tokens(self) -> int:
        """Number of tokens of closed segments that the next plan computes again, because they are not cached."""
        return self._context.length if self.slot is None else 0

    def holds_segment(self, segment: Hashable) -> bool:
        """Tell whether an open segment's tokens are cached, so that its next plan continues them."""
        opened, current = self._open.get(segment), self._current
        if opened is None or current is None or current.segment is not opened or opened.scores_missing:
            return False
        return opened.context_version == self._context.version

    @property
    def reanchors(self) -> int:
        """Number of closings that re-anchored the context."""
        return self._context.reanchors

    # passes

    def next_pass(self, plan: SegmentPlan) -> Pass | None:
        """Choose the plan's next pass from what the slot holds; None once the plan is done."""
        while not plan.done:
            current = self._current or self._start_window(plan)
            self._current = current
            replayed = current.segment if isinstance(current.segment, SlotSpan) else None
            tokens = replayed.segment.tokens if replayed else plan.segment.tokens
            chosen = current.next_pass(len(tokens), current.first if replayed else plan.requested_restart)
            if not current.start and self._spans:
                self._spans = []  # re-anchored
            if chosen is not None:
                end, restart = chosen
                shift = current.first - current.start
                assert self.slot is not None
                begin = current.end + shift
                given = self._mark_start(tokens[begin : end + shift], begin)
                words = (
                    None if replayed or plan.words is None else plan.choose_words(shift, end + shift, restart + shift)
                )
                return Pass(self.slot, current.end, given, current.window, restart, words)
            if replayed:
                self._spans.append(replayed)
                self._current = None
            else:
                self._finish(plan, current)
        self._close_if_due(plan)
        return None

    def _mark_start(self, tokens: NDArray[np.int32], begin: int) -> NDArray[np.int32]:
        """Mark the first token of a segment, if the tokens from number `begin` on have it."""
        if begin or not self._rules.start_mark or not len(tokens):
            return tokens
        marked = tokens.copy()
        marked[0] += self._rules.start_mark
        return marked

    def record_pass(self, plan: SegmentPlan, one: Pass, logits: NDArray[np.float32]) -> None:
        """Record the scores (k, columns) of a pass that `next_pass` chose."""
        current = self._current
        assert current is not None
        end = one.keep + len(one.tokens)
        current.record_pass(end, one.restart)
        self._window = one.window
        plan.appended += len(one.tokens)
        plan.computed += end - one.restart
        if current.segment is plan.segment:
            shift = current.first - current.start
            last = end + shift
            plan.add_scores(one.restart + shift, last, current.first_restartable + shift, logits)
            if last == plan.segment.count:  # only the last pass of a plan gets there
                self._finish(plan, current)
        else:
            plan.replayed += end - one.restart

    # what the slot holds

    def _plan(self, opened: OpenSegment, keep: int, restart: int) -> SegmentPlan:
        """Plan an open segment's tokens, the first `keep` of which stand."""
        version = self._context.version
        stale = opened.context_version != version
        # A segment that was computed together and goes on passes a checkpoint at its end without another pass.
        stood = keep + (opened.computed_together and keep < opened.count)
        opened.context_version, opened.computed_together = None, False
        current = self._current
        fits = current is not None and current.segment is opened and current.context_version == version and not stale
        if current is not None and fits and current.cut(keep):
            first, read_from = current.first, current.segment_token(current.first_restartable)
        else:
            self._current = None
            read_all = stale or opened.scores_missing
            place = self._locate(0 if read_all else stood)
            first, read_from, restart = place.first, 0 if read_all else place.first_restartable, 0
        plan = SegmentPlan(self, opened, self._context.spans, version, keep, restart, read_from, first)
        if opened.scores_missing and not stale:
            plan.final_tokens = self._locate(stood).first_restartable
        if not opened.count:
            opened.context_version, opened.computed_together, plan.done = version, True, True
        return plan

    def _locate(self, count: int) -> SlotPosition:
        """Find the place that an open segment's first `count` tokens have in the canonical history."""
        return self._rules.locate(self._context.length, count)

    def _start_window(self, plan: SegmentPlan) -> SegmentWindow:
        """Start what the slot needs next: the next closed segment of the plan's base, or the plan's own segment."""
        if plan.first:
            self._spans = []
            return SegmentWindow(self._rules, plan.segment, plan.context_version, plan.first, 0, 0, 0)
        if self._aligned is not plan:
            del self._spans[_count_common(self._spans, plan.base) :]
            self._aligned = plan
        start = self._spans[-1].end if self._spans else 0
        if self._rules.opening_window(start) < self._window:
            self._spans, start = [], 0  # the states before the window are gone
        common = len(self._spans)
        span = plan.base[common] if common < len(plan.base) else None
        window = self._rules.opening_window(start)
        first = span.first if span else 0
        return SegmentWindow(self._rules, span or plan.segment, plan.context_version, first, start, window, start)

    def _finish(self, plan: SegmentPlan, current: SegmentWindow) -> None:
        segment = plan.segment
        segment.context_version, segment.scores_missing = plan.context_version, False
        segment.computed_together = current.computed_together
        plan.done = True

    def _close_if_due(self, plan: SegmentPlan) -> None:
        """Make a segment that has closed one of the spans that the next segment continues."""
        current = self._current
        if plan.closes is not None and current is not None and current.segment is plan.segment:
            if plan.joins_context and current.computed_together and current.end > current.start:
                self._spans.append(SlotSpan(plan.closes, current.first, current.start))
            self._current = None


def _count_common(held: list[SlotSpan], wanted: list[SlotSpan]) -> int:
    """Count the leading spans that are equal."""
    count = 0
    for a, b in zip(held, wanted, strict=False):
        if a != b:
            break
        count += 1
    return count
