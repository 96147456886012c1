"""Disguises of rude words, undone character for character: the model reads the word that people read.

`undo_disguises` finds, in the words between spaces and in letters set apart by spaces, the rude words
(`encoder.tokenizer.rude_words`) that are written in one of these ways, or in several of them:

- digits and signs in place of letters ("stup1d", "@ss"), and signs or emoji that mask letters ("d*ck", "f***");
- letters set apart by blanks, signs or emoji ("s t u p i d", "s.t.u.p.i.d", "stu-pid");
- letters repeated ("stuuupid"), with combining marks, or of other scripts.

The result has the length of the text: a masking character becomes the letter that it stands for, one that hides nothing
becomes `SKIPPED`. Any other text stays as it is. A word must be one of the list as a whole, so "m i l l e r", "h2o" or
"cockburn" are none, and a word is left alone where the signs are likely meant: letters that somebody spells, room and
part numbers, addresses, a hyphen between two words.

What is undone depends on the run of characters between two spaces, on single letters beside it, and, for these, on the
words before them. So `last_cut` finds a place near the end of a text from which cleaning can go on when the text grows.
"""

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from encoder.tokenizer.characters import SKIPPED
from encoder.tokenizer.disguise_readings import (
    INSTEAD,
    MASKS,
    WordReading,
    is_emoji,
    is_letter_or_sign,
    is_regional_letter,
    read_rude_words,
    spell_word,
)

_LONGEST = 256
"""Characters of the longest run that is looked at."""
_LONGEST_KEPT = 40
"""Characters of the longest run whose result is kept for the next time."""
_MOST_APART = 64
"""Single letters of the longest sequence that is looked at."""
_RUN = re.compile(r"\S+")
_WEAK_MASKS = MASKS - frozenset("*#@$%!")
"""Masks that are seldom meant as such."""
_END_MASKS = frozenset(("*", "#", SKIPPED))
_ONLY_APART = frozenset(",/\\|")
"""Separators between words, too: they only hide a word that has them between all letters."""
_LEAD = re.compile(r"[\"'“”‘’(\[{<«¿*_~#>\-–—….,:;]+")
_TRAIL = re.compile(r"(?:['’`´]s)?[\"'“”‘’)\]}>».,:;!?…_~\-–—=|/]*$")
_EMPHASIS = re.compile(r"[*_~]+")
_PARTS = re.compile(r"[^,;:\"()\[\]{}<>…“”«»/?]+")
_SMALLER_PARTS = re.compile(r"[^,;:\"()\[\]{}<>…“”«»/?.\-&=]+")
_MOST_PARTS = 4
"""Parts of a run with hyphens; what has more is a number of some kind."""
_ADDRESS = re.compile(r"://|^www\.|@[\w-]+\.\w|\.(?:com|org|net|edu|gov|info|io|co|uk|de|fr|tv)\b", re.IGNORECASE)
_TWO_NAMES = re.compile(r"[a-z][\-_.‐‑–][A-Z]")
_TRIPLE = re.compile(r"(.)\1\1")
_TRIPLE_OR_MORE = re.compile(r"(.)\1\1+")
_ONLY_WORD_WITH_0_FOR_U = "fuck"
_NO_REPETITIONS = frozenset(("assess", "rapper", "rappers"))
"""Words that are a rude word with a doubled letter."""
_DOUBLED = frozenset(("stupid", "idiot", "idiots", "moron", "morons", "dumb", "pathetic", "imbecile"))
"""Words that are not hard, of which no doubled letter makes another word."""
_MASKED_TO_ONE_LETTER = frozenset(("fuck", "shit", "cunt", "bitch"))
_BEFORE_SPELLING = re.compile(
    r"\b(?:(?:sur|user)?names?|spel\w*|call(?:ed|s)?|e-?mail|plate|registration|post ?code|zip|reference|code|letters?"
    r"|capitals?|initials?|id|passport|licen[cs]e|number)\b",
    re.IGNORECASE,
)
_LOOKED_AT = 48
"""Characters before single letters in which the announcement of a spelling is sought."""
_VOWELS = frozenset("aeiou")
_BEFORE = re.split(" ", " you a i u r ur youre the are is so he she they your my such what go")
_BEHIND = re.split(" ", " you off him her them this that all it me u head")
"""Words beside a rude word whose letters are set apart, too. They make no name with it, as "nazi" with "a" does."""
_OTHER_WORDS = frozenset(("therapist", "therapists"))
"""Words that are a common and a rude one."""
_NAMES = frozenset(("dick", "hooker", "dyke"))
"""Rude words that are names as well, which people spell in capitals."""


