"""A user's folder of labelled files: read, checked, and split into training and dev data."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from encoder.model.config import ConfigError
from encoder.train.data.conll import read_columns
from encoder.train.data.jsonl import read_lines
from encoder.train.data.sequence import TextSequence as Sentence
from encoder.train.data.sequence import holdout_position
from encoder.train.data.text import check_words, score_names

FEWEST = {"train": 40, "dev": 10, "test": 1}
"""Sequences that each part must have: from fewer nothing is learned, by fewer nothing is measured."""
DEV_SEQUENCES, LEAST_SHARE, MOST_SHARE = 400, 0.15, 0.3
"""Targets of a split: enough data to measure and to calibrate on, but not most of it."""
FEWEST_DOCUMENTS = 10
LONGEST = 200
"""Words of a sequence; longer ones are cut, as an example that is longer than the encoder's positions loses its end."""

Role = Literal["train", "dev", "test"]
ROLES: dict[str, Role] = {"dev": "dev", "devel": "dev", "valid": "dev", "validation": "dev", "test": "test"}
"""By the first word of a file's name; every other file is trained on."""
READERS = {".conll": read_columns, ".jsonl": read_lines}
ALIKE = (".bio", ".iob", ".iob2", ".tsv", ".txt", ".json")


@dataclass(frozen=True)
class TrainingFolder:
    """The contents of a folder."""

    parts: dict[Role, tuple[Sentence, ...]]
    """Without "test" if there is none."""
    files: dict[Role, tuple[str, ...]]
    """Names; without "dev" if it was split off."""
    notes: tuple[str, ...]
    """Notes for the user on how the files were read."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Types of span, in alphabetical order."""
        return tuple(sorted(count_spans(self.parts["train"])))

    @property
    def text_labels(self) -> tuple[str, ...]:
        """Labels of whole texts, in the order in which they are met."""
        return score_names(list(self.parts["train"]))

    @property
    def has_documents(self) -> bool:
        """Whether sequences that are trained on have neighbours."""
        names = Counter(x.document for x in self.parts["train"] if x.document)
        return any(count > 1 for count in names.values())


def read_folder(folder: Path, seed: int) -> TrainingFolder:
    """Read all files of a folder (not of folders in it) and split off dev if no file is it.

    Raises:
        ConfigError: a file cannot be read, or the data cannot train a tagger; the message says what to do.
    """
    parts: dict[Role, tuple[Sentence, ...]] = {}
    files: dict[Role, tuple[str, ...]] = {}
    notes: list[str] = []
    for path in _files(folder):
        role = ROLES.get(re.split(r"[^a-z]", path.stem.lower())[0], "train")
        sequences, file_notes = READERS[path.suffix](path)
        if not sequences:
            raise ConfigError(f"{path} is empty: label some text in it, or move it away")
        check_words(path, sequences)
        cut = [piece for number, x in enumerate(sequences) for piece in _cut(x, f"{path.name}:{number + 1}")]
        if len(cut) > len(sequences):
            file_notes = [
                *file_notes,
                f"{path.name}: texts of more than {LONGEST} words are cut into {len(cut)} sequences in all",
            ]
            lost = sum(bool(x.scores) for x in sequences) - sum(bool(x.scores) for x in cut)
            if lost > 0:
                file_notes.append(f"{path.name}: {lost} of them lose their labels of the whole text, which no part has")
        parts[role] = parts.get(role, ()) + tuple(cut)
        files[role] = (*files.get(role, ()), path.name)
        notes += file_notes
    if "train" not in parts:
        raise ConfigError(f"{folder} has nothing to train on: its files are all called dev or test")
    if "dev" not in parts:
        parts["train"], parts["dev"], how = split(parts["train"], seed)
        notes.append(how)
    _check(folder, parts)
    return TrainingFolder(
        {role: parts[role] for role in get_args(Role) if role in parts}, files, (*notes, *_doubts(parts))
    )


def _files(folder: Path) -> list[Path]:
    there = sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))
    found = [path for path in there if path.suffix in READERS]
    if found:
        return found
    alike = next((path for path in there if path.suffix in ALIKE), None)
    remedy = f"; if {alike.name} has columns or JSON lines, rename it" if alike else ""
    raise ConfigError(f"{folder} has no .conll or .jsonl file{remedy}")


def count_spans(sequences: Iterable[Sentence]) -> Counter[str]:
    """Count spans by type."""
    return Counter(tag[2:] for x in sequences for tag in x.tags if tag.startswith("B-"))


def count_words(sequences: Iterable[Sentence]) -> int:
    """Count words."""
    return sum(len(x.words) for x in sequences)


