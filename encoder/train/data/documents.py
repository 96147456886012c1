"""Reading unlabelled documents: `.jsonl` or `.jsonl.gz`, one document a line, which is a list of texts."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from encoder.model.config import ConfigError

UTTERANCE = 24
"""Words of a sequence that words with times are cut into."""
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'“])")


class _Document(msgspec.Struct):
    """A document in one of three forms."""

    turns: list[tuple[str, str]] = []
    """Speaker and text."""
    paragraphs: list[str] = []
    """Texts of several sentences."""
    asr_words: list[tuple[str, float, float]] = []
    """Words of a recogniser, with start and end."""


def is_document_file(path: Path) -> bool:
    """Whether a file holds documents rather than one text a line: if its first line does."""
    if path.name.endswith(".jsonl.gz"):
        return True
    if path.suffix != ".jsonl":
        return False
    with path.open("rb") as file:
        return re.match(rb'\{"?.*"(turns|paragraphs|asr_words)"\s*:\s*\[', file.readline(100_000)) is not None


def read_documents(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Read documents: the name of each, and its texts (a turn, a sentence, or some words) in order.

    Raises:
        ConfigError: a line is malformed; the message names it.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                document = msgspec.json.decode(line, type=_Document)
            except msgspec.DecodeError as error:
                raise ConfigError(f"training data: {path}, line {number}: {error}") from error
            texts = [text for _, text in document.turns]
            texts += [s for paragraph in document.paragraphs for s in SENTENCE_END.split(paragraph)]
            words = [word for word, _, _ in document.asr_words]
            texts += [" ".join(words[i : i + UTTERANCE]) for i in range(0, len(words), UTTERANCE)]
            yield f"{path.name}:{number}", texts
