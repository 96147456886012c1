"""The unit of training text: one sequence of words with tags."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"\w+|[^\w\s]")
UNKNOWN = "?"
"""The tag of a word whose label is not known."""


@dataclass(frozen=True, slots=True)
class TextSequence:
    """One sequence (sentence, comment) of a document; `tags` are IOB2, or all "O" where nothing is labelled."""

    document: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
    as_is: bool = False
    """Whether augmentation leaves it as it is, because it is spoken or written already."""
    scores: tuple[tuple[str, float], ...] | None = None
    """Scores of the whole text by label, from 0 to 1; a label that is missing is not known. None: of a corpus without
    scores."""


def tag_spans(text: str, spans: Iterable[tuple[int, int, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split text into words with IOB2 tags; spans are in characters, end exclusive. Later spans win."""
    words = [(m.start(), m.end(), m.group()) for m in WORD.finditer(text)]
    tags = ["O"] * len(words)
    for start, end, label in spans:
        inside = [i for i, (a, b, _) in enumerate(words) if a < end and b > start]
        for i in inside:
            tags[i] = ("B-" if i == inside[0] else "I-") + label
    return tuple(word for _, _, word in words), tuple(tags)
