"""Normal form of values, so that the same value has the same number however it is written or spoken."""

import re
import unicodedata

_ONES = "one two three four five six seven eight nine"
_DIGITS = {
    **dict.fromkeys(("oh", "o", "zero", "nought", "naught"), "0"),
    **{word: str(n) for n, word in enumerate(_ONES.split(), 1)},
    "niner": "9",
}
_TEEN_WORDS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEENS = {word: str(n) for n, word in enumerate(_TEEN_WORDS.split(), 10)}
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: n for n, word in enumerate(_TEN_WORDS.split(), 2)}
_TIMES = {"double": 2, "triple": 3, "treble": 3}
_SIGNS = {"at": "@", "dot": ".", "point": ".", "dash": "-", "hyphen": "-", "underscore": "_", "slash": "/"}
FILLERS = frozenset(["uh", "um", "er", "ah", "erm", "hm", "no", "sorry", "the", "is", "so", "that's", "it's"])
"""Words that may stand inside a value or before it and are no part of it."""
_ADDRESSES = ("mail", "url", "user", "web", "domain", "handle")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[@._/+-]")


def normalise_value(label: str, value: str) -> str:
    """Return the normal form of a value: case, spaces, separators and spoken forms do not count.

    Number words become digits and, in addresses, "at" and "dot" become signs; a value that is mostly digits is its
    digits. Parts of a number that were corrected stay: only the owner of the number knows which count.
    """
    is_address = any(x in label.lower() for x in _ADDRESSES)
    text = unicodedata.normalize("NFKC", value).casefold().replace("i mean", "")
    words = [x for x in _WORD.findall(text) if x not in FILLERS and (is_address or x.isalnum() or "'" in x)]
    parts = _spell_out(words, is_address)
    joined = "".join(parts)
    if is_address:
        return joined.strip("._/+-@")
    plain = "".join(x for x in joined if x.isalnum())
    digits = "".join(x for x in plain if x.isdecimal())
    return digits if len(digits) * 2 > len(plain) else plain


def is_number_word(word: str) -> bool:
    """Tell whether a word, in lower case, can be a part of a spoken number."""
    return word in _DIGITS or word in _TIMES or word in _TEENS or word in _TENS


def _spell_out(words: list[str], is_address: bool) -> list[str]:
    """Return words as signs: digits of number words, repeated letters and digits."""
    out: list[str] = []
    times, tens = 1, 0
    for word in words:
        if word in _TIMES:
            times = _TIMES[word]
            continue
        digit = _DIGITS.get(word)
        if tens and digit not in (None, "0"):
            out[-1], tens = f"{tens}{digit}", 0
            continue
        tens = _TENS.get(word, 0)
        sign = f"{tens}0" if tens else digit or _TEENS.get(word) or word
        if is_address:
            sign = _SIGNS.get(word, sign)
        out.append(sign * times if len(sign) == 1 else sign)
        times = 1
    return out
