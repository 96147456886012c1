"""Checkpoint folders by name or path, and their `config.json`. Without torch, so that a wrong name is refused early."""

from pathlib import Path

from encoder.files import read_fields
from encoder.model.config import HybridConfig

SHIPPED = Path(__file__).parent
"""Folder of the shipped checkpoints."""


class CheckpointError(Exception):
    """A checkpoint cannot be read; the message says which file, and what to do."""


def find_checkpoint(name: str) -> Path:
    """Resolve a shipped tagger's name ("ner") or a folder's path.

    Raises:
        CheckpointError: there is neither.
    """
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    shipped = sorted(p.parent.name for p in SHIPPED.glob("*/config.json"))
    raise CheckpointError(
        f"tagger {name!r} is neither shipped ({', '.join(shipped) or 'none'}) nor a folder with a config.json"
    )


def read_config(folder: Path) -> HybridConfig:
    """Read a checkpoint's configuration.

    Raises:
        CheckpointError: the file cannot be read, or the configuration is invalid.
    """
    try:
        return read_fields(folder / "config.json", HybridConfig)
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder}: {error}") from error
