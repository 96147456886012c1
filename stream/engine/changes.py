"""Changes of one update: of the text, of the words of each pass, and of the spans that the readers of a tagger have."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import msgspec

from stream.labelling.labeller import Growth, Labelling
from stream.messages.types import Revision
from stream.revisions.emission import Emission
from stream.revisions.promise_watch import PromiseWatch
from stream.revisions.score_thresholds import ScoreThresholds, publish_scores
from stream.revisions.settled import (
    SettledRules,
    freeze_settled,
    keep_settled,
    settle_text,
    tail_spans,
    text_spans,
)
from stream.revisions.settled_watch import SettledWatch, compare_settled
from stream.revisions.span_diff import Difference, diff_spans
from stream.revisions.span_fates import find_fates
from stream.revisions.spans import LabelFlips, count_flips, find_spans, first_change, score_segment
from stream.revisions.whole_words import fit_to_words
from stream.sessions.active_session import ActiveSession
from stream.sessions.operations import Write
from stream.sessions.session import Segment, Session
from stream.sessions.snapshot import Entry
from stream.sessions.step_result import SettledSegment

Changes = tuple[list[Revision], list[Entry], list[SettledSegment]]
"""What a finished operation publishes and stores, and the settled text that it leads to."""


@dataclass(slots=True)
class SegmentJob:
    """Labelling of one segment of one session in one step."""

    session: ActiveSession
    write: Write
    before: Sequence[Labelling]
    """The last reading of the segment by each tagger."""
    after: tuple[Labelling, ...] = ()
    """The new reading by each tagger."""
    is_edit: bool = False
    """Whether the segment was closed before."""
    settled: dict[str, int] = field(default_factory=dict)
    """The settled offset of the new text, by tagger (`stream.revisions.settled`)."""

    def settled_segments(self) -> list[SettledSegment]:
        """Return what readers may have of the segment, once the update is committed."""
        write, state = self.write, self.session.state
        return [
            SettledSegment(
                tagger,
                write.session,
                write.segment,
                write.offset,
                write.text,
                write.final or self.is_edit,
                offset,
                state.spans_of(tagger, write.segment).spans,
            )
            for tagger, offset in self.settled.items()
        ]


class UpdateChange(msgspec.Struct, frozen=True, gc=False):
    """Effect of an update on the words of one pass."""

    words: int
    """Number of words from the first changed one on."""
    rewritten: int | None
    """First rewritten character (`diff_spans`); None if the text only grew."""
    flips: LabelFlips


def changes_text(state: Session, write: Write) -> bool:
    """Tell whether a write needs labelling: its text differs from the labelled one, or it closes the segment."""
    segment = state.segments.get(write.segment)
    if segment is None:
        return write.final or write.text != ""
    return segment.text != write.text or (write.final and not segment.closed)


def measure_change(text: str, job: SegmentJob, of_pass: slice) -> UpdateChange:
    """Measure the change of the words of one pass; `text` is that of the segment before the update."""
    after = job.after[of_pass]
    growth = after[0].growth
    if growth is not None and len(after) == 1:
        return UpdateChange(growth.arrived, growth.rewritten, LabelFlips(growth.by_input, growth.by_model))
    return sum_growth([x.growth for x in after]) or _compare_readings(text, job.before[of_pass], job.write.text, after)


def sum_growth(growths: Sequence[Growth | None]) -> UpdateChange | None:
    """Sum the growths that the taggers of a pass reported (at least one tagger); None if one of them reported none."""
    first, by_input, by_model = growths[0], 0, 0
    for growth in growths:
        if growth is None or first is None:
            return None
        by_input += growth.by_input
        by_model += growth.by_model
    return None if first is None else UpdateChange(first.arrived, first.rewritten, LabelFlips(by_input, by_model))


def diff_for_tagger(
    job: SegmentJob,
    segment: Segment,
    tagger: str,
    reading: Labelling,
    rewritten: int | None,
    *,
    emission: Emission,
    thresholds: ScoreThresholds,
    rules: SettledRules,
    watch: SettledWatch,
    whole_words: bool,
) -> Generator[None, None, Difference]:
    """Compare the spans and text scores that the readers of one tagger are to have with those that they have.

    `segment` is as it was before the update; `rewritten` is the first rewritten character (`diff_spans`). It yields
    between its parts, each of which takes long where there are thousands of spans.
    """
    write, state = job.write, job.session.state
    shown = state.spans_of(tagger, write.segment)
    final = write.final or segment.closed
    fitted = fit_to_words(write.text, reading) if whole_words else reading
    yield
    published = emission.choose_spans(segment.text, shown.spans, write.text, fitted, final)
    kept = keep_settled(segment.text, shown.spans, write.text, shown.settled, rewritten)
    if not final:
        published = freeze_settled(fitted, published, shown.spans, kept)
    yield
    found = find_spans(write.text, write.times, published, write.speaker, write.channel)
    yield
    next_id = state.counters_of(tagger).next_span
    difference = diff_spans(segment.text, shown.spans, write.text, found, rewritten, next_id)
    shown.complete = published is fitted or list(published.spans) == list(fitted.spans)
    difference.score = score_segment(reading)
    thresholds.add_scores(difference, tagger, shown.scores, publish_scores(reading), segment.closed)
    if final:
        job.settled[tagger] = len(write.text)
    else:
        now = tail_spans(published, kept)
        before = now if shown.complete else tail_spans(fitted, kept)
        job.settled[tagger] = settled = settle_text(write.text, reading, before, now, kept, rules.rule_of(tagger))
        difference.settled_is_news = rules.is_news(write.text, shown.settled_told, settled)
    if not segment.closed and write.final:
        watch.observe(state.id, tagger, compare_settled(text_spans(shown.spans), text_spans(difference.spans), kept))
    return difference


def commit_changes(job: SegmentJob, differences: Sequence[tuple[str, Difference]], promises: PromiseWatch) -> Changes:
    """Store and publish the differences of an update, by tagger, and note what became of spans published before."""
    revisions, entries = job.session.commit_update(job.write, job.after, differences, job.settled)
    for tagger, difference in () if job.is_edit else differences:
        promises.observe(job.write.session, tagger, find_fates(difference, job.write.final))
    return revisions, entries, job.settled_segments()


def settle_unchanged(
    job: SegmentJob, segment: Segment, tagger: str, reading: Labelling, rewritten: int | None, rules: SettledRules
) -> bool:
    """Find the settled text of a tagger whose spans did not change; tells whether it is to be published."""
    shown, text = segment.published_spans[tagger], job.write.text
    if segment.closed:
        job.settled[tagger] = len(text)
        return False
    kept = keep_settled(segment.text, shown.spans, text, shown.settled, rewritten)
    spans = text_spans(shown.spans, kept)
    job.settled[tagger] = settled = settle_text(text, reading, spans, spans, kept, rules.rule_of(tagger))
    return rules.is_news(text, shown.settled_told, settled)


def spans_unchanged(segment: Segment, tagger: str, reading: Labelling) -> bool:
    """Tell whether the readers of a tagger already have exactly the spans of its new reading."""
    shown = segment.published_spans.get(tagger)
    return shown is not None and shown.complete and reading.growth is not None and reading.growth.spans_unchanged


def scores_are_news(segment: Segment, tagger: str, reading: Labelling, thresholds: ScoreThresholds) -> bool:
    """Tell whether text scores are to be published, of a tagger whose readers have the spans of its new reading."""
    seen = segment.published_spans[tagger].scores
    if reading.scores is None and not seen:
        return False
    return thresholds.is_news(tagger, seen, publish_scores(reading), segment.closed)


def slice_passes(passes: Sequence[Sequence[str]]) -> list[tuple[Sequence[str], slice]]:
    """Give each pass the slice of its taggers among all taggers."""
    sliced, end = [], 0
    for names in passes:
        sliced.append((names, slice(end, end + len(names))))
        end += len(names)
    return sliced


def _compare_readings(
    old_text: str, before: Sequence[Labelling], text: str, after: Sequence[Labelling]
) -> UpdateChange:
    word, rewritten = first_change(old_text, before[0], text, after[0])
    return UpdateChange(len(after[0].starts) - word, rewritten, count_flips(before, after, word))
