"""A tokenizer's file: checked before the library makes a tokenizer of it, since that may abort, or take for ever."""

from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from encoder.files import FileRefused, decode_fields, read_file, to_one_line
from encoder.tokenizer.base import TokenizerError

TOKENIZER_BYTES = 64 << 20
MOST_TOKENS = 1 << 22
"""Limit of a vocabulary."""
LONGEST_WORD = 200
"""Limit of WordPiece's `max_input_chars_per_word` (BERT has 100): splitting a word takes time by the square of it."""

_HARMLESS = {
    "post_processor": (None, "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"),
    "decoder": (None, "WordPiece", "ByteLevel", "BPEDecoder"),
}
"""Kinds of the parts that are not used here, and whose making cannot abort."""


def read_tokenizer_file(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Raises:
        OSError: it cannot be read.
        TokenizerError: it is not the JSON of a tokenizer that can be used here; the message names the file.
    """
    try:
        content = read_file(path, TOKENIZER_BYTES)
        check_tokenizer(decode_fields(content, path, dict[str, Any]))
        return make_tokenizer(content.decode())
    except FileRefused as error:
        raise TokenizerError(str(error)) from error
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def make_tokenizer(text: str) -> Tokenizer:
    """Make a tokenizer of its JSON.

    Raises:
        TokenizerError: the library cannot.
    """
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:  # bare Exception; and a panic of the library is no Exception at all
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise TokenizerError(f"tokenizer: {to_one_line(str(error))}") from error


def check_tokenizer(spec: dict[str, Any]) -> None:
    """Check the parts of a tokenizer's JSON that could cost time or memory without a bound, or stop the library.

    Raises:
        TokenizerError: a part is of a kind that is not supported, or the vocabulary cannot be used.
    """
    kind = subword_kind(spec)
    for name, kinds in _HARMLESS.items():
        if _kind_of(spec, name) not in kinds:
            raise TokenizerError(
                f"tokenizer: {name} {_kind_of(spec, name)!r} is not supported; take it out of the file"
            )
    model = spec["model"]
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise TokenizerError("tokenizer: model.vocab must map at least one token to its id")
    added = spec.get("added_tokens") or []
    if not isinstance(added, list):
        raise TokenizerError("tokenizer: added_tokens must be a list")
    check_vocabulary(vocabulary, len(vocabulary) + len(added))
    if kind != "WordPiece":
        return
    unknown, longest = model.get("unk_token", "[UNK]"), model.get("max_input_chars_per_word", 100)
    if unknown not in vocabulary:
        raise TokenizerError(f"tokenizer: the vocabulary lacks its unknown token {to_one_line(str(unknown), 60)!r}")
    if not isinstance(longest, int) or not 1 <= longest <= LONGEST_WORD:
        raise TokenizerError(
            f"tokenizer: max_input_chars_per_word must be 1 to {LONGEST_WORD}, not {to_one_line(str(longest), 60)}"
        )


def subword_kind(spec: dict[str, Any]) -> Literal["WordPiece", "BPE"]:
    """Give the kind of subword model of a tokenizer's JSON.

    Raises:
        TokenizerError: it is neither of the two that can follow live text.
    """
    found = [_kind_of(spec, part) for part in ("normalizer", "pre_tokenizer", "model")]
    if found == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return "WordPiece"
    if found == [None, "ByteLevel", "BPE"]:
        return "BPE"
    raise TokenizerError(
        "tokenizer: needs BERT's (BertNormalizer, BertPreTokenizer, WordPiece) or RoBERTa's (no normalizer, ByteLevel, "
        f"BPE), got {', '.join(map(str, found))}"
    )


def _kind_of(spec: dict[str, Any], name: str) -> str | None:
    """The kind of a part; None if there is no such part."""
    part = spec.get(name)
    kind = part.get("type") if isinstance(part, dict) else part
    return None if kind is None else to_one_line(str(kind), 60)


def check_vocabulary(vocabulary: dict[str, Any], tokens: int) -> None:
    """Check that ids are numbers of rows that a table of a sensible size can have.

    Raises:
        TokenizerError: one is not.
    """
    if tokens > MOST_TOKENS:
        raise TokenizerError(f"tokenizer: {tokens:,} tokens, more than the limit of {MOST_TOKENS:,}")
    limit = 2 * tokens + 1024  # vocabularies have gaps, but are not mostly gaps
    for token, number in vocabulary.items():
        if type(number) is not int or not 0 <= number < limit:
            raise TokenizerError(
                f"tokenizer: token {to_one_line(token, 40)!r} has the id {to_one_line(str(number), 40)}; ids are 0 to "
                f"{limit - 1:,} for {tokens:,} tokens"
            )


def check_ids(tokenizer: Tokenizer, rows: int) -> None:
    """Check that every id of a tokenizer has a row in a word table of that many.

    Raises:
        TokenizerError: one has none.
    """
    most = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if most >= rows:
        raise TokenizerError(f"tokenizer: ids up to {most:,}, but the word table has {rows:,} rows")
