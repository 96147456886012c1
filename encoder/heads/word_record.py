"""What stands of a word for one tagger: a record of 22 bytes.

The words of a segment are such records one after the other, as bytes that nobody changes. So what an update leaves is
at once what a session holds, what was before the next update, and what is kept for another process to go on from.
"""

import numpy as np

WORD = np.dtype(
    [
        ("labels", "<u2"),
        ("probability", "<f4"),
        ("entropy", "<f4"),
        ("base", "<f4"),
        ("drift", "<f4"),
        ("seen", "<u4"),
    ]
)
"""The label, its probability, the entropy of all, base and drift of the stability (`encoder.heads.stability`), and
the words that the segment had when the word was computed.
"""
SIZE = WORD.itemsize
"""Bytes a word."""
