"""Labelled sequences as text that arrives word by word, and the tagger's labels read back onto their words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoder.train.config import TextSource
from encoder.train.text import read_source
from stream.labeller import Reading
from stream.metrics import Labels


class EvaluationError(ValueError):
    """Data or taggers that cannot be measured together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled sequence, as the text that arrives word by word."""

    text: str
    ends: NDArray[np.int32]  # (words,) end of each word in `text`, exclusive
    gold: Labels  # (words,)


def read_examples(path: Path, names: tuple[str, ...], rename: dict[str, str], limit: int | None) -> list[Example]:
    """Read a CoNLL file (or JSONL spans) against a tagger's label names.

    Args:
        path: the file.
        names: the tagger's labels; they number the gold.
        rename: the file's types to the tagger's; an empty name drops a type. Types that are not named stay.
        limit: read only so many sequences.

    Raises:
        ConfigError: the file cannot be read.
        EvaluationError: it has a type that the tagger has not.
    """
    numbers = {name: i for i, name in enumerate(names)}
    examples = []
    for sequence in read_source(TextSource(path=str(path)))[:limit]:
        tags = [_rename(tag, rename) for tag in sequence.tags]
        unknown = sorted({tag[2:] for tag in tags if tag not in numbers})
        if unknown:
            has = ", ".join(sorted({name[2:] for name in names[1:]}))
            raise EvaluationError(
                f"{path} has types that the tagger has not: {', '.join(unknown)} (it has {has}); "
                f"use --rename {unknown[0]}=OTHER, or --rename {unknown[0]}= to drop it"
            )
        ends = np.cumsum([len(word) + 1 for word in sequence.words], dtype=np.int32) - 1
        gold = np.array([numbers[tag] for tag in tags], np.int32)
        examples.append(Example(" ".join(sequence.words), ends.astype(np.int32), gold))
    return examples


def _rename(tag: str, rename: dict[str, str]) -> str:
    kind = rename.get(tag[2:], tag[2:])
    return tag[:2] + kind if kind else "O"


def word_labels(reading: Reading, ends: NDArray[np.int32], begins: NDArray[np.int32]) -> Labels:
    """Read the labels of a file's words off the tagger's words, of which each may hold several ("u.s." holds four).

    Args:
        reading: the tagger's words.
        ends: (words,) end of each of the file's words that arrived.
        begins: (labels,) the number of B-x at B-x and I-x, and 0 at O.

    Returns:
        (words,) the label of each word's last part; B-x if the span begins anywhere in the word; O if it has no part.
    """
    end = np.searchsorted(reading.ends, ends, side="right")  # parts that end within this word or before
    first = np.concatenate([[0], end[:-1]])
    if not len(reading.labels):
        return np.zeros(len(ends), np.int32)
    parts = np.arange(len(reading.labels))
    opens = (reading.labels > 0) & (reading.labels == begins[reading.labels])
    span = np.maximum.accumulate(np.where(opens, parts, -1))  # the part that each part's span begins in
    last = np.maximum(end - 1, 0)
    labels = reading.labels[last]
    labels = np.where(span[last] >= first, begins[labels], labels)
    return np.where(end > first, labels, 0).astype(np.int32)


def begin_table(names: tuple[str, ...]) -> NDArray[np.int32]:
    """Make the table that `word_labels` reads."""
    return np.array([names.index("B-" + name[2:]) if name != "O" else 0 for name in names], np.int32)
