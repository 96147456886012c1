"""The tagger's weights as Hugging Face transformers has them: a BERT in which every layer looks both ways."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import torch
from torch import Tensor

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.model.dense import HybridModel


class NoBert(ValueError):
    """A tagger that others cannot run; the message says why."""


def make_bert(checkpoint: Checkpoint, attention: str = "sdpa") -> Any:
    """Build a `transformers.BertForTokenClassification` of the checkpoint's weights, float32, in evaluation mode.

    The hybrid's lower layers are causal; here they are not, as in the encoder that it stands for. The work of a layer
    is the same.

    Raises:
        NoBert: its embeddings are narrower than its layers, or its GELU is approximated.
    """
    from transformers import BertConfig, BertForTokenClassification

    config = checkpoint.config
    if config.embedding is not None or config.gelu != "none":
        raise NoBert("only a tagger whose encoder is a BERT can be run by others; this one is not")
    build: Any = BertConfig  # typed without what its base class takes
    shape = build(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        max_position_embeddings=config.positions,
        type_vocab_size=1,
        layer_norm_eps=config.layer_norm_eps,
        num_labels=config.scores,
        attn_implementation=attention,
    )
    model: Any = BertForTokenClassification(shape)
    model.load_state_dict(_named(checkpoint.tensors(), config.layers), strict=True)
    return model.eval()


def dense_twin(checkpoint: Checkpoint) -> HybridModel:
    """Build our own dense model of the same weights as a BERT: what every peer's scores must equal.

    It has no causal layer, no attention sink and no marks of segments. A sink is one key more for each query, so the
    work stays the same.
    """
    config = msgspec.structs.replace(checkpoint.config, causal_layers=0, sink=False, segment_starts=False)
    own = (name for name in checkpoint.weights if not name.endswith(".sink") and name != "start")
    weights = {name: checkpoint.weights[name] for name in own}
    weights["word.weight"] = weights["word.weight"][: config.vocab_size]
    return replace(checkpoint, config=config, weights=weights).dense_model()


def _named(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Give our weights the names of transformers."""
    hidden = weights["position.weight"].shape[1]
    named = {
        "bert.embeddings.word_embeddings.weight": weights["word.weight"],
        "bert.embeddings.position_embeddings.weight": weights["position.weight"],
        "bert.embeddings.token_type_embeddings.weight": torch.zeros(1, hidden),  # folded into the positions
    }
    for part in ("weight", "bias"):
        named[f"bert.embeddings.LayerNorm.{part}"] = weights[f"norm.{part}"]
        named[f"classifier.{part}"] = weights[f"head.{part}"]
        for i in range(layers):
            ours, theirs = f"layers.{i}", f"bert.encoder.layer.{i}"
            query, key, value = weights[f"{ours}.qkv.{part}"].chunk(3)
            named |= {
                f"{theirs}.attention.self.query.{part}": query,
                f"{theirs}.attention.self.key.{part}": key,
                f"{theirs}.attention.self.value.{part}": value,
            }
            for name, other in _LAYER.items():
                named[f"{theirs}.{other}.{part}"] = weights[f"{ours}.{name}.{part}"]
    return named


_LAYER = {
    "out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "ff_in": "intermediate.dense",
    "ff_out": "output.dense",
    "norm2": "output.LayerNorm",
}
