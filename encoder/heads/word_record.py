"""Word records: the standing label of a word for one tagger, in 22 bytes.

The words of a segment are such records one after the other, as immutable bytes. So the result of an update is at once
the state that a session holds, the old state of the next update, and what is stored for another process.
"""

import numpy as np

WORD = np.dtype(
    [("labels", "<u2"), ("probability", "<f4"), ("entropy", "<f4"), ("base", "<f4"), ("drift", "<f4"), ("seen", "<u4")]
)
"""The label, its probability, the entropy of all labels, base and drift of the stability (`encoder.heads.stability`),
and the number of words that the segment had when the word was computed.
"""
SIZE = WORD.itemsize
"""Bytes of a record."""
