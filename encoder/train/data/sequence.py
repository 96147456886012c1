"""The unit of training text: one sequence of words with tags."""

from dataclasses import dataclass

UNKNOWN = "?"
"""The tag of a word whose label is not known."""


@dataclass(frozen=True, slots=True)
class TextSequence:
    """One sequence (sentence, comment) of a document; `tags` are IOB2, or all "O" where nothing is labelled."""

    document: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
