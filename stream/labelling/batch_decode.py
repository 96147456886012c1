"""Scores of one step to the words of each of its segments: gathered and read for all of them in a few calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from encoder.heads.head import Head
from encoder.heads.reader import AFTER, BEFORE, CHANGED, FIRST, NOT_GROWN, ROW, STOOD, WORDS
from encoder.heads.word_record import SIZE, WORD
from encoder.session.plan import SegmentPlan as EncoderPlan
from encoder.session.plan import SegmentRows
from encoder.tokenizer.incremental import Encoded
from stream.labelling.label_records import LabelledWords, with_room
from stream.labelling.labeller import Growth, Kind, PlanWork


@dataclass(slots=True)
class SegmentScores:
    """A segment of a step: what was computed of it, and what that is read against."""

    encoded: Encoded
    before: LabelledWords | None
    keep: int
    """Words that stand; those from here on are to be read."""
    changed: int
    """First word that is not as it was, where the text only grew; else `NOT_GROWN`."""
    closing: bool
    anew: tuple[bool, ...] = ()
    """Heads that have read nothing of the segment yet, as its words were kept without them; empty if there is none."""
    rows: list[SegmentRows] = field(default_factory=list)
    ran: list[EncoderPlan] = field(default_factory=list)

    @property
    def plain(self) -> bool:
        """Whether one pass computed it, all of which is read: nearly always."""
        if self.closing or self.anew or len(self.ran) != 1 or len(self.rows) != 1:
            return False
        ranges = self.ran[0].ranges
        return len(ranges) == 1 and ranges[0][0] == self.rows[0].first


class DecodedSegment(NamedTuple):
    """What became of a segment."""

    words: LabelledWords
    work: PlanWork
    growth: tuple[Growth | None, ...]
    """Of each head, where the text only grew."""


def read_parts(parts: Sequence[SegmentScores], heads: Sequence[Head], columns: int) -> list[DecodedSegment]:
    """Read segments; the encoder gave so many columns a token."""
    if not parts:
        return []
    segments, scores, held, counts = _gather(parts, columns)
    changes, after = [], []
    for number, head in enumerate(heads):
        before = b"".join([part.before.heads[number] for part in parts if part.before is not None])
        words = np.empty(int(segments[-1, AFTER] + segments[-1, WORDS]), WORD)
        wanted = _read_anew(segments, parts, number)
        found = head.reader.read(scores[:, head.first : head.end], wanted, np.frombuffer(before, WORD), words)
        changes.append(found.tolist())
        after.append(words.tobytes())
    ends = (segments[:, AFTER] + segments[:, WORDS]) * SIZE
    reads, begin, void = [], 0, (False,) * len(heads)
    for i, (part, end) in enumerate(zip(parts, ends.tolist(), strict=True)):
        stands = LabelledWords(part.encoded, held[i], tuple([x[begin:end] for x in after]), void)
        growth = tuple([_growth(part, *found[i]) for found in changes])
        reads.append(DecodedSegment(stands, _work(part, counts[i]), growth))
        begin = end
    return reads


def _read_anew(segments: NDArray[np.int64], parts: Sequence[SegmentScores], number: int) -> NDArray[np.int64]:
    """The segments as they are for one head: it reads all of those that it has not read before.

    `_gather` gave all words of those a row: they were kept without scores, so the plan computed them whole.
    """
    anew = [i for i, part in enumerate(parts) if part.anew and part.anew[number]]
    if anew:
        segments = segments.copy()
        segments[anew, FIRST] = 0
    return segments


def _gather(
    parts: Sequence[SegmentScores], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[NDArray[np.float32]], list[int]]:
    """Take over the scores of each word whose last token was computed.

    Returns:
        (S, 7) what readers need to know of each segment, the packed scores of the words that are to be read, the scores
        that each segment holds from now on, and the words that were computed of it.
    """
    plain = [part.plain for part in parts]
    facts = np.array([_facts(part, is_plain) for part, is_plain in zip(parts, plain, strict=True)], np.int64)
    logits = [part.rows[0].logits for part, is_plain in zip(parts, plain, strict=True) if is_plain]
    packed = np.concatenate(logits) if logits else np.empty((0, columns), np.float32)
    tokens = np.concatenate([part.encoded.word_token for part in parts])
    scores, segments = np.empty_like(packed), np.empty((len(parts), 7), np.int64)
    places = np.empty((len(parts), 4), np.int64)
    used = _take_scores(facts, tokens, packed, scores, segments, places)
    scores, counts = scores[:used], places[:, _COMPUTED].tolist()
    held, whole = [], []
    for i, (part, is_plain, (first, end, row, _)) in enumerate(zip(parts, plain, places.tolist(), strict=True)):
        words = len(part.encoded.word_start)
        mine = with_room(part.before.scores if part.before is not None else packed[:0], words, columns)
        held.append(mine)
        if is_plain:
            mine[first:end] = scores[row : row + end - first]
        elif part.rows or part.closing:
            counts[i] = _put_scores(part, mine)
            segments[i, FIRST], segments[i, ROW] = _first_word(part), used
            whole.append(mine[:words])
            used += words
        elif part.keep < words or (words and True in part.anew):
            raise IndexError("words are to be read of which nothing was computed")
    return segments, np.concatenate([scores, *whole]) if whole else scores, held, counts


_COMPUTED = 3


def _facts(part: SegmentScores, is_plain: bool) -> tuple[int, ...]:
    """Words that it had and has, the first that changed, those that stand; of a plain one the first token computed, how
    many were, and how many tokens there are whose labels stand.
    """
    start = count = stands = 0
    if is_plain:
        start, logits = part.rows[0]
        count, stands = len(logits), part.ran[0].final_tokens
    stood = len(part.before.encoded.word_start) if part.before is not None else 0
    return stood, len(part.encoded.word_start), part.changed, part.keep, start, count, stands


@numba.njit(cache=True, nogil=True)
def _take_scores(
    facts: NDArray[np.int64],
    tokens: NDArray[np.int32],
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    segments: NDArray[np.int64],
    places: NDArray[np.int64],
) -> int:
    """Copy the rows of words out of rows of tokens.

    Args:
        facts: (S, 7) of each segment, see `_facts`.
        tokens: (words + S,) `Encoded.word_token` of all.
        logits: (T, columns) rows of tokens.
        scores: (T or more, columns) is filled with rows of words.
        segments: (S, 7) is filled for the readers.
        places: (S, 4) is filled: words that were computed (first, end), their row, and how many the pass computed.

    Returns:
        Rows of `scores` that were filled.
    """
    token = old = new = given = row = 0
    for s in range(len(facts)):
        stood, words, changed, keep, start, count, stands = facts[s]
        ends = tokens[token + 1 : token + 1 + words]
        first = np.searchsorted(ends, start + 1) if count else words
        end = np.searchsorted(ends, start + count + 1) if count else words
        segments[s, STOOD], segments[s, BEFORE], segments[s, WORDS], segments[s, AFTER] = stood, old, words, new
        segments[s, FIRST], segments[s, ROW], segments[s, CHANGED] = keep, row - first, changed
        if count:
            segments[s, FIRST] = min(keep, np.searchsorted(ends, max(start, stands) + 1))
            if segments[s, FIRST] < first or end < words:
                raise IndexError("words are to be read that were not computed")
        places[s] = first, end, row, end - first
        for i in range(first, end):
            scores[row] = logits[given + ends[i] - 1 - start]
            row += 1
        token, old, new, given = token + words + 1, old + stood, new + words, given + count
    return row


def _put_scores(part: SegmentScores, scores: NDArray[np.float32]) -> int:
    """Take over all rows of a segment, later ones winning; returns the words that all its passes computed."""
    last = part.encoded.word_token[1:] - 1  # (words,)
    for rows in part.rows:
        a, b = last.searchsorted((rows.first, rows.first + len(rows.logits)))
        scores[a:b] = rows.logits[last[a:b] - rows.first]
    bounds = [last.searchsorted(ends) for x in part.ran for ends in x.ranges]
    return sum(int(b - a) for a, b in bounds)


def _first_word(part: SegmentScores) -> int:
    """The first word to read: of what was computed; at the close all, so that no label remembers its interims."""
    if part.closing:
        return 0
    stands = part.ran[0].final_tokens if part.ran else 0
    last = part.encoded.word_token[1:] - 1
    return min([part.keep, *(int(last.searchsorted(max(rows.first, stands))) for rows in part.rows)])


def _growth(part: SegmentScores, by_input: int, by_model: int, spans_unchanged: int) -> Growth | None:
    if part.changed == NOT_GROWN or part.before is None:
        return None
    encoded, before, changed = part.encoded, part.before.encoded, part.changed
    rewritten = int(before.word_start[changed]) if changed < len(before.word_start) else None
    return Growth(len(encoded.word_start) - changed, rewritten, by_input, by_model, bool(spans_unchanged))


def _work(part: SegmentScores, words: int) -> PlanWork:
    if len(part.ran) == 1:
        plan = part.ran[0]
        return PlanWork(plan.kind, words, plan.computed)
    kinds = {x.kind for x in part.ran}
    kind: Kind = (
        "full" if "full" in kinds else "local" if "local" in kinds else "append" if kinds - {"none"} else "none"
    )
    return PlanWork(kind, words, sum(x.computed for x in part.ran))
