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
    scores: tuple[tuple[str, float], ...] | None = None
    """Scores of the whole text by label, from 0 to 1; a label that is missing is not known. None: of a corpus without
    scores."""
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
    return hash_text(f"{seed} {name}") / 2.0**64


def hash_text(text: str) -> int:
    """Give a number that is the same for the same text in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def keep_template(number: int, fold: str = "", without_fold: str = "") -> bool:
    """Tell whether a template is to be used.

    Args:
        number: of the template: its fold of n is the remainder of a division by n.
        fold: "k/n": keep fold k of n only.
        without_fold: "k/n": keep the other folds only.
    """
    place, _, folds = (fold or without_fold).partition("/")
    return not folds or (number % int(folds) == int(place)) is bool(fold)
