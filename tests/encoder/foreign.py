"""Small random checkpoints of each family as transformers writes them, the oracle that imports must equal."""

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from tests.tiny import tiny_byte_tokenizer, tiny_tokenizer

NAMES = ("B-place", "O", "I-person", "I-place", "B-person")
"""In no order of ours."""
FAMILIES = ("bert", "roberta", "distilbert", "electra")
_CLASSES = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert", "electra": "Electra"}
_OTHER_NAMES = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
}


def foreign_tokenizer(family: str) -> Tokenizer:
    return tiny_byte_tokenizer() if family == "roberta" else tiny_tokenizer()


def foreign_model(family: str, *, tagger: bool = True, seed: int = 0, **changes: Any) -> Any:
    """Build a random model in which no weight is at its default, in evaluation mode."""
    fields: dict[str, Any] = {
        "vocab_size": foreign_tokenizer(family).get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 83,
    }
    fields |= {"embedding_size": 20} if family == "electra" else {}
    fields |= changes
    if tagger:
        fields |= {"id2label": dict(enumerate(NAMES)), "label2id": {name: i for i, name in enumerate(NAMES)}}
    if family == "distilbert":
        fields = {_OTHER_NAMES.get(name, name): value for name, value in fields.items()}
    name = _CLASSES[family]
    config = getattr(transformers, f"{name}Config")(**fields)
    torch.manual_seed(seed)
    model = getattr(transformers, name + ("ForTokenClassification" if tagger else "Model"))(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.15))
    return model.eval()


def write_foreign(folder: Path, family: str, **changes: Any) -> Any:
    """Write a random checkpoint with its tokenizer; returns the model."""
    model = foreign_model(family, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # transformers leaves files to the garbage collector
        model.save_pretrained(folder)
    foreign_tokenizer(family).save(str(folder / "tokenizer.json"))
    return model
