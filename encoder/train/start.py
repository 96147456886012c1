"""What a training run starts from: a pretrained bidirectional encoder, or a checkpoint of Hearken's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from encoder.checkpoints.checkpoint import add_start_rows, load_checkpoint, quantize_rows, restore_rows
from encoder.checkpoints.huggingface.bert_families import FAMILIES, convert_weights
from encoder.checkpoints.huggingface.minilm import minilm_raw, minilm_tokenizer
from encoder.checkpoints.huggingface.onnx_bert import ARCHIVES, read_onnx_bert
from encoder.model.config import ConfigError, HybridConfig
from encoder.model.dense import HybridModel
from encoder.model.framed import FramedModel

MINILM = "minilm"
POSITIONS = 512
"""Rows of the position tables of these encoders."""


@dataclass(frozen=True)
class PretrainedEncoder:
    """A BERT encoder as it was pretrained: weights by transformers' names (float32) and its tokenizer."""

    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    heads: int = 12
    """Attention heads of a layer, which the weights do not tell: 12 in all small and base models of BERT's kind."""

    @property
    def layers(self) -> int:
        """Number of layers that the weights have."""
        return len({name.split(".")[2] for name in self.weights if name.startswith("encoder.layer.")})

    def hybrid_weights(self, config: HybridConfig) -> dict[str, Tensor]:
        """Map the weights to `HybridModel`'s names, without the head; of more layers than `config` has the first.

        Positions start at the second row: the first is that of [CLS], which live text does not have.

        Raises:
            ConfigError: `config` has more layers.
        """
        if config.layers > self.layers:
            raise ConfigError(f"training configuration: layers = {config.layers}, but the start has {self.layers}")
        return convert_weights(FAMILIES["bert"], config, dict(self.weights), skip=1)

    def spread(self, layers: int) -> "PretrainedEncoder":
        """Keep evenly spaced layers, the last of each group: of twelve to six the second, fourth ... twelfth.

        Raises:
            ConfigError: its layers are no multiple of `layers`.
        """
        if self.layers % layers:
            raise ConfigError(f"training configuration: `spread` needs a divisor of {self.layers} layers, not {layers}")
        group = self.layers // layers
        kept = {}
        for name, weight in self.weights.items():
            parts = name.split(".")
            if name.startswith("encoder.layer."):
                if (int(parts[2]) + 1) % group:
                    continue
                parts[2] = str(int(parts[2]) // group)
            kept[".".join(parts)] = weight
        return PretrainedEncoder(kept, self.tokenizer, self.heads)

    def teacher(self, layers: int) -> FramedModel:
        """Make the bidirectional model of the first `layers` layers, in evaluation mode."""
        width, inner = (self.weights[name].shape for name in (_WORDS, "encoder.layer.0.intermediate.dense.weight"))
        config = HybridConfig(
            layers=layers,
            causal_layers=0,
            hidden=width[1],
            heads=self.heads,
            intermediate=inner[0],
            vocab_size=width[0],
            positions=POSITIONS,
        )
        model = HybridModel(config)
        model.load_state_dict(convert_weights(FAMILIES["bert"], config, dict(self.weights), skip=0), strict=False)
        return FramedModel(model.eval(), *(_token(self.tokenizer, name) for name in ("[CLS]", "[SEP]")))


def _token(tokenizer: Tokenizer, name: str) -> int:
    found = tokenizer.token_to_id(name)
    if found is None:
        raise ConfigError(f"training configuration: the start's tokenizer has no {name}")
    return found


_WORDS = "embeddings.word_embeddings.weight"


def read_pretrained(start: str) -> PretrainedEncoder | None:
    """Read a pretrained encoder: "minilm", or an ONNX export (`.onnx`, or an archive that holds one); None: neither.

    Raises:
        ConfigError: MiniLM's package is not installed.
        ImportRefused: the file cannot be read.
    """
    if start == MINILM:
        return PretrainedEncoder(minilm_raw(), minilm_tokenizer())
    if Path(start).suffix in (".onnx", *ARCHIVES):
        return PretrainedEncoder(*read_onnx_bert(Path(start)))
    return None


def load_start(
    start: str, shape: HybridConfig, *, spread: bool = False, blend: str = "", share: float = 0.5
) -> tuple[HybridModel, Tokenizer]:
    """Make a model of this shape; embeddings are frozen as they will be stored.

    Heads are new, but those of a checkpoint's taggers whose names and labels are those of the shape.
    Args:
        start: a pretrained encoder, or a checkpoint.
        shape: of the model.
        spread: a pretrained start gives evenly spaced layers, not its first.
        blend: a checkpoint whose weights are mixed with those of the start, which is a checkpoint of the same shape.
        share: of `blend`.

    Raises:
        ConfigError: `blend` has another shape than the start.
    """
    pretrained = read_pretrained(start)
    if pretrained is not None:
        pretrained = pretrained.spread(shape.layers) if spread else pretrained
        tokenizer, weights = pretrained.tokenizer, pretrained.hybrid_weights(shape)
    else:
        checkpoint = load_checkpoint(start)
        tokenizer, weights = checkpoint.tokenizer, checkpoint.tensors()
    if blend:
        other = load_checkpoint(blend)
        if pretrained is not None or other.config != checkpoint.config:
            raise ConfigError(f"training configuration: blend = {blend!r} needs a start of the same shape")
        theirs = other.tensors()
        weights = {name: (1 - share) * weight + share * theirs[name] for name, weight in weights.items()}
    model = HybridModel(shape)
    kept = {} if pretrained is not None else _known_heads(checkpoint.config, weights, shape)
    whole = weights
    weights = {k: v for k, v in weights.items() if not k.startswith(("head.", "text_scores."))}
    table = quantize_rows(weights["word.weight"].numpy()[: shape.vocab_size])
    if shape.segment_starts:
        if "start" not in weights:
            weights["start"] = weights["word.weight"][_token(tokenizer, "[SEP]")].half().float()
        table = add_start_rows(*table, weights["start"].numpy())
    weights["word.weight"] = torch.from_numpy(restore_rows(*table))  # train on what will be stored
    model.load_state_dict(weights, strict=False)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    torch.nn.init.zeros_(model.head.bias)
    with torch.no_grad():
        for first, (weight, bias) in kept.items():
            model.head.weight[first : first + len(bias)] = weight
            model.head.bias[first : first + len(bias)] = bias
    known = {} if pretrained is not None else _known_text_scores(checkpoint.config, whole, shape)
    for number, head in model.text_scores.items():
        assert isinstance(head, torch.nn.Linear)
        torch.nn.init.normal_(head.weight, std=0.02)
        torch.nn.init.zeros_(head.bias)
        if number in known:
            head.load_state_dict(known[number])
    model.word.requires_grad_(False)
    model.position.requires_grad_(False)
    return model, tokenizer


def _known_heads(
    old: HybridConfig, weights: Mapping[str, Tensor], new: HybridConfig
) -> dict[int, tuple[Tensor, Tensor]]:
    """Give weight and bias of the label scores of taggers that are the same in both, by their first new row."""
    rows: dict[tuple[str, tuple[str, ...]], tuple[Tensor, Tensor]] = {}
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    first = 0
    for name, labels in old.label_sets.items():
        end = first + len(labels)
        rows[name, labels] = weights["head.weight"][first:end], weights["head.bias"][first:end]
        first = end
    first = 0
    for name, labels in new.label_sets.items():
        if name and (name, labels) in rows:
            kept[first] = rows[name, labels]
        first += len(labels)
    return kept


def _known_text_scores(
    old: HybridConfig, weights: Mapping[str, Tensor], new: HybridConfig
) -> dict[str, dict[str, Tensor]]:
    """Give the heads of text scores whose tagger and names are the same in both, by the new number of the tagger."""
    taggers, kept = [*old.label_sets], {}
    for number, name in enumerate(new.label_sets):
        if name and old.text_scores.get(name) and old.text_scores[name] == new.text_scores.get(name):
            place = f"text_scores.{taggers.index(name)}."
            kept[str(number)] = {part: weights[place + part] for part in ("weight", "bias")}
    return kept