def undo_disguises(text: str, kept: str = "") -> str:
    """Undo the disguises in a text in which no character is left to be replaced.

    Args:
        text: the text.
        kept: the result of its beginning, up to a place that `last_cut` gives.

    Returns:
        A text of the same length; `text` itself if there is no disguise in it.
    """
    parts, end, apart = [kept], len(kept), list[re.Match[str]]()
    for found in _RUN.finditer(text, end):
        run = found[0]
        if len(run) <= 3 and _is_single(run):
            apart.append(found)
            continue
        if apart:
            if len(apart) > 2:
                end = _add_changes(text, apart, parts, end)
            apart.clear()
        if 2 < len(run) <= _LONGEST:
            read = _undo_in_short_run(run) if len(run) <= _LONGEST_KEPT else _undo_in_run(run)
            if read != run:
                parts += [text[end : found.start()], read]
                end = found.end()
    if len(apart) > 2:
        end = _add_changes(text, apart, parts, end)
    if len(parts) == 1 and text.startswith(kept):
        return text
    parts.append(text[end:])
    return "".join(parts)


def is_surely_plain(text: str) -> bool:
    """Tell quickly whether a short text is plain, as nearly all are; if not, `undo_disguises` tells."""
    short = 0
    for run in text.split():
        if len(run) <= 3:
            short += 1
        if len(run) > 2 and (len(run) > _LONGEST_KEPT or not _is_plain_run(run)):
            return False
    return short < 3


def is_plain_alone(run: str) -> bool:
    """Tell whether a short run between two spaces is plain, and part of no disguise whatever stands before it."""
    return not (len(run) <= 3 and _is_single(run)) and (len(run) < 3 or _is_plain_run(run))


def last_cut(text: str, most: int) -> int:
    """Give the last place up to `most` on both sides of which a text is cleaned independently.

    It follows a space and a run that no single letter goes on; 0 if there is none.
    """
    cut = text.rfind(" ", 0, most) + 1
    while cut and not (cut > 3 and text[cut - 4 : cut - 1].isalnum()):
        cut = text.rfind(" ", 0, cut - 1) + 1
    return cut


@lru_cache(1024)
def _is_single(run: str) -> bool:
    """Tell whether a run of up to three characters is a letter with signs beside it, or signs alone."""
    return len(run) == 1 or sum(map(is_letter_or_sign, run.strip("!|+"))) < 2


def _undo_in_run(run: str) -> str:
    """Undo the disguises in what stands between two spaces."""
    if run.isascii() and run.isalpha():
        return _undo_in_word(run)
    start, end = 0, len(run)
    if lead := _LEAD.match(run):
        start = lead.end()
    if trail := _TRAIL.search(run, start):
        end = trail.start()
    if lead and (emphasis := _EMPHASIS.search(lead[0])) and run.endswith(emphasis[0], start, end):
        end -= len(emphasis[0])
    core = run[start:end]
    if len(core) < 3 or _ADDRESS.search(core):
        return run
    return run[:start] + _undo_in_core(core) + run[end:]


_undo_in_short_run = lru_cache(1 << 15)(_undo_in_run)


@lru_cache(1 << 15)
def _is_plain_run(run: str) -> bool:
    return _undo_in_run(run) == run


def _undo_in_core(core: str) -> str:
    """Undo the disguises in a run without the punctuation at its ends: in all of it or in its parts."""
    whole = _undo_in_word(core)
    if whole != core or core.isalpha():
        return whole
    letters = [x for x in enumerate(core) if is_letter_or_sign(x[1])]
    if len(letters) > 2 and all(b[0] - a[0] > 1 for a, b in pairwise(letters)):
        return _join_letters(core, [i for i, _ in letters], "")
    for pattern in (_PARTS, _SMALLER_PARTS):
        if pattern is _SMALLER_PARTS and len(pattern.findall(core)) > _MOST_PARTS:
            break
        read = pattern.sub(lambda part: _undo_in_word(part[0].rstrip("!")) + "!" * _count_end(part[0], "!"), core)
        if read != core:
            return read
    return core


