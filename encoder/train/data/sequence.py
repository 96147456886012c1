"""The unit of training text: one sequence of words with tags."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

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
    punctuation: bool = False
    """Whether a tag is about what follows its word: of a word that is said as several it is the last one's."""


def tag_spans(text: str, spans: Iterable[tuple[int, int, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split text into words with IOB2 tags; spans are in characters, end exclusive. Later spans win."""
    words = [(m.start(), m.end(), m.group()) for m in WORD.finditer(text)]
    tags = ["O"] * len(words)
    for start, end, label in spans:
        inside = [i for i, (a, b, _) in enumerate(words) if a < end and b > start]
        for i in inside:
            tags[i] = ("B-" if i == inside[0] else "I-") + label
    return tuple(word for _, _, word in words), tuple(tags)


def holdout_position(sequence: TextSequence, seed: int) -> float:
    """A number in 0..1 that is the same for all of a document, or of a sequence without one, in every run of a seed."""
    name = sequence.document or " ".join(sequence.words)
    digest = blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64
