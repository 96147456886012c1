"""Batched decoding: label scores of all segments of one step to label records, in a few calls for each tagger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.heads.head import Head
from encoder.heads.reader import AFTER, BEFORE, CHANGED, FIRST, NOT_GROWN, ROW, STOOD, WORDS, ReadWords
from encoder.heads.word_record import SIZE, WORD
from encoder.kernel_cache import kernel
from encoder.session.plan import SegmentPlan as EncoderPlan
from encoder.session.plan import SegmentRows
from encoder.tokenizer.incremental import Encoded
from stream.labelling.label_records import NO_SCORES, LabelledWords, TextScoreValues, grow_scores
from stream.labelling.labeller import Growth, PlanWork, RestartKind


@dataclass(slots=True)
class SegmentScores:
    """Scores of one segment in one step, with the words before the update."""

    encoded: Encoded
    before: LabelledWords | None
    kept_words: int
    """Words that keep their labels; those from here on are decoded."""
    first_changed: int
    """First changed word, if the text only grew; else `NOT_GROWN`."""
    closing: bool
    unread_heads: tuple[bool, ...] = ()
    """For each head whether it has no labels of the segment yet, as it was restored without them; empty if none."""
    rows: list[SegmentRows] = field(default_factory=list)
    encoder_passes: list[EncoderPlan] = field(default_factory=list)

    @property
    def single_pass(self) -> bool:
        """Whether a single pass computed it, and all of that is decoded: nearly always."""
        if self.closing or self.unread_heads or len(self.encoder_passes) != 1 or len(self.rows) != 1:
            return False
        ranges = self.encoder_passes[0].ranges
        return len(ranges) == 1 and ranges[0][0] == self.rows[0].first


class DecodedSegment(msgspec.Struct, frozen=True):
    """Result of decoding one segment."""

    words: LabelledWords
    work: PlanWork
    growth: tuple[Growth | None, ...]
    """For each head; None unless the text only grew."""


def decode_segments(parts: Sequence[SegmentScores], heads: Sequence[Head], columns: int) -> list[DecodedSegment]:
    """Decode the segments of a step; `heads` are in the order of the records, `columns` those of the scores."""
    if not parts:
        return []
    segments, scores, kept_scores, counts = _gather_scores(parts, columns)
    rows, read = _find_read_words(segments, parts)
    changes, after = [], []
    for number, head in enumerate(heads):
        before = b"".join([part.before.heads[number] for part in parts if part.before is not None])
        records = np.empty(int(segments[-1, AFTER] + segments[-1, WORDS]), WORD)
        wanted = _with_unread_heads(segments, parts, number)
        own = None if read is None else ReadWords(rows, np.ascontiguousarray(read[:, number]))
        found = head.reader.read(scores[:, head.first : head.end], wanted, np.frombuffer(before, WORD), records, own)
        changes.append(found.tolist())
        after.append(records.tobytes())
    computed = [bool(part.rows) for part in parts]
    text_scores = pool_text_scores(parts, kept_scores, computed, heads)
    ends = (segments[:, AFTER] + segments[:, WORDS]) * SIZE
    decoded, begin, void = [], 0, (False,) * len(heads)
    for i, (part, end) in enumerate(zip(parts, ends.tolist(), strict=True)):
        words = LabelledWords(part.encoded, kept_scores[i], tuple([x[begin:end] for x in after]), void, text_scores[i])
        growth = segment_growth(part, [found[i] for found in changes])
        decoded.append(DecodedSegment(words, segment_work(part, counts[i]), growth))
        begin = end
    return decoded


def pool_text_scores(
    parts: Sequence[SegmentScores],
    scores: Sequence[NDArray[np.float32]],
    computed: Sequence[bool],
    heads: Sequence[Head],
) -> list[tuple[TextScoreValues, ...]]:
    """Return the text scores of each segment by each head.

    A segment of which nothing was computed since it was restored, or closed, has no columns; its tokens are those that
    it had, and so are its text scores.

    Args:
        scores: of each segment the columns (words or more, columns) that it keeps.
        computed: of each segment whether any of its words was computed.
    """
    if all(head.text_scores is None for head in heads):
        return [(None,) * len(heads)] * len(parts)
    found: list[list[TextScoreValues]] = [[None] * len(heads) for _ in parts]
    pooled: list[tuple[int, NDArray[np.float32]]] = []
    for i, (part, own, new) in enumerate(zip(parts, scores, computed, strict=True)):
        words = len(part.encoded.word_start)
        if not words:
            continue
        if part.before is not None and not new and not part.closing and not len(part.before.scores):
            found[i] = list(part.before.text_scores)
        else:
            pooled.append((i, own[:words]))
    for number, head in enumerate(heads):
        if head.text_scores is not None:
            values = head.text_scores.pool_texts([own for _, own in pooled])
            for (i, _), one in zip(pooled, values, strict=True):
                found[i][number] = one
    return [tuple(x) for x in found]


def _find_read_words(
    segments: NDArray[np.int64], parts: Sequence[SegmentScores]
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Find the segments whose words the encoder has read already: all that are to be decoded, in its last pass.

    Returns:
        (S,) row of each segment's first word, -1 where its words are decoded from scores; and (M, heads, 5) the words,
        None if there are none.
    """
    rows, found, count = np.full(len(parts), -1, np.int64), [], 0
    some = next((x for part in parts for x in part.encoder_passes), None)
    if some is None or some.words is None:  # the encoder reads no words
        return rows, None
    for i, part in enumerate(parts):
        read = next((x.read for x in reversed(part.encoder_passes) if x.ranges), None)
        first = segments[i, FIRST]
        if read is not None and read.first == first and not (first and True in part.unread_heads):
            rows[i] = count
            count += len(read.values)
            found.append(read.values)
    return rows, np.concatenate(found) if found else None


