"""Checkpoint folders as transformers writes them: reading their files, and refusing unsafe ones."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from encoder.files import FileRefused, check_file, read_fields

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
WEIGHTS_BYTES = 8 << 30
JSON_BYTES = 16 << 20
MOST_FILES = 100


class ImportRefused(ValueError):
    """A checkpoint cannot be imported; the message says why, and what to do."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ImportRefused: the file is missing or holds something else.
    """
    try:
        return read_fields(path, dict[str, Any], JSON_BYTES)
    except FileRefused as error:
        raise ImportRefused(str(error)) from error
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror or error}") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read `model.safetensors`, or the files that its index lists, as float32.

    Raises:
        ImportRefused: there is none, only a pickle, or one that is damaged.
    """
    raw: dict[str, Tensor] = {}
    for name in _weight_files(folder):
        try:
            check_file(folder / name, WEIGHTS_BYTES)
            raw |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ImportRefused(f"{folder / name}: {error}") from error
    # checkpoints that were first written by TensorFlow call a norm's weights gamma and beta
    return {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): tensor.float()
        for name, tensor in raw.items()
    }


def _weight_files(folder: Path) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    if (folder / INDEX).is_file():
        listed = read_json(folder / INDEX).get("weight_map")
        names = sorted(set(listed.values())) if isinstance(listed, dict) else []
        if 0 < len(names) <= MOST_FILES and all(isinstance(name, str) and Path(name).name == name for name in names):
            return names
        raise ImportRefused(f"{folder / INDEX}: no weight_map that names files beside it")
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    if pickles:
        raise ImportRefused(
            f"{folder} has its weights in {pickles[0]}, a pickle, and a pickle can run any code when it is read; where "
            "you trust it, load it with transformers and write it again as safetensors: model.save_pretrained(FOLDER)"
        )
    raise ImportRefused(f"{folder} has no {WEIGHTS}")
