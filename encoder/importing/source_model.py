"""The source model of an import, bidirectional in all layers, with its special tokens; and the hybrid made from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer
from torch import Tensor

from encoder.checkpoints.huggingface.bert_families import Family, choose_family, convert_weights, encoder_fields
from encoder.checkpoints.huggingface.folder import ImportRefused, read_json, read_weights
from encoder.importing.label_head import ImportedHead, no_head, read_head, read_names
from encoder.importing.tokenizers import read_tokenizer
from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel
from encoder.model.framed import FRAME, FramedModel
from encoder.tokenizer.base import TokenizerError
from encoder.tokenizer.reading import check_ids

PAGE = 16
WINDOW = 128


@dataclass(frozen=True)
class SourceModel:
    """A folder's model as a dense model without causal layers; it gives the same states as transformers' model."""

    model: HybridModel
    """In evaluation mode, float32; position 0 is that of the opening special token."""
    tokenizer: Tokenizer
    opening: int
    closing: int
    kind: str
    """`model_type`"""
    tagger: bool
    """Whether it has a label head that is of use."""
    notes: tuple[str, ...]

    def hidden_states(self, ids: Tensor, real: Tensor) -> list[Tensor]:
        """Run texts between their special tokens, as the model was trained to see them.

        Args:
            ids: (B, T) int64 token ids without special tokens.
            real: (B, T) bool, false at padding, which is at the end.

        Returns:
            L + 1 tensors (B, T, H): the embedding output and each layer's, at the texts' own tokens.
        """
        framed = FramedModel(self.model, self.opening, self.closing)
        return [states[:, 1:-1] for states in framed.hidden_states(ids, real)]


def read_original(folder: Path, *, with_head: bool = True) -> SourceModel:
    """Read a checkpoint of BERT, RoBERTa, DistilBERT or ELECTRA that transformers wrote.

    `with_head` takes the head of a token-classification checkpoint; heads of other kinds are never taken.

    Raises:
        ImportRefused: a file is missing or damaged, or the model is of a kind that cannot be imported.
        TokenizerError: its tokenizer cannot follow live text.
        ConfigError: its sizes cannot work.
    """
    if not folder.is_dir():
        raise ImportRefused(f"{folder} is not a folder")
    path = folder / "config.json"
    source = read_json(path)
    family = choose_family(source, path)
    fields = encoder_fields(family, source, path)
    tokenizer = read_tokenizer(folder)
    raw = read_weights(folder)
    tagger = with_head and any(
        str(name).endswith("ForTokenClassification") for name in _names(source.get("architectures"))
    )
    head = _head(source, raw) if tagger else no_head(fields["hidden"])
    skip = _rows_before(family, source)
    tables = [len(tensor) for name, tensor in raw.items() if name.endswith("position_embeddings.weight")]
    if len(tables) != 1:
        raise ImportRefused(f"the weights have {len(tables)} tables position_embeddings.weight, not one")
    positions = tables[0] - skip
    config = HybridConfig(
        labels=head.labels, causal_layers=0, positions=positions, page_size=1, window=positions // 4 * 2, **fields
    )
    _check_tokenizer(tokenizer, config)
    model = _fill(config, convert_weights(family, config, raw, skip), head)
    opening, closing = (_special(tokenizer, name) for name in (family.opening, family.closing))
    notes = head.notes
    if not tagger and any(name.startswith("classifier.") for name in raw):
        notes = (*notes, "the checkpoint's head was left out")
    return SourceModel(model, tokenizer, opening, closing, str(source["model_type"]), tagger, notes)


def default_causal_layers(layers: int) -> int:
    """A third of the layers, at least one: 2 of 6, as the shipped checkpoint has."""
    return min(max(1, layers // 3), layers - 1)


def make_hybrid(
    original: SourceModel, causal_layers: int, window: int | None
) -> tuple[HybridConfig, dict[str, Tensor]]:
    """Make a hybrid of the same weights, not healed.

    Live text has no special tokens, so its position 0 is the row after the opening token's.

    Raises:
        ImportRefused: too few positions.
        ConfigError: causal layers or window that do not fit.
    """
    config = original.model.config
    positions = (config.positions - FRAME) // PAGE * PAGE
    if positions < 4 * PAGE:
        raise ImportRefused(f"the model has {config.positions} positions; {4 * PAGE + FRAME} is the least")
    fitting = min(WINDOW, positions // 2 // (2 * PAGE) * (2 * PAGE))
    shape = msgspec.structs.replace(
        config,
        causal_layers=causal_layers,
        positions=positions,
        page_size=PAGE,
        window=fitting if window is None else window,
    )
    weights = {name: tensor.detach().clone() for name, tensor in original.model.state_dict().items()}
    weights["position.weight"] = weights["position.weight"][1 : positions + 1].clone()
    return shape, weights


def _names(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _head(config: dict[str, Any], raw: dict[str, Tensor]) -> ImportedHead:
    if "classifier.weight" not in raw or "classifier.bias" not in raw:
        raise ImportRefused("the weights lack the token-classification head (classifier.weight, classifier.bias)")
    weight, bias = raw["classifier.weight"], raw["classifier.bias"]
    return read_head(read_names(config, len(weight)), weight, bias)


def _rows_before(family: Family, config: dict[str, Any]) -> int:
    """Rows of the position table before that of the first token."""
    if not family.positions_after_padding:
        return 0
    padding = config.get("pad_token_id")
    if type(padding) is not int or padding < 0:
        raise ImportRefused("config.json: no pad_token_id, from which RoBERTa counts positions")
    return padding + 1


def _check_tokenizer(tokenizer: Tokenizer, config: HybridConfig) -> None:
    try:
        check_ids(tokenizer, config.vocab_size)
    except TokenizerError as error:
        raise ImportRefused(f"{error}: they are not of the same checkpoint") from error


def _special(tokenizer: Tokenizer, name: str) -> int:
    found: int | None = tokenizer.token_to_id(name)
    if found is None:
        raise ImportRefused(f"the tokenizer has no {name}")
    return found


def _fill(config: HybridConfig, weights: dict[str, Tensor], head: ImportedHead) -> HybridModel:
    weights = weights | {"head.weight": head.weight, "head.bias": head.bias}
    model = HybridModel(config)
    for name, tensor in model.state_dict().items():
        if weights[name].shape != tensor.shape:
            wanted, got = tuple(tensor.shape), tuple(weights[name].shape)
            raise ImportRefused(f"the weights do not fit config.json: {name} is {got}, not {wanted}")
    model.load_state_dict(weights)
    return model.eval()
