"""`hearken train`: from a folder of labelled text, or a TOML file, to a checkpoint."""

import shlex
import sys
from dataclasses import MISSING, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from consumers.common.console import show_loading
from consumers.common.exit_codes import user_errors
from consumers.common.settings import setting
from encoder.torch_extra import require_torch

SHIPPED_TRUNK = "english"
"""The meaning of `--start base`: the trunk of the shipped taggers, which needs no download."""

_option = partial(setting, panel="Training", variable=False)


@dataclass(frozen=True, kw_only=True)
class TrainCommand:
    """Settings of `hearken train`."""

    data: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|CONFIG",
            help="Folder of labelled .conll or .jsonl files (docs/own-data.md), or a TOML file that describes a "
            "training (see configs/).",
        ),
    ]
    out: Annotated[Path | None, _option("Folder of the tagger, also its name.", show_default="runs/FOLDER")] = None
    start: Annotated[
        str,
        _option("Start: base (the encoder of the shipped tagger), minilm, or a checkpoint's folder.", metavar="NAME"),
    ] = "base"
    seed: Annotated[int, _option("Seed of all random numbers and of the split.")] = 1
    epochs: Annotated[
        float | None, _option("Passes over the data.", min=0.1, metavar="X", show_default="by the size of the data")
    ] = None
    written: Annotated[
        bool, _option("Train and measure on typed text as it is, with punctuation and case.", "--written")
    ] = False
    delta: Annotated[
        float | None,
        _option(
            "Largest loss of streaming EM against a full restart on every word.",
            metavar="X",
            show_default="the smallest that the dev set can prove",
        ),
    ] = None
    epsilon: Annotated[float, _option("Probability that the loss is larger.")] = 0.05


def train(settings: TrainCommand) -> None:
    """Train a tagger on a folder of labelled text: stability head, calibration, measurements, model card.

    With a TOML file instead of a folder, what the file describes is trained. The same command continues an interrupted
    run.
    """
    require_torch("hearken train")
    with show_loading("torch", log=False):
        from encoder.checkpoints.location import CheckpointError
        from encoder.model.config import ConfigError
        from encoder.train.config import read_train_config
        from encoder.train.run import run_training

    with user_errors("train", ConfigError, CheckpointError, FloatingPointError):
        if settings.data.is_dir():
            _train_folder(settings)
            return
        if any(getattr(settings, x.name) != x.default for x in fields(settings) if x.default is not MISSING):
            raise ConfigError(f"options are for a folder of data; {settings.data} itself says what to train")
        typer.echo(run_training(read_train_config(settings.data)))


def _train_folder(settings: TrainCommand) -> None:
    from consumers.training.pipeline import TrainingOrder, train_folder
    from encoder.train.recipe import TrainRecipe

    recipe = TrainRecipe(
        start=SHIPPED_TRUNK if settings.start == "base" else settings.start,
        seed=settings.seed,
        epochs=settings.epochs,
        written=settings.written,
    )
    out = settings.out or Path("runs", settings.data.resolve().name)
    command = shlex.join(["hearken", *sys.argv[1:]])
    order = TrainingOrder(settings.data, out, recipe, settings.delta, settings.epsilon, command)
    name = shlex.quote(str(train_folder(order)))
    typer.echo(
        f"tagger and its card: {name}\nwhat next:\n"
        f"  hearken tag --tagger {name} --input text < speech.txt\n"
        f"  hearken serve --tagger {name} --broker localhost:9092"
    )
