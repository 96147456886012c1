"""`hearken train`: from a configuration to a checkpoint, or from a folder of labelled text to a tagger and its card."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

BASE, SEED, EPSILON = "base", 1, 0.05
SHIPPED_TRUNK = "english"
"""What `--start base` means: the trunk of the shipped taggers; it needs no download."""


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|CONFIG",
            help="Folder of labelled .conll or .jsonl files (docs/own-data.md), or a TOML file that says what to train "
            "on what (see configs/).",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The tagger's folder and name; runs/FOLDER if not given.")] = None,
    start: Annotated[
        str,
        typer.Option(
            help="What it learns from: base (the shipped tagger's encoder), minilm, or a checkpoint's folder."
        ),
    ] = BASE,
    seed: Annotated[int, typer.Option(help="Of all that is drawn, and of the split.")] = SEED,
    epochs: Annotated[
        float | None, typer.Option(min=0.1, help="Times that the data is shown; by its size if not given.")
    ] = None,
    written: Annotated[
        bool, typer.Option("--written", help="For typed text: learn and measure it as it is, punctuation and all.")
    ] = False,
    delta: Annotated[
        float | None,
        typer.Option(
            help="Streaming EM may be so much below that of restarting fully on every word; if not given, as little as "
            "dev is large enough to show."
        ),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="How probable it may be that it is further below.")] = EPSILON,
) -> None:
    """Train a tagger on a folder of your own, with stability, threshold, figures and card; or what a TOML file says.

    A run that was killed goes on where it was saved, when the same command is given again.
    """
    from encoder.checkpoints.location import CheckpointError  # torch takes seconds to import: only when it is needed
    from encoder.model.config import ConfigError
    from encoder.train.config import read_config
    from encoder.train.run import run_training

    try:
        if data.is_dir():
            _train_folder(data, out or Path("runs", data.resolve().name), start, seed, epochs, written, delta, epsilon)
        elif out or epochs or written or delta or (start, seed, epsilon) != (BASE, SEED, EPSILON):
            raise ConfigError(f"options are for a folder of data; what {data} is to train is written in it")
        else:
            typer.echo(run_training(read_config(data)))
    except (ConfigError, CheckpointError, FloatingPointError) as error:
        typer.echo(f"hearken train: {error}", err=True)
        raise typer.Exit(2) from error


def _train_folder(
    data: Path,
    out: Path,
    start: str,
    seed: int,
    epochs: float | None,
    written: bool,
    delta: float | None,
    epsilon: float,
) -> None:
    from consumers.training.pipeline import TrainingOrder, train_folder
    from encoder.train.recipe import TrainRecipe

    recipe = TrainRecipe(start=SHIPPED_TRUNK if start == BASE else start, seed=seed, epochs=epochs, written=written)
    command = shlex.join(["hearken", *sys.argv[1:]])
    name = shlex.quote(str(train_folder(TrainingOrder(data, out, recipe, delta, epsilon, command))))
    typer.echo(
        f"tagger and its card: {name}\nwhat next:\n"
        f"  hearken tag --tagger {name} --input text < speech.txt\n"
        f"  hearken serve --tagger {name} --broker localhost:9092"
    )