def _count_end(text: str, sign: str) -> int:
    return len(text) - len(text.rstrip(sign))


def _undo_in_word(word: str) -> str:
    """Undo the disguise of a word; itself if it is not a rude word in disguise."""
    readings = read_rude_words(word)
    if any(set(x.actions.rstrip("sz")) <= set("lz") for x in readings):  # the plain word, perhaps with a sign behind it
        return word
    return next((spell_word(word, x) for x in readings if _is_disguise(word, x)), word)


def _is_disguise(text: str, reading: WordReading) -> bool:
    """Tell whether a text that can be read as a rude word is meant as one, and is not the plain word."""
    word, actions = reading.word, reading.actions
    count, length = Counter(actions), len(word.text)
    plain = count["l"] + count["a"] + count["c"]
    is_plain = plain + count["z"] == len(text) and count["c"] == 0 and count["a"] < 2
    if is_plain or actions.rstrip("zk")[-1] == "s" or not _is_latin(text, reading):
        return False
    if length == 3 and (not word.hard or count["d"] or count["m"] or count["s"] or INSTEAD.keys() & text.lower()):
        return False
    if length == 4 and "z" in text.lower() and "z" not in word.text:  # "Titz"
        return False
    checks = (
        ("d", _has_meant_digits),
        ("m", _has_meant_masks),
        ("s", _has_meant_separators),
        ("r", _has_meant_repetitions),
    )
    return all(check(text, reading, plain) for action, check in checks if count[action])


def _is_latin(text: str, reading: WordReading) -> bool:
    """Tell whether look-alikes stand among Latin letters: a word of another script is none of ours."""
    return "c" not in reading.actions or "l" in reading.actions or any(map(is_regional_letter, text))


def _has_meant_digits(text: str, reading: WordReading, plain: int) -> bool:
    """Digits stand for letters: not in numbers of parts and rooms, nor where a number follows a word."""
    word, actions = reading.word, reading.actions
    if plain < (2 if word.hard or len(word.text) > 4 else 3):
        return False
    read = list(zip(text, actions, reading.letters, strict=True))
    if any(x == "0" and letter == "u" for x, _, letter in read) and _ONLY_WORD_WITH_0_FOR_U not in word.text:
        return False  # "sl0t", "s0ck"
    if any(a[1] == "d" and b[1] == "r" and a[0] != b[0] for a, b in pairwise(read)):
        return False  # "c0unt": a digit and the letter behind it are two letters
    return not (text[-1] == "5" and set(actions[:-1]) <= set("lz"))


def _has_meant_masks(text: str, reading: WordReading, plain: int) -> bool:
    """Signs mask letters: enough of the word is shown, and more of one that is masked at its end."""
    word, actions = reading.word, reading.actions.rstrip("zk")
    length = len(word.text)
    shown = length - sum(action == "m" and x != "" for x, action in zip(reading.letters, actions, strict=False))
    masks = [x for x, action in zip(text, actions, strict=False) if action == "m"]
    if length < 4 or plain < 1 or "s" in actions or (INSTEAD.keys() & text.lower() and "g" in actions):
        return False
    if not _WEAK_MASKS.isdisjoint(masks) and (
        not word.hard or _TWO_NAMES.search(text) or actions.strip("lacdgr").replace("m", "")
    ):
        return False
    if _is_mask_between_letters(text, actions) and not (word.hard and len(masks) == 2 and _masks_vowel(reading)):
        return False  # "p*a*r*i*s" are letters set apart
    if actions[-1] == "m":
        if shown == 1:
            return word.text in _MASKED_TO_ONE_LETTER and (text[0].islower() or text[0] == "F")
        return word.hard and set(text[len(actions.rstrip("m")) :]) <= _END_MASKS and shown * 2 >= length
    return shown >= 2 and len(masks) <= shown + (2 if word.hard else 1)


def _is_mask_between_letters(text: str, actions: str) -> bool:
    """Tell whether the same sign, and one of it, is between all letters."""
    return len(set(text[1::2])) == 1 and set(actions[1::2]) == {"m"} and "m" not in actions[::2] and len(text) > 4


