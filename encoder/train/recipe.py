"""Training configuration of a folder's data, written to a file that can be read, edited and run again."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from encoder.files import replace_file
from encoder.model.config import ConfigError
from encoder.train.config import TrainConfig, read_train_config
from encoder.train.data.folder import TrainingFolder, count_words
from encoder.train.data.sequence import TextSequence

WORDS_SEEN, FEWEST_EPOCHS, MOST_EPOCHS = 600_000, 4, 20
"""Epochs are chosen so that training sees this many words: five for the 117,000 words of SNIPS, which was measured."""
CROSS_FITTED = 100_000
"""Words below which holding text back for the stability head would cost the tagger more than training two more."""


class TrainRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a training run on a folder."""

    start: str
    """A checkpoint (name or folder), whose trunk training starts from, or "minilm"."""
    seed: int = 1
    epochs: float | None = None
    written: bool = False
    """Text is read as it is; otherwise it is also made to look spoken."""


def write_run(corpus: TrainingFolder, recipe: TrainRecipe, out: Path) -> TrainConfig:
    """Write the data as `out/data/*.conll` and the configuration as `out/train.toml`; existing files must be equal.

    Raises:
        ConfigError: `out` holds another run.
    """
    for role, sequences in corpus.parts.items():
        _write(out / "data" / f"{role}.conll", "".join(_lines(sequences)), out)
    _write(out / "train.toml", _toml(corpus, recipe, out), out)
    return read_train_config(out / "train.toml")


def _write(path: Path, text: str, out: Path) -> None:
    """Write a file atomically, or check that an existing one has the same contents."""
    if path.exists():
        if path.read_bytes() != text.encode():
            raise ConfigError(
                f"{out} holds a run with other data or settings ({path.name} differs): give another --out, or delete it"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode())


def _lines(sequences: Iterable[TextSequence]) -> Iterable[str]:
    for x in sequences:
        if x.document:
            yield f"# doc = {x.document}\n"
        if x.scores:
            yield f"# scores = {msgspec.json.encode(dict(x.scores)).decode()}\n"
        yield from (f"{word}\t{tag}\n" for word, tag in zip(x.words, x.tags, strict=True))
        yield "\n"


def _toml(corpus: TrainingFolder, recipe: TrainRecipe, out: Path) -> str:
    words = count_words(corpus.parts["train"])
    epochs = recipe.epochs or min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(WORDS_SEEN / words)))
    batch = 256 if words < 20_000 else 512 if words < 100_000 else 1024
    join = ", join = true" if corpus.has_documents else ""
    spoken = f"augment = {{ unpunctuated = 0.5, filler = 0.01, repetition = 0.01{join} }}"
    text = f"""\
# Written by `hearken train`, from {words} words to train on. To change more than the command's options do: copy it,
# change the copy and its `out`, and run `hearken train COPY`.
out = {_quote(str(out / "work"))}
start = {_quote(recipe.start)}
seed = {recipe.seed}

[tagger]
epochs = {epochs:g}
batch_tokens = {batch}
{"# Text is learned as it is written." if recipe.written else spoken}

[stability]
"""
    # a fold's tagger must be as finished as the tagger, so it sees its half twice as often
    text += f"folds = 2\nfold_epochs = {2 * epochs:g}\nepochs = 40\n" if words < CROSS_FITTED else "held = 0.1\n"
    own = ", ".join(f"{_quote(x)} = {_quote(x)}" for x in corpus.text_labels)
    for role in ("train", "dev"):
        text += f"\n[[{role}]]\npath = {_quote(str(out / 'data' / f'{role}.conll'))}\n"
        text += f"scores = {{ {own} }}\n" if own else ""
    return text


def _quote(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's."""
    return msgspec.json.encode(text).decode()
