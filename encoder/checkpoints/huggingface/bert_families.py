"""Weight names and differences of the BERT families: BERT, RoBERTa, DistilBERT, ELECTRA.

Devlin et al. 2019, Liu et al. 2019, Sanh et al. 2019, Clark et al. 2020. All are the same post-norm layers. RoBERTa's
first position is the row after the padding's; DistilBERT has no token types; ELECTRA's tables may be narrower than its
layers. Token type 0 is folded into the positions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from encoder.checkpoints.huggingface.folder import ImportRefused
from encoder.files import to_one_line
from encoder.model.config import HybridConfig

GELU = {"gelu": "none", "gelu_python": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh"}
"""Activations by name in `config.json`, and the form of GELU that each is."""


PARTS = ("out", "norm1", "ff_in", "ff_out", "norm2")
"""Our names of the parts of a layer that have one name in every family."""
SIZES = ("layers", "hidden", "heads", "intermediate", "vocab_size")
"""Fields of `HybridConfig` that every family's `config.json` has."""


@dataclass(frozen=True)
class Family:
    """Names of one family; the defaults are BERT's."""

    prefix: str
    """Prefix of the encoder's names in a checkpoint with a head."""
    opening: str = "[CLS]"
    closing: str = "[SEP]"
    """Special tokens around a text."""
    layer: str = "encoder.layer.{}."
    qkv: tuple[str, str, str] = ("attention.self.query", "attention.self.key", "attention.self.value")
    parts: tuple[str, ...] = (
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    )
    """Names of `PARTS` within a layer."""
    sizes: tuple[str, ...] = (
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
    )
    """Keys of `SIZES` in `config.json`."""
    activation: str = "hidden_act"
    positions_after_padding: bool = False
    """Whether position 0 is the row after that of `pad_token_id`."""
    has_norm_eps: bool = True
    """Whether `layer_norm_eps` is read; transformers' DistilBERT has 1e-12 whatever the file says."""
    narrow_tables: bool = False
    """Whether `embedding_size` may differ from the layers' width."""


FAMILIES = {
    "bert": Family("bert."),
    "roberta": Family("roberta.", opening="<s>", closing="</s>", positions_after_padding=True),
    "electra": Family("electra.", narrow_tables=True),
    "distilbert": Family(
        "distilbert.",
        layer="transformer.layer.{}.",
        qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        parts=("attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"),
        sizes=("n_layers", "dim", "n_heads", "hidden_dim", "vocab_size"),
        activation="activation",
        has_norm_eps=False,
    ),
}


def choose_family(config: dict[str, Any], path: Path) -> Family:
    """Find the family of a `config.json`, and refuse what none of them has.

    Raises:
        ImportRefused: another kind of model, or another kind of position, activation or attention.
    """
    kind = str(config.get("model_type"))
    if kind in ("xlm-roberta", "camembert"):
        raise ImportRefused(
            f"{path}: model_type {kind!r} has a SentencePiece tokenizer, which cannot follow live text yet"
        )
    if kind not in FAMILIES:
        raise ImportRefused(
            f"{path}: model_type {to_one_line(repr(config.get('model_type')), 60)} is not one of {', '.join(FAMILIES)}"
        )
    family = FAMILIES[kind]
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise ImportRefused(
            f"{path}: position_embedding_type {to_one_line(str(positions), 60)!r}, only absolute is supported"
        )
    activation = str(config.get(family.activation, "gelu"))
    if activation not in GELU:
        raise ImportRefused(
            f"{path}: {family.activation} {to_one_line(activation, 60)!r} is not supported, only {', '.join(GELU)}"
        )
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise ImportRefused(f"{path}: a decoder; only encoders can be imported")
    return family


def encoder_fields(family: Family, config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Read the fields of `HybridConfig` that a `config.json` decides; positions and labels are not among them.

    Raises:
        ImportRefused: a size is missing.
    """
    missing = [theirs for theirs in family.sizes if type(config.get(theirs)) is not int]
    if missing:
        raise ImportRefused(f"{path}: no {', '.join(missing)}")
    fields: dict[str, Any] = {ours: config[theirs] for ours, theirs in zip(SIZES, family.sizes, strict=True)}
    fields["gelu"] = GELU[config.get(family.activation, "gelu")]
    epsilon = config.get("layer_norm_eps", 1e-12) if family.has_norm_eps else 1e-12
    width = config.get("embedding_size", fields["hidden"])
    if type(epsilon) not in (int, float) or type(width) is not int:
        raise ImportRefused(f"{path}: layer_norm_eps and embedding_size must be numbers")
    fields["layer_norm_eps"] = float(epsilon)
    if family.narrow_tables and width != fields["hidden"]:
        fields["embedding"] = width
    return fields


def convert_weights(family: Family, config: HybridConfig, raw: dict[str, Tensor], skip: int) -> dict[str, Tensor]:
    """Give a family's weights, with or without its prefix, `HybridModel`'s names; the head is left out.

    Of the position table `config.positions` rows are taken, after the first `skip`.

    Raises:
        ImportRefused: a weight is missing.
    """
    raw = {name.removeprefix(family.prefix): tensor for name, tensor in raw.items()}
    try:
        return _convert(family, config, raw, skip)
    except KeyError as error:
        raise ImportRefused(f"the weights lack {error}: they do not fit config.json") from error


def _convert(family: Family, config: HybridConfig, raw: dict[str, Tensor], skip: int) -> dict[str, Tensor]:
    positions = raw["embeddings.position_embeddings.weight"][skip : skip + config.positions]
    types = raw.get("embeddings.token_type_embeddings.weight")
    out = {
        "word.weight": raw["embeddings.word_embeddings.weight"],
        "position.weight": positions.clone() if types is None else positions + types[0],
    }
    named = {"norm": "embeddings.LayerNorm"}
    if config.embedding is not None:
        named["project"] = "embeddings_project"
    for i in range(config.layers):
        layer = family.layer.format(i)
        named |= {f"layers.{i}.{ours}": layer + theirs for ours, theirs in zip(PARTS, family.parts, strict=True)}
        for kind in ("weight", "bias"):
            out[f"layers.{i}.qkv.{kind}"] = torch.cat([raw[f"{layer}{name}.{kind}"] for name in family.qkv])
    for kind in ("weight", "bias"):
        out |= {f"{ours}.{kind}": raw[f"{theirs}.{kind}"] for ours, theirs in named.items()}
    return out
