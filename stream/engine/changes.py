"""Changes of one update: of the text, of the words of each pass, and of the spans that the readers of a tagger have."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream.labelling.labeller import Growth, Labelling
from stream.revisions.emission import Emission
from stream.revisions.score_thresholds import ScoreThresholds, publish_scores
from stream.revisions.span_diff import Difference, diff_spans
from stream.revisions.spans import LabelFlips, count_flips, find_spans, first_change, score_segment
from stream.revisions.whole_words import fit_to_words
from stream.sessions.active_session import ActiveSession
from stream.sessions.operations import Write
from stream.sessions.session import Segment, Session


@dataclass(slots=True)
class SegmentJob:
    """Labelling of one segment of one session in one step."""

    session: ActiveSession
    write: Write
    before: Sequence[Labelling]
    """The last reading of the segment by each tagger."""
    after: tuple[Labelling, ...] = ()
    """The new reading by each tagger."""


class UpdateChange(NamedTuple):
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
    return sum_growth([x.growth for x in after]) or _compare_readings(text, job.before[of_pass], job.write.text, after)


def sum_growth(growths: Sequence[Growth | None]) -> UpdateChange | None:
    """Sum the growths that the taggers of a pass reported (at least one tagger); None if one of them reported none."""
    first, by_input, by_model = growths[0], 0, 0
    for growth in growths:
        if growth is None or first is None:
            return None
        by_input += growth.by_input
        by_model += growth.by_model
    return first and UpdateChange(first.arrived, first.rewritten, LabelFlips(by_input, by_model))


def diff_for_tagger(
    job: SegmentJob,
    segment: Segment,
    tagger: str,
    reading: Labelling,
    rewritten: int | None,
    *,
    emission: Emission,
    thresholds: ScoreThresholds,
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
    yield
    found = find_spans(write.text, write.times, published, write.speaker, write.channel)
    yield
    next_id = state.counters_of(tagger).next_span
    difference = diff_spans(segment.text, shown.spans, write.text, found, rewritten, next_id)
    shown.complete = published is fitted or list(published.spans) == list(fitted.spans)
    difference.score = score_segment(reading)
    thresholds.add_scores(difference, tagger, shown.scores, publish_scores(reading), segment.closed)
    return difference


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
