"""Labelled sequences as text that arrives word by word, and the tagger's labels of their words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.train.config import TextSource
from encoder.train.data.sequence import WORD
from encoder.train.data.sequence import TextSequence as Sentence
from encoder.train.data.text import read_source
from stream.evaluation.metrics.chart_metrics import Extents, Labels
from stream.evaluation.replay.running_speech import join_sentences
from stream.labelling.labeller import Labelling

BATCH = 64
"""Sessions that are replayed side by side."""


class EvaluationError(ValueError):
    """Data or taggers that cannot be measured together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One labelled sequence."""

    text: str
    ends: NDArray[np.int32]  # (words,) end of each word in `text`, exclusive
    gold: Labels  # (words,)
    session: str = ""
    """Neighbours of one name are segments of one session, in their order; without a name it is a session of its own."""
    document: str = ""
    """Name of its document; empty if the file names none, as JSONL."""
    marks: Extents | None = None
    """Characters of its spans as in the file; None if the file has none (CoNLL)."""


class LabelledFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with gold labels, and how it is read."""

    data: Path
    """CoNLL file, or JSONL file of spans."""
    limit: int | None = None
    """Maximum number of sequences."""
    rename: dict[str, str] = {}
    """Type of the tagger for types of the file; an empty name drops a type. Other types stay."""
    spoken: bool = False
    """Whether to drop punctuation (`stream.evaluation.replay.running_speech`)."""
    join: int | None = None
    """Maximum number of words up to which neighbouring sequences of a document are joined."""

    def read_examples(self, names: tuple[str, ...], with_gold: bool = True) -> list[LabelledText]:
        """Read the file; `names` are the label names of the tagger, which number the gold labels.

        Without gold its types do not matter, and every word is outside of spans.

        Raises:
            ConfigError: the file cannot be read.
            EvaluationError: it has a type that the tagger lacks, or nothing but punctuation.
        """
        path, rename = self.data, self.rename
        sentences = read_source(TextSource(path=str(path)))[: self.limit]
        if with_gold:
            sentences = [replace(x, tags=tuple(_rename(tag, rename) for tag in x.tags)) for x in sentences]
        else:
            sentences = [replace(x, tags=("O",) * len(x.tags)) for x in sentences]
        unknown = sorted({tag[2:] for x in sentences for tag in x.tags if tag not in names})
        if unknown:
            has = ", ".join(sorted({name[2:] for name in names[1:]}))
            raise EvaluationError(
                f"{path} has types that the tagger lacks: {', '.join(unknown)} (it has {has}); "
                f"use --rename {unknown[0]}=OTHER, or --rename {unknown[0]}= to drop it"
            )
        numbers = {name: i for i, name in enumerate(names)}
        if path.suffix == ".jsonl" and not (self.spoken or self.join):
            return _read_marked(path, numbers, sentences, rename)
        joined = join_sentences(sentences, self.spoken, self.join)
        examples = [_join_words(numbers, sentence, session) for session, sentence in joined]
        if not examples:
            raise EvaluationError(f"{path} has nothing but punctuation: leave --spoken out")
        return examples


def sessions_of(examples: Sequence[LabelledText]) -> list[list[LabelledText]]:
    """Group examples by session: neighbours of one name, and each example without a name alone."""
    keys = [example.session or i for i, example in enumerate(examples)]
    return [[example for _, example in group] for _, group in groupby(zip(keys, examples, strict=True), lambda x: x[0])]


def batch_examples(examples: Sequence[LabelledText]) -> Iterator[list[int]]:
    """Yield the numbers of the examples of up to `BATCH` sessions of similar length; sessions stay whole."""
    sessions, first = [], 0
    for session in sessions_of(examples):
        sessions.append((sum(len(example.ends) for example in session), range(first, first + len(session))))
        first += len(session)
    sessions.sort(key=lambda session: session[0])
    for i in range(0, len(sessions), BATCH):
        yield [number for _, numbers in sessions[i : i + BATCH] for number in numbers]


def _join_words(numbers: dict[str, int], sentence: Sentence, session: str) -> LabelledText:
    ends = np.cumsum([len(word) + 1 for word in sentence.words], dtype=np.int32) - 1
    gold = np.array([numbers[tag] for tag in sentence.tags], np.int32)
    return LabelledText(" ".join(sentence.words), ends.astype(np.int32), gold, session, sentence.document)


class _JsonRow(msgspec.Struct):
    text: str
    spans: list[tuple[int, int, str]] = []


def _read_marked(
    path: Path, numbers: dict[str, int], sentences: Sequence[Sentence], rename: dict[str, str]
) -> list[LabelledText]:
    """Read examples with the characters of the file, which the words of `read_source` have lost."""
    rows = (msgspec.json.decode(line, type=_JsonRow) for line in path.read_bytes().split(b"\n") if line.strip())
    examples = []
    for row, sentence in zip((row for row in rows if WORD.search(row.text)), sentences, strict=False):
        ends = np.array([m.end() for m in WORD.finditer(row.text)], np.int32)
        gold = np.array([numbers[tag] for tag in sentence.tags], np.int32)
        marks = tuple((start, end) for start, end, kind in row.spans if rename.get(kind, kind))
        examples.append(LabelledText(row.text, ends, gold, marks=marks))
    return examples


def _rename(tag: str, rename: dict[str, str]) -> str:
    kind = rename.get(tag[2:], tag[2:])
    return tag[:2] + kind if kind else "O"


def word_labels(reading: Labelling, ends: NDArray[np.int32], begins: NDArray[np.int32]) -> Labels:
    """Return the labels of a file's words, each of which may hold several words of the tagger ("u.s." holds four).

    Args:
        reading: words of the tagger.
        ends: (words,) end of each of the file's words that arrived.
        begins: (labels,) from `begin_table`.

    Returns:
        (words,) the label of each word's last part; B-x if the span begins anywhere in the word; O if it has no part.
    """
    end = np.searchsorted(reading.ends, ends, side="right")  # parts that end within this word or before
    first = np.concatenate([[0], end[:-1]])
    if not len(reading.labels):
        return np.zeros(len(ends), np.int32)
    parts = np.arange(len(reading.labels))
    opens = (reading.labels > 0) & (reading.labels == begins[reading.labels])
    span = np.maximum.accumulate(np.where(opens, parts, -1))  # the part in which each part's span begins
    last = np.maximum(end - 1, 0)
    labels = reading.labels[last]
    labels = np.where(span[last] >= first, begins[labels], labels)
    return np.where(end > first, labels, 0).astype(np.int32)


def begin_table(names: tuple[str, ...]) -> NDArray[np.int32]:
    """Return (labels,) the number of B-x at B-x and I-x, and 0 at O."""
    return np.array([names.index("B-" + name[2:]) if name != "O" else 0 for name in names], np.int32)
