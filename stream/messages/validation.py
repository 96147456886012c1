"""Validation of a single message, independent of the state of its session."""

import math
import re

from stream.messages.errors import InputError
from stream.messages.types import Delete, End, Message, Update

MAX_TEXT = 1 << 16
"""Maximum number of characters in one segment."""
MAX_ID = 256
"""Maximum number of characters in the id of a session or segment."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BAD_IN_ID = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_WORD = re.compile(r"\S+")


def check_message(message: Message) -> None:
    """Check the ids, characters, length and times of a message.

    Raises:
        InputError: bad_id, bad_text, text_too_long, bad_time or words_mismatch.
    """
    _check_id("session", message.session)
    if not isinstance(message, End):
        _check_id("segment", message.segment)
    if not isinstance(message, Delete | End):
        check_text(message.text)
        _check_times(message)


def check_text(text: str) -> None:
    """Check the text of one segment. Control characters are no fault: the model is given a cleaned text.

    Halves of surrogate pairs cannot be stored as UTF-8; what decodes messages puts U+FFFD in their place.

    Raises:
        InputError: text_too_long or bad_text.
    """
    check_length(len(text))
    if not text.isascii() and (bad := _SURROGATE.search(text)):
        raise InputError("bad_text", f"character U+{ord(bad[0]):04X} at {bad.start()} is half of a surrogate pair")


def check_length(characters: int) -> None:
    """Check the length of the text of one segment.

    Raises:
        InputError: text_too_long.
    """
    if characters > MAX_TEXT:
        detail = f"a segment has at most {MAX_TEXT} characters, this one has {characters}; go on in a new segment"
        raise InputError("text_too_long", detail)


def _count_words(text: str) -> int:
    """Count words as transcripts time them: runs of characters that are not white space."""
    return sum(1 for _ in _WORD.finditer(text))


def _check_id(which: str, value: str) -> None:
    if not 0 < len(value) <= MAX_ID:
        raise InputError("bad_id", f"a {which} id has 1 to {MAX_ID} characters, this one has {len(value)}")
    if not value.isprintable() and (bad := _BAD_IN_ID.search(value)):
        raise InputError("bad_id", f"a {which} id must not contain the character U+{ord(bad[0]):04X}")


def _check_times(update: Update) -> None:
    if update.time is not None and not math.isfinite(update.time):
        raise InputError("bad_time", "`time` must be a finite number of seconds")
    words = update.words
    if words is None:
        return
    if not all(math.isfinite(x.start) and math.isfinite(x.end) for x in words):
        raise InputError("bad_time", "`words` must have finite `start` and `end`, in seconds")
    if update.mode == "replace" and len(words) != _count_words(update.text):
        wanted = _count_words(update.text)
        raise InputError("words_mismatch", f"`words` has {len(words)} entries for {wanted} words of text")
