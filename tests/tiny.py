"""A small random checkpoint with a real WordPiece tokenizer, for every test that needs a model but not its quality."""

import re
import string
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.heads.span_model import span_weights
from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel

LABELS = ("O", "B-person", "I-person", "B-place", "I-place")
SENTENCES = "we met ms rice in paris she went to rome with the president of peru and came back on monday"
WORDS = re.findall(r"\w+", SENTENCES)


def tiny_tokenizer() -> Tokenizer:
    """WordPiece over a few whole words, and single characters for all others."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    signs = list(string.ascii_lowercase + string.digits + string.punctuation)
    pieces = list(dict.fromkeys(marks + WORDS + signs + ["##" + c for c in string.ascii_lowercase + string.digits]))
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def tiny_byte_tokenizer() -> Tokenizer:
    """Byte-level byte pairs as RoBERTa has them, learned from a sentence."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([SENTENCES, "it's he'll we don't"] * 2, trainer)
    return tokenizer


def tiny_config(**changes: object) -> HybridConfig:
    """Four layers of 32, two of them causal; windows small enough that every rule about them is met quickly."""
    shape: dict[str, Any] = {
        "labels": LABELS,
        "layers": 4,
        "causal_layers": 2,
        "hidden": 32,
        "heads": 4,
        "intermediate": 64,
        "vocab_size": tiny_tokenizer().get_vocab_size(),
        "positions": 48,
        "window": 16,
        "page_size": 4,
    }
    return HybridConfig(**(shape | changes))


def tiny_checkpoint(seed: int = 0, **changes: object) -> Checkpoint:
    """Random weights, large enough that attention and labels vary from word to word."""
    config = tiny_config(**changes)
    torch.manual_seed(seed)
    model = HybridModel(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, 1.0 if name.startswith(("word", "position", "head", "text_scores")) else 0.15)
            elif "norm" not in name:
                weight.normal_(0.0, 0.05)
    weights = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    if config.spans:
        for i, labels in enumerate(config.label_sets.values()):
            weights[f"stability.{i}.spans"] = torch.randn(2, span_weights(labels)).numpy()
    return Checkpoint("tiny", config, weights, tiny_tokenizer())
