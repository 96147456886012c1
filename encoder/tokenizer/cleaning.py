"""Cleaning of a text for the model, character for character, so that offsets stay those of the text received.

Characters are replaced (`encoder.tokenizer.characters`), then disguises of rude words are undone
(`encoder.tokenizer.disguises`). A cleaned text has the length of the text; it is the text itself if nothing is to be
cleaned. `spread_text` makes of it what the tokenizer splits: without the skipped characters, with ligatures as letters,
and with emoji as words of their own, since people write them behind a word without a space.
"""

import re
import unicodedata

from encoder.tokenizer.characters import SKIPPED, replace_characters
from encoder.tokenizer.disguises import is_surely_plain, last_cut, undo_disguises

__all__ = ["SKIPPED", "clean_grown_text", "clean_text", "spread_text"]

_SPREAD = re.compile(
    "(?P<skipped>\0+)|(?P<ligature>[\ufb00-\ufb04])|"
    "(?P<sign>[©®™\u2190-\u21ff\u2300-\u245f\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001faff]+)"
)


def clean_text(text: str) -> str:
    """Clean a text for the model; the result has the same length, and is `text` itself if nothing is to be cleaned."""
    return undo_disguises(replace_characters(text))


def clean_grown_text(replaced: str, before: str, common: int, was_plain: bool) -> str:
    """Undo the disguises of a text of which an earlier version is clean: only from near the first change on.

    Args:
        replaced: the text, with its characters replaced.
        before: the earlier version, cleaned.
        common: length of a common beginning of `replaced` and of the earlier version with its characters replaced.
        was_plain: whether there was no disguise in the earlier version.
    """
    goes_on = common == len(before) and replaced[common : common + 1] == " "  # the last run is the same in both
    cut = last_cut(replaced, common + goes_on)
    if was_plain and is_surely_plain(replaced[cut:]):
        return replaced
    return undo_disguises(replaced, before[:cut])


def spread_text(cleaned: str) -> tuple[str, list[int]] | None:
    """Return what the tokenizer splits, and the character of `cleaned` that each of its characters stands for.

    None if it is `cleaned` itself.
    """
    if (cleaned.isascii() and SKIPPED not in cleaned) or not _SPREAD.search(cleaned):
        return None
    parts, places, end = list[str](), list[int](), 0
    for found in _SPREAD.finditer(cleaned):
        first, last = found.span()
        parts.append(cleaned[end:first])
        places += range(end, first)
        if found["ligature"]:
            letters = unicodedata.normalize("NFKC", found[0])
            parts.append(letters)
            places += [first] * len(letters)
        elif found["sign"]:
            parts += [" ", found[0], " "]
            places += [first, *range(first, last), last - 1]
        end = last
    parts.append(cleaned[end:])
    places += range(end, len(cleaned))
    return "".join(parts), places
