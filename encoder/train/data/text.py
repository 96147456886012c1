"""Reading training text: CoNLL files and JSONL spans into sequences of words with tags, in document order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from encoder.files import read_text_file, to_one_line
from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.contrast.generate import read_messages
from encoder.train.data.convention import apply_convention
from encoder.train.data.documents import is_document_file, read_documents
from encoder.train.data.names.generate import read_named_texts
from encoder.train.data.pii.generate import read_generated
from encoder.train.data.punctuation import punctuate
from encoder.train.data.sequence import UNKNOWN, TextSequence, tag_spans

LONGEST_WORD = 10_000
"""Limit of characters of a word of training text."""


@dataclass(frozen=True)
class LabelledCorpus:
    """Labelled text: sources, their sequences and their taggers, numbered as the configuration's label sets."""

    sources: tuple[TextSource, ...]
    sequences: list[list[TextSequence]]
    taggers: tuple[int, ...]


def read_source(source: TextSource) -> list[TextSequence]:
    """Read a file or generate text, keep what `where` selects, rename the types.

    Raises:
        ConfigError: the file is missing, of an unknown kind, or malformed; the message names file and line. Or the
            generator's library is not installed.
    """
    kept = [
        _with_scores(sequence, facts.get("label", ""), source)
        for facts, sequence in _READERS[source.generate](source)
        if all(facts.get(key) in values for key, values in source.where.items())
    ]
    if not kept:
        raise ConfigError(f"training data: {source.path or source.generate} has no sequence that fits `where`")
    check_words(Path(source.path), kept)
    if source.punctuation:
        kept = punctuate(kept)
        if not kept:
            raise ConfigError(
                f"training data: {source.path} has no punctuation marks for `punctuation = true` to take labels from"
            )
    read = [replace(s, tags=_cut(s.words, _rename(s.tags, source.labels), source.cut)) for s in kept]
    if not source.spans_known:
        read = [replace(s, tags=(UNKNOWN,) * len(s.words)) for s in read]
    if source.convention:
        read = [apply_convention(s, capitals=source.convention == "capitalised names") for s in read]
    whole = int(source.repeat)
    return read * whole + read[:: round(1 / (source.repeat - whole))] if source.repeat != whole else read * whole


def _with_scores(sequence: TextSequence, label: str, source: TextSource) -> TextSequence:
    """Add the scores that the source gives all texts and those with this label."""
    given = source.label_scores.get("*", {}) | source.label_scores.get(label, {})
    return replace(sequence, scores=tuple((given | dict(sequence.scores or ())).items())) if given else sequence