def _masks_vowel(reading: WordReading) -> bool:
    return any(
        x == "m" and letter in _VOWELS for x, letter in zip(reading.actions, reading.letters, strict=True) if letter
    )


def _has_meant_separators(text: str, reading: WordReading, plain: int) -> bool:
    """Separators hide a word: they are not between two words, and the word is not a short one."""
    word, actions = reading.word, reading.actions
    places, apart, seen = set[int](), 0, 0
    for i, action in enumerate(actions):
        if action == "s" and actions[i - 1] != "s":
            places.add(seen)
            apart += 1
        seen += bool(reading.letters[i])
    if apart == len(word.text) - 1:
        return not (text.isupper() and word.text in _NAMES)
    signs = {x for x, action in zip(text, actions, strict=True) if action == "s"}
    if signs & _ONLY_APART or "sss" in actions or places <= word.seams or _TWO_NAMES.search(text):
        return False
    return word.hard or len(word.text) > 4 or all(map(is_emoji, signs))


def _has_meant_repetitions(text: str, reading: WordReading, plain: int) -> bool:
    """Letters are repeated: three of a kind, or two where that makes no other word."""
    word, letters = reading.word, "".join(filter(str.isalpha, text.lower()))
    if _TRIPLE_OR_MORE.sub(r"\1", letters) in _NO_REPETITIONS:
        return False
    if set(reading.actions) - set("lrzs") or _TRIPLE.search(letters):
        return True
    return len(word.text) > 3 and (word.hard or word.text in _DOUBLED)


def _add_changes(text: str, apart: list[re.Match[str]], parts: list[str], end: int) -> int:
    """Add the text up to the end of a sequence of single letters to `parts` if it hides a word; return its end."""
    start, stop = apart[0].start(), apart[-1].end()
    places = [i for i in range(start, stop) if is_letter_or_sign(text[i])]
    if not 2 < len(places) <= _MOST_APART:
        return end
    read = _join_letters(text[start:stop], [i - start for i in places], text[max(0, start - _LOOKED_AT) : start])
    if read != text[start:stop]:
        parts += [text[end:start], read]
        return stop
    return end


def _join_letters(text: str, places: list[int], before: str) -> str:
    """Join the letters at `places` of a text if they are a rude word, perhaps with a common word beside it."""
    if _BEFORE_SPELLING.search(before):
        return text
    gaps = [b - a for a, b in pairwise(places)]
    bounds = [0, *[i + 1 for i, gap in enumerate(gaps) if gap > min(gaps)], len(places)]
    groups = [places[a:b] for a, b in pairwise(bounds)]
    characters = list(text)
    joined = [x for x in (places, *groups) if len(x) > 2 and _join_group(text, x, characters)]
    return "".join(characters) if joined else text


def _join_group(text: str, places: list[int], characters: list[str]) -> bool:
    """Write a rude word, and the word before or after it, to their places; returns whether there is one."""
    shown = "".join([text[i] for i in places])
    low, high = len(shown) - len(shown.lstrip("!|+")), len(shown.rstrip("!|+"))
    lower = shown.lower()
    if lower[low:high] in _OTHER_WORDS:
        return False
    for lead in _BEFORE:
        for tail in _BEHIND if lower.startswith(lead, low, high) else ():
            first, end = low + len(lead), high - len(tail)
            if end - first > 2 and lower.endswith(tail, first, high) and (word := _read_apart(shown[first:end])):
                parts = [(low, shown[low:first]), (first, word), (end, shown[end:high])]
                for at, part in parts:
                    if part:
                        begin, last = places[at], places[at + len(part) - 1]
                        characters[begin : last + 1] = SKIPPED * (last + 1 - begin)
                        for i, letter in enumerate(part):
                            characters[places[at + i]] = letter
                return True
    return False


def _read_apart(letters: str) -> str | None:
    """Read letters that were set apart as a rude word; None if they are none."""
    readings = [x for x in read_rude_words(letters) if not set(x.actions) & set("msr") and _is_latin(letters, x)]
    if not readings:
        return None
    reading = readings[0]
    word, plain = reading.word.text, sum(x in "lac" for x in reading.actions)
    if plain < (2 if len(word) > 4 - reading.word.hard else 3) or (letters.isupper() and word in _NAMES):
        return None
    return spell_word(letters, reading) if len(word) > 3 or (word == "ass" and letters.islower()) else None
