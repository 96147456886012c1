"""Comparison of an update with what readers have: which of its taggers have anything to publish."""

from collections.abc import Iterator, Sequence
from functools import partial

from stream.engine.changes import (
    SegmentJob,
    diff_for_tagger,
    measure_change,
    scores_are_news,
    settle_unchanged,
    slice_passes,
    spans_unchanged,
)
from stream.revisions.emission import Emission
from stream.revisions.score_thresholds import ScoreThresholds
from stream.revisions.settled import SettledRules
from stream.revisions.settled_watch import SettledWatch
from stream.revisions.span_diff import Difference
from stream.sessions.stats import EngineStats


class UpdateComparer:
    """Compares the readings of an update, pass by pass and tagger by tagger.

    Args:
        passes: names of the taggers by pass (`Labeller.passes`).
        watch: told of the settled text of segments that close.
        emission, thresholds, rules, whole_words: as for `stream.engine.engine.Engine`.
    """

    def __init__(
        self,
        passes: Sequence[Sequence[str]],
        *,
        emission: Emission,
        thresholds: ScoreThresholds,
        rules: SettledRules,
        watch: SettledWatch,
        whole_words: bool,
    ) -> None:
        self._passes = slice_passes(passes)
        self._thresholds = thresholds
        self._rules = rules
        self._diff_for_tagger = partial(
            diff_for_tagger,
            emission=emission,
            thresholds=thresholds,
            rules=rules,
            watch=watch,
            whole_words=whole_words,
        )

    def compare(self, job: SegmentJob, stats: EngineStats) -> Iterator[tuple[str, Difference] | None]:
        """Measure the changes of an update pass by pass.

        Yields, by tagger, the difference from the readers' spans, and None between parts of the work.
        """
        write, state = job.write, job.session.state
        state.begin_change(write.offset, write.fully_applied_through)
        segment = state.open_segment(write)
        job.is_edit = segment.closed
        closing = write.final and not segment.closed
        stats.updates += write.closed_by is None
        stats.forced_closings += closing and write.closed_by is not None
        for names, of_pass in self._passes:
            change = measure_change(segment.text, job, of_pass)
            readings = job.after[of_pass]
            stats.words += change.words
            stats.count_work(readings[0].work, closing, change.flips)
            for name, reading in zip(names, readings, strict=True):
                if (
                    closing
                    or not spans_unchanged(segment, name, reading)
                    or scores_are_news(segment, name, reading, self._thresholds)
                    or settle_unchanged(job, segment, name, reading, change.rewritten, self._rules)
                ):
                    difference = yield from self._diff_for_tagger(job, segment, name, reading, change.rewritten)
                    yield name, difference