def _read_file(source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    path = Path(source.path)
    if not path.is_file():
        raise ConfigError(f"training data: {path} is not a file")
    reader = {".conll": _read_conll, ".jsonl": _read_jsonl}.get(path.suffix)
    if is_document_file(path):
        reader = _read_documents
    if reader is None:
        raise ConfigError(f"training data: {path} must end in .conll, .jsonl or .jsonl.gz")
    return reader(path, source)


def check_words(path: Path, sequences: list[TextSequence]) -> list[TextSequence]:
    """Refuse a word that no tokenizer is made for; gives the sequences.

    Raises:
        ConfigError: a word is longer than `LONGEST_WORD` characters.
    """
    for sequence in sequences:
        word = max(sequence.words, key=len, default="")
        if len(word) > LONGEST_WORD:
            raise ConfigError(
                f"{path}: a word of {len(word):,} characters ({word[:20]!r}...), at most {LONGEST_WORD:,} are trained "
                "on; take it out, or put blanks between its words"
            )
    return sequences


def _read(path: Path) -> str:
    try:
        return read_text_file(path)
    except OSError as error:
        raise ConfigError(f"training data: {error}") from error


def _rename(tags: tuple[str, ...], labels: dict[str, str]) -> tuple[str, ...]:
    if not labels:
        return tags
    kinds = [labels.get(tag[2:], "") for tag in tags]
    return tuple(
        UNKNOWN if kind == UNKNOWN else f"{tag[:2]}{kind}" if kind else "O"
        for tag, kind in zip(tags, kinds, strict=True)
    )


def _cut(words: tuple[str, ...], tags: tuple[str, ...], cut: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """End spans early at their type's words; the rest of such a span is unknown."""
    if not cut:
        return tags
    shown: list[str] = []
    ended = False
    for word, tag in zip(words, tags, strict=True):
        inside = tag.startswith("I-")
        ended = inside and (ended or word.lower() in cut.get(tag[2:], ()))
        shown.append(UNKNOWN if ended else tag)
    return tuple(shown)


def _read_conll(path: Path, source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    facts: dict[str, str] = {}
    words: list[str] = []
    tags: list[str] = []
    begun = ""  # the document that began last, where only its first sequence says so
    for number, line in enumerate([*_read(path).split("\n"), ""], 1):
        if line.startswith("# ") and " = " in line and not words:
            key, _, value = line[2:].partition(" = ")
            facts[key] = value.strip()
        elif line.strip():
            cells = line.split("\t")
            if len(cells) != 2 or not re.fullmatch(r"\S+", cells[1]):
                raise ConfigError(
                    f"training data: {path}, line {number}: expected token<TAB>tag, found {to_one_line(repr(line))}"
                )
            words.append(cells[0])
            # one tag a word, as in part-of-speech data, is a span of one word
            tags.append(cells[1] if re.fullmatch(r"O|[BI]-\S+", cells[1]) else f"B-{cells[1]}")
        elif words:
            begun = facts.get("newdoc_id", begun)
            document = facts.get("doc") or facts.get("document") or facts.get("call") or begun
            scores = _scores_of_facts(path, facts, source)
            yield facts, TextSequence(document, tuple(words), tuple(tags), scores=scores)
            facts, words, tags = {}, [], []


def _scores_of_facts(path: Path, facts: dict[str, str], source: TextSource) -> tuple[tuple[str, float], ...] | None:
    """Read the JSON object of a `# scores =` line."""
    if not source.scores or "scores" not in facts:
        return None
    try:
        row = _TextRow(text="", scores=msgspec.json.decode(facts["scores"], type=dict[str, float]))
        return row.text_scores(source.scores) or None
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(
            f"training data: {path}: `# scores = {facts['scores']}`: {to_one_line(str(error))}"
        ) from error


class _TextRow(msgspec.Struct):
    text: str
    spans: list[tuple[int, int, str]] | None = None
    label: str | int | None = None
    """Of the whole text; for `where` and `label_scores`."""
    labels: object = None
    scores: object = None
    votes: object = None
    document: str = ""
    doc: str = ""

    def document_in(self, path: Path) -> str:
        """Name the document of the row; rows that say nothing of themselves are one, and labelled ones none."""
        own = f"{path.parent.name}/{path.name}"  # the same on every machine
        if name := self.document or self.doc:
            return f"{own}:{name}"
        told = (self.spans, self.label, self.labels, self.scores, self.votes)
        return own if all(x is None for x in told) else ""

    def text_scores(self, names: dict[str, str]) -> tuple[tuple[str, float], ...]:
        """Give the scores that have one of the names.

        Raises:
            ValueError: one is no number from 0 to 1.
        """
        found = {}
        for values in (self.votes, self.scores, self.labels):
            for name, value in values.items() if isinstance(values, dict) else ():
                if name in names and value is not None:
                    if not isinstance(value, int | float) or not 0 <= value <= 1:
                        raise ValueError(f"score {name!r} must be a number from 0 to 1, not {value!r}")
                    found[names[name]] = float(value)
        return tuple(found.items())


def _read_jsonl(path: Path, source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_TextRow)
            scores = row.text_scores(source.scores) or None
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise ConfigError(f"training data: {path}, line {number}: {to_one_line(str(error))}") from error
        if source.drop and row.spans:
            raise ConfigError(f"training data: {path}: `drop` would move the offsets of labelled spans")
        text = re.sub(source.drop, " ", row.text) if source.drop else row.text
        words, tags = tag_spans(text, row.spans or ())
        if source.punctuation:  # which sees the marks at their words
            words = tuple(text.split())
            tags = ("O",) * len(words)
        if words:
            facts = {} if row.label is None else {"label": str(row.label)}
            yield facts, TextSequence(row.document_in(path), words, tags, scores=scores)


def _read_documents(path: Path, source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    for name, texts in read_documents(path):
        for text in texts:
            words = tuple((re.sub(source.drop, " ", text) if source.drop else text).split())
            if words:
                yield {}, TextSequence(name, words, ("O",) * len(words))


def score_names(sequences: list[TextSequence]) -> tuple[str, ...]:
    """Collect the names of all text scores, in the order in which they are met."""
    return tuple(dict.fromkeys(name for s in sequences for name, _ in s.scores or ()))


_READERS = {"": _read_file, "pii": read_generated, "contrast": read_messages, "names": read_named_texts}
"""By what a source generates; "" reads its file."""


def label_names(sequences: list[TextSequence]) -> tuple[str, ...]:
    """Collect the types of all tags into BIO names: "O", then "B-x" and "I-x" of each type in alphabetical order."""
    kinds = sorted({tag[2:] for s in sequences for tag in s.tags if tag not in ("O", UNKNOWN)})
    return ("O", *(f"{mark}-{kind}" for kind in kinds for mark in "BI"))
