"""`hearken train`: from a configuration to a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="TOML file that says what to train on what (see configs/).")],
) -> None:
    """Train a base by distillation, a tagger, or both; a killed run goes on where it was saved."""
    from encoder.checkpoint import CheckpointError  # torch takes seconds to import: only when it is needed
    from encoder.config import ConfigError
    from encoder.train.config import read_config
    from encoder.train.run import run_training

    try:
        folder = run_training(read_config(config))
    except (ConfigError, CheckpointError, FloatingPointError) as error:
        typer.echo(f"hearken train: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(folder)