def split(sequences: Sequence[Sentence], seed: int) -> tuple[tuple[Sentence, ...], tuple[Sentence, ...], str]:
    """Split dev off; gives the remaining data, dev, and a description of the split.

    Documents stay whole, and so do texts that occur several times. What would take a type's last example goes back.
    """
    documents = {x.document for x in sequences if x.document}
    whole = len(documents) >= FEWEST_DOCUMENTS
    units: dict[str, list[Sentence]] = {}
    for x in sequences:
        units.setdefault((whole and x.document) or " ".join(x.words), []).append(x)
    share = min(MOST_SHARE, max(LEAST_SHARE, DEV_SEQUENCES / len(sequences)))
    dev: set[str] = set()
    # an order of its own: by the places themselves what is held back, or a fold, would be what dev has taken already
    for name in sorted(units, key=lambda name: holdout_position(Sentence(f"dev {name}", (), ()), seed)):
        if sum(len(units[x]) for x in dev) >= share * len(sequences):
            break
        dev.add(name)
    left = count_spans(x for name, members in units.items() if name not in dev for x in members)
    for name in sorted(dev):
        mine = count_spans(units[name])
        if any(not left[kind] for kind in mine):
            dev.remove(name)
            left += mine
    _keep_text_labels(units, dev)
    inside = [(((whole and x.document) or " ".join(x.words)) in dev, x) for x in sequences]
    parts = [tuple(x for held, x in inside if held == wanted) for wanted in (False, True)]
    how = f"no dev file: {len(parts[1])} of {len(sequences)} sequences are held back as dev (seed {seed})"
    if documents:
        how += ", whole documents" if whole else f", whatever their document, as there are only {len(documents)}"
    return parts[0], parts[1], how


def _keep_text_labels(units: dict[str, list[Sentence]], dev: set[str]) -> None:
    """Take texts out of dev whose label of the whole text, with that value, no text that is trained on has."""

    def sides(names: Iterable[str]) -> set[tuple[str, bool]]:
        return {(k, v >= 0.5) for name in names for x in units[name] for k, v in x.scores or ()}

    left = sides(units.keys() - dev)
    for name in sorted(dev):
        if not sides([name]) <= left:
            dev.remove(name)
            left |= sides([name])


def _cut(sequence: Sentence, name: str) -> Iterator[Sentence]:
    """Cut a long sequence at the ends of sentences, else anywhere but inside a span; the pieces are one document."""
    words, tags = sequence.words, sequence.tags
    if len(words) <= LONGEST:
        yield sequence
        return
    first = 0
    while first < len(words):
        end = min(len(words), first + LONGEST)
        if end < len(words):
            free = [i for i in range(first + 1, end + 1) if not tags[i].startswith("I-")]
            stops = [i for i in free if words[i - 1] in (".", "!", "?")]
            end = (stops or free or [end])[-1]
        yield replace(
            sequence, document=sequence.document or name, words=words[first:end], tags=tags[first:end], scores=None
        )
        first = end


def _check(folder: Path, parts: dict[Role, tuple[Sentence, ...]]) -> None:
    """Refuse what cannot become a tagger.

    Raises:
        ConfigError: with what to do.
    """
    known = count_spans(parts["train"])
    names = _check_text_labels(folder, parts)
    if not known and not names:
        raise ConfigError(f"{folder}: no word of the training data is labelled; label some spans, or whole texts")
    for role, sequences in parts.items():
        if len(sequences) < FEWEST[role]:
            raise ConfigError(
                f"{folder}: {len(sequences)} sequences for {role}, at least {FEWEST[role]} are needed; label more"
            )
        strange = sorted(count_spans(sequences).keys() - known.keys())
        if strange:
            raise ConfigError(
                f"{folder}: label {strange[0]!r} occurs in {role} only; label examples of it to train on, or rename it"
            )
    if known and not count_spans(parts["dev"]):
        raise ConfigError(f"{folder}: no word of dev is labelled, so nothing could be measured; label some spans")


def _check_text_labels(folder: Path, parts: dict[Role, tuple[Sentence, ...]]) -> tuple[str, ...]:
    """Refuse labels of whole texts that nothing can be learned of; gives their names."""
    known = score_names(list(parts["train"]))
    for name in known:
        values = [value for x in parts["train"] for label, value in x.scores or () if label == name]
        if not min(values) < 0.5 <= max(values):
            raise ConfigError(
                f"{folder}: label {name!r} of whole texts is {'at least' if min(values) >= 0.5 else 'below'} .5 in all "
                f"{len(values)} texts that have it; add texts with the other value"
            )
    for role, sequences in parts.items():
        strange = sorted({*score_names(list(sequences))} - {*known})
        if strange:
            raise ConfigError(f"{folder}: label {strange[0]!r} of whole texts occurs in {role} only; add it to train")
    return known


def _doubts(parts: dict[Role, tuple[Sentence, ...]]) -> Iterator[str]:
    """Say what makes the figures to come worth less."""
    trained = {x.words for x in parts["train"]}
    for role in ("dev", "test"):
        again = sum(x.words in trained for x in parts.get(role, ()))
        if again:
            yield f"{again} sequences of {role} are trained on as well: figures will be too good"
    missing = sorted(count_spans(parts["train"]).keys() - count_spans(parts["dev"]).keys())
    if missing:
        yield f"dev has no {', '.join(missing)}: how well that is found stays unknown"
