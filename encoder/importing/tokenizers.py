"""The tokenizer of a checkpoint: `tokenizer.json`, or the older files from which it can be made."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from encoder.checkpoints.huggingface.folder import ImportRefused, read_json
from encoder.files import check_file
from encoder.tokenizer.byte_bpe import with_prefix_space
from encoder.tokenizer.incremental import TokenizerError, choose_subword_model
from encoder.tokenizer.reading import TOKENIZER_BYTES, check_tokenizer, read_tokenizer_file


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read a tokenizer that can follow live text, without truncation, padding or special tokens in its output.

    Raises:
        ImportRefused: no files of one.
        TokenizerError: words look at their neighbours.
    """
    tokenizer = _read(folder)
    choose_subword_model(tokenizer)
    kinds = json.loads(tokenizer.to_str())
    check_tokenizer(kinds)
    if kinds["model"]["type"] == "BPE":  # training cuts word by word, and must cut as live text is cut
        tokenizer = Tokenizer.from_str(json.dumps(with_prefix_space(kinds)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read(folder: Path) -> Tokenizer:
    try:
        if (folder / "tokenizer.json").is_file():
            return read_tokenizer_file(folder / "tokenizer.json")
        if (folder / "vocab.txt").is_file():
            return _wordpiece(folder)
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return _byte_pairs(folder)
    except (ImportRefused, TokenizerError):
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise ImportRefused(f"{folder}: the tokenizer cannot be read: {error}") from error
    raise ImportRefused(f"{folder} has neither tokenizer.json, nor vocab.txt, nor vocab.json with merges.txt")


def _wordpiece(folder: Path) -> Tokenizer:
    """Make BERT's tokenizer from its vocabulary; `tokenizer_config.json` has the treatment of case."""
    path = folder / "tokenizer_config.json"
    settings = read_json(path) if path.is_file() else {}
    check_file(folder / "vocab.txt", TOKENIZER_BYTES)
    tokenizer = Tokenizer(models.WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _byte_pairs(folder: Path) -> Tokenizer:
    """GPT-2's tokenizer from its vocabulary and merges, as RoBERTa has it."""
    for name in ("vocab.json", "merges.txt"):
        check_file(folder / name, TOKENIZER_BYTES)
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