def _with_unread_heads(segments: NDArray[np.int64], parts: Sequence[SegmentScores], number: int) -> NDArray[np.int64]:
    """Return the facts of the segments for one head, which decodes segments without labels of it from the first word.

    `_gather_scores` gave all words of those a row: they were restored without scores, so the plan computed them whole.
    """
    unread = [i for i, part in enumerate(parts) if part.unread_heads and part.unread_heads[number]]
    if unread:
        segments = segments.copy()
        segments[unread, FIRST] = 0
    return segments


def _gather_scores(
    parts: Sequence[SegmentScores], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[NDArray[np.float32]], list[int]]:
    """Copy the score row of each computed word: that of its last token.

    Returns:
        (S, 7) facts of each segment for the readers, the packed scores of the words to decode, the scores that each
        segment keeps from now on, and the number of its words that were computed.
    """
    single = [part.single_pass for part in parts]
    both = list(zip(parts, single, strict=True))
    inputs = np.array([_segment_inputs(part, is_single) for part, is_single in both], np.int64)
    logits = [part.rows[0].logits for part, is_single in both if is_single]
    packed = np.concatenate(logits) if logits else np.empty((0, columns), np.float32)
    tokens = np.concatenate([part.encoded.word_token for part in parts])
    scores, segments = np.empty_like(packed), np.empty((len(parts), 7), np.int64)
    computed = np.empty((len(parts), 4), np.int64)
    used = _copy_scores(inputs, tokens, packed, scores, segments, computed)
    scores, counts = scores[:used], computed[:, _COMPUTED].tolist()
    kept_scores, whole = [], []
    for i, ((part, is_single), (first, end, row, count)) in enumerate(zip(both, computed.tolist(), strict=True)):
        words, own = len(part.encoded.word_start), part.before.scores if part.before is not None else NO_SCORES
        if (is_single or part.rows or part.closing) and not words <= len(own) > 0:
            own = grow_scores(own, words, columns)  # else there may be none, and they must not seem to be known
        kept_scores.append(own)
        if is_single:
            own[first:end] = scores[row : row + count]
        elif part.rows or part.closing:
            counts[i] = _copy_all_scores(part, own)
            segments[i, FIRST], segments[i, ROW] = first_word_to_read(part, [rows.first for rows in part.rows]), used
            whole.append(own[:words])
            used += words
        elif part.kept_words < words or (words and True in part.unread_heads):
            raise IndexError("words are to be decoded, but nothing was computed")
    return segments, np.concatenate([scores, *whole]) if whole else scores, kept_scores, counts


_COMPUTED = 3


def _segment_inputs(part: SegmentScores, is_single: bool) -> tuple[int, ...]:
    """Return the numbers of old and of new words, the first changed word and the kept words.

    Of a single pass also: the first computed token, the number of computed tokens, and that of tokens that keep labels.
    """
    start = count = stands = 0
    if is_single:
        start, logits = part.rows[0]
        count, stands = len(logits), part.encoder_passes[0].final_tokens
    stood = len(part.before.encoded.word_start) if part.before is not None else 0
    return stood, len(part.encoded.word_start), part.first_changed, part.kept_words, start, count, stands


