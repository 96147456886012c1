"""Decoding of one long segment in slices: its scores are collected pass by pass, and its words are read part by part.

The result equals that of `stream.labelling.batch_decode.decode_segments`, bit for bit.
"""

from collections.abc import Generator, Sequence

import numpy as np

from encoder.heads.head import Head
from encoder.heads.word_record import WORD
from encoder.session.plan import SegmentPlan as EncoderPlan
from stream.labelling.batch_decode import (
    DecodedSegment,
    SegmentScores,
    copy_rows,
    count_computed_words,
    first_word_to_read,
    pool_text_scores,
    segment_growth,
    segment_work,
)
from stream.labelling.label_records import NO_SCORES, LabelledWords, grow_scores

_SLICE = 2048
"""Words that one head reads at once: about 5 ms."""


class CollectedScores:
    """Scores of the words of one segment, collected while its passes are run.

    Args:
        part: the segment.
        columns: columns of the scores.
    """

    def __init__(self, part: SegmentScores, columns: int) -> None:
        self._part = part
        self._last = part.encoded.word_token[1:] - 1
        before = part.before.scores if part.before is not None else NO_SCORES
        self._scores = grow_scores(before, len(self._last), columns)
        self._first_rows: list[int] = []

    def take_rows(self, plan: EncoderPlan) -> None:
        """Copy the scores of the passes that ran since the last call, and let the plan forget them."""
        rows = plan.take_rows()
        copy_rows(rows, self._last, self._scores)
        self._first_rows += [x.first for x in rows]

    def decode(self, heads: Sequence[Head]) -> Generator[None, None, DecodedSegment]:
        """Decode the segment after its last pass; yields between slices."""
        part, words, before = self._part, len(self._last), self._part.before
        first = part.kept_words
        if self._first_rows or part.closing:
            first = first_word_to_read(part, self._first_rows)
        elif first < words or (words and True in part.unread_heads):
            raise IndexError("words are to be decoded, but nothing was computed")
        stood, records, found = 0 if before is None else len(before.encoded.word_start), [], []
        for number, head in enumerate(heads):
            old = np.frombuffer(b"" if before is None else before.heads[number], WORD)
            new = np.empty(words, WORD)
            begin = 0 if part.unread_heads and part.unread_heads[number] else first
            segment = np.array([stood, 0, words, 0, begin, 0, part.first_changed], np.int64)
            columns = self._scores[:words, head.first : head.end]
            changes = yield from head.reader.read_in_slices(columns, segment, old, new, _SLICE)
            records.append(new.tobytes())
            found.append(changes.tolist())
        yield
        scores = self._scores
        if not self._first_rows and not part.closing:  # there may be none, and they must not seem to be known
            scores = NO_SCORES if before is None else before.scores
        (text_scores,) = pool_text_scores([part], [scores], [bool(self._first_rows)], heads)
        labelled = LabelledWords(part.encoded, scores, tuple(records), (False,) * len(heads), text_scores)
        work = segment_work(part, count_computed_words(part, self._last))
        return DecodedSegment(labelled, work, segment_growth(part, found))