@kernel(nogil=True)
def _copy_scores(
    inputs: NDArray[np.int64],
    tokens: NDArray[np.int32],
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    segments: NDArray[np.int64],
    computed: NDArray[np.int64],
) -> int:
    """Copy rows of words out of rows of tokens.

    Args:
        inputs: (S, 7) from `_segment_inputs`.
        tokens: (words + S,) `Encoded.word_token` of all segments.
        logits: (T, columns) rows of tokens.
        scores: (T or more, columns) receives rows of words.
        segments: (S, 7) receives the facts for the readers.
        computed: (S, 4) receives the computed words (first, end), their row, and their number.

    Returns:
        Number of rows of `scores` that were written.
    """
    token = old = new = given = row = 0
    for s in range(len(inputs)):
        stood, words, changed, keep, start, count, stands = inputs[s]
        ends = tokens[token + 1 : token + 1 + words]
        first = np.searchsorted(ends, start + 1) if count else words
        end = np.searchsorted(ends, start + count + 1) if count else words
        segments[s, STOOD], segments[s, BEFORE], segments[s, WORDS], segments[s, AFTER] = stood, old, words, new
        segments[s, FIRST], segments[s, ROW], segments[s, CHANGED] = keep, row - first, changed
        if count:
            segments[s, FIRST] = min(keep, np.searchsorted(ends, max(start, stands) + 1))
            if segments[s, FIRST] < first or end < words:
                raise IndexError("words are to be decoded that were not computed")
        computed[s] = first, end, row, end - first
        for i in range(first, end):
            scores[row] = logits[given + ends[i] - 1 - start]
            row += 1
        token, old, new, given = token + words + 1, old + stood, new + words, given + count
    return row


def _copy_all_scores(part: SegmentScores, scores: NDArray[np.float32]) -> int:
    """Copy all rows of a segment, later ones over earlier ones; returns the words computed by all its passes."""
    last = part.encoded.word_token[1:] - 1  # (words,)
    copy_rows(part.rows, last, scores)
    return count_computed_words(part, last)


def copy_rows(rows: Iterable[SegmentRows], last: NDArray[np.int32], scores: NDArray[np.float32]) -> None:
    """Copy the rows of words out of rows of tokens.

    Args:
        rows: later ones replace earlier ones.
        last: (words,) last token of each word.
        scores: (words or more, columns) receives the rows.
    """
    for one in rows:
        a, b = last.searchsorted((one.first, one.first + len(one.logits)))
        scores[a:b] = one.logits[last[a:b] - one.first]


def count_computed_words(part: SegmentScores, last: NDArray[np.int32]) -> int:
    """Count the words that all passes of a segment computed; `last` are the last tokens of its words (words,)."""
    bounds = [last.searchsorted(ends) for x in part.encoder_passes for ends in x.ranges]
    return sum(int(b - a) for a, b in bounds)


def first_word_to_read(part: SegmentScores, first_rows: Iterable[int]) -> int:
    """Return the first word to decode, given the first tokens of all new rows.

    At the close it is 0, so that no label depends on earlier updates.
    """
    if part.closing:
        return 0
    stands = part.encoder_passes[0].final_tokens if part.encoder_passes else 0
    last = part.encoded.word_token[1:] - 1
    return min([part.kept_words, *(int(last.searchsorted(max(first, stands))) for first in first_rows)])


def segment_growth(part: SegmentScores, changes: Sequence[Sequence[int]]) -> tuple[Growth | None, ...]:
    """Return the growth of the readings of all taggers, given their changes; None unless the text only grew."""
    if part.first_changed == NOT_GROWN or part.before is None:
        return (None,) * len(changes)
    encoded, before, changed = part.encoded, part.before.encoded, part.first_changed
    rewritten = int(before.word_start[changed]) if changed < len(before.word_start) else None
    arrived, continues = len(encoded.word_start) - changed, _continues_word(encoded, changed)
    return tuple(
        [
            Growth(arrived, rewritten, by_input, by_model, bool(same) and not continues)
            for by_input, by_model, same in changes
        ]
    )


def _continues_word(encoded: Encoded, word: int) -> bool:
    """Tell whether no white space is before a word: it may change the extent of a span of the word before it."""
    if not 0 < word < len(encoded.word_start):
        return False
    between = encoded.cleaned[encoded.word_end[word - 1] : encoded.word_start[word]]
    return between != " " and not any(map(str.isspace, between))


def segment_work(part: SegmentScores, words: int) -> PlanWork:
    """Sum the work of a segment's passes, which computed this many words."""
    if len(part.encoder_passes) == 1:
        plan = part.encoder_passes[0]
        return PlanWork(plan.kind, words, plan.computed)
    kinds = {x.kind for x in part.encoder_passes}
    kind: RestartKind = (
        "full" if "full" in kinds else "local" if "local" in kinds else "append" if kinds - {"none"} else "none"
    )
    return PlanWork(kind, words, sum(x.computed for x in part.encoder_passes))
