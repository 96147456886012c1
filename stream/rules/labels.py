"""Decides which runs of digits and letters are personal data, from the words before and after them."""

import re
from typing import NamedTuple

from stream.rules.checks import find_shape, has_check_digits, is_date
from stream.rules.numbers import NumberRun
from stream.rules.spoken import ItemKind
from stream.rules.vocabulary import list_words
from stream.rules.words import ActiveCue

NUMBER_LABELS = frozenset(
    list_words("""
    phone card iban account national_id passport date_of_birth license_plate medical_record postcode ip
""")
)
"""Labels whose values are runs of digits and letters."""
LENGTHS = {
    "phone": (5, 15), "card": (8, 19), "iban": (8, 34), "account": (5, 20), "national_id": (6, 14), "passport": (6, 10),
"license_plate": (4, 11), "medical_record": (5, 14), "postcode": (3, 9), "ip": (6, 32),
}  # fmt: skip
"""Fewest and most letters and digits of a value that is asked for. A longer one has another label; a shorter one is
none, unless the line ends with it: people pause inside of numbers."""
LETTERED = frozenset(list_words("iban account national_id passport license_plate medical_record postcode"))
"""Labels whose values have letters."""
_TOLL_FREE = re.compile(
    r"1?8(?:00|88|77|66|55|44|33)\d{7}|080[08]\d{3,7}|1[38]00\d{6}|999|911|112|111|988|211|311|101|108", re.ASCII
)
_YEAR = re.compile(r"(1[89]|20)\d\d", re.ASCII)
_VERSION = re.compile(r"(?:^|\.)\d\.|\.\d(?:\.|$)", re.ASCII)
_HOUR = re.compile(r"(?:1[0-2]|[1-9])[0-5][05]", re.ASCII)
_HOUR = re.compile(r"(?:1[0-2]|[1-9])[0-5][05]", re.ASCII)
_CLOCK = re.compile(r"\d{1,4}[AP]M?", re.ASCII)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ACRONYMS = frozenset(
    list_words("""
    HTML HTTP HTTPS ASAP USSR NATO NASA UNESCO UNICEF ABCD ABCDE XYZ WWW LGBT LGBTQ CCTV RSVP JPEG AARP NAACP
""")
)
_SPELLED = frozenset((ItemKind.LETTER, ItemKind.NATO))


class RunLabel(NamedTuple):
    """What a run is."""

    label: str
    score: float
    from_cue: bool = False
    """Whether the words before made it one."""


def label_run(run: NumberRun, cue: ActiveCue | None, *, used: bool, spelling: bool) -> RunLabel | None:
    """Return the label of a run; None if it is nobody's, or too little is known.

    Args:
        run: digits and letters.
        cue: the last words before it that ask for a value or announce one.
        used: whether an earlier run was the answer to them already.
        spelling: whether the words before ask for a name or its spelling.
    """
    plain = run.plain
    digits = sum(c.isdigit() for c in plain)
    if _CLOCK.fullmatch(plain) or (_TOLL_FREE.fullmatch(plain) and (cue is None or cue.label in ("phone", ""))):
        return None
    shape = find_shape(run.chars)
    if cue is not None and cue.label == "date_of_birth":
        return None if len(plain) < 9 else RunLabel(shape.label, shape.score) if shape else None
    if cue is not None and cue.label in NUMBER_LABELS:
        found = _label_asked(run, cue, used, plain, digits)
        if found is not None:
            return found
    if shape is not None and (shape.checked or shape.score > 0.79):
        return RunLabel(shape.label, shape.score)
    if cue is not None and cue.label == "" and (cue.lines < 2 or digits < 9) and (digits or not spelling):
        return None
    if run.quantity:
        return None
    if shape is not None:
        return RunLabel(shape.label, shape.score)
    if run.at_end and digits == len(plain) > 4 and plain[0] == "0" and all(x.single for x in run.items):
        return RunLabel("phone", 0.4)  # "it's oh seven nine double one": the rest comes
    return _label_spelled(run, spelling, plain, digits)


def _label_asked(run: NumberRun, cue: ActiveCue, used: bool, plain: str, digits: int) -> RunLabel | None:
    label, n = cue.label, len(plain)
    if (run.quantity and (n < 7 or len(run.items) < 4)) or not _fits(run, cue, n, digits):
        return None
    fewest, most = LENGTHS[label]
    gap = run.lead - cue.end if cue.lines == 0 else run.lead
    if (cue.lines or gap > 3) and (_is_counting(plain) or _is_cardinal(run)):
        return None
    if run.timed and not run.spoken_singly and _HOUR.fullmatch(plain):
        return None
    if run.chars.count(".") == 1 and any(x.kind is ItemKind.SIGN for x in run.items):
        return None  # "two point seven five"
    if n < 4 and not run.at_end and any(x.kind is ItemKind.ALIKE for x in run.items):
        return None  # "two for one"
    if cue.lines:
        fewest = max(3 if run.spoken_singly or digits < n else 4, fewest - 2) if gap <= 7 else 6
    if run.at_end and gap <= 6:
        fewest = 3 if cue.lines and gap > 3 else 2
        if cue.weak:
            fewest = 3 if all(x.single for x in run.items) else 5
    elif cue.ending:
        fewest = 2 if gap == 0 or (gap < 3 and all(x.single for x in run.items)) else 3
    if used or (cue.lines == 0 and gap > 9):
        fewest = max(fewest, 6)
    if n < fewest:
        return None
    held = has_check_digits(label, plain)
    shape = find_shape(run.chars)
    if shape is not None and shape.label != label and (n > most or shape.checked or shape.score > 0.9):
        return RunLabel(shape.label, shape.score, True)
    if n > most:
        return RunLabel("account", 0.5, True)
    base = 0.8 if cue.lines == 0 else 0.7
    return RunLabel(label, min(0.98, base + (0.15 if held else -0.1 if held is False else 0)), True)


def _is_counting(plain: str) -> bool:
    """Whether it is "one two three four" or "five four three two one"."""
    return 2 < len(plain) < 7 and (plain in "123456789" or plain in "987654321")


def _is_cardinal(run: NumberRun) -> bool:
    """Whether it is one number such as "nine hundred and seventy"."""
    item = run.items[0]
    return len(run.items) == 1 and len(item.chars) == 3 and item.end - item.first > 1 and not item.single


def _fits(run: NumberRun, cue: ActiveCue, n: int, digits: int) -> bool:
    """Whether letters and digits are those of a label."""
    label = cue.label
    if digits < n and label not in LETTERED and ":" not in run.chars:
        return False
    if is_date(run.chars) or (_YEAR.fullmatch(run.chars) and not run.items[0].single):
        return False
    if label == "ip":
        return run.chars.count(".") > 2 or ":" in run.chars or n > 7 or (run.at_end and not cue.weak)
    if label == "phone" and _VERSION.search(run.chars):
        return False
    if label == "postcode" and digits < n < digits + 2 and not run.at_end:
        return False
    if label == "license_plate" and digits == n and not run.at_end:
        return False
    if digits:
        return True
    spelled = sum(len(x.chars) for x in run.items if x.kind in _SPELLED)
    return label in LETTERED and label != "medical_record" and spelled >= 2 and run.at_end


def _label_spelled(run: NumberRun, spelling: bool, plain: str, digits: int) -> RunLabel | None:
    """Label letters that were said one by one, and letters and digits of no known shape."""
    spelled = sum(len(x.chars) for x in run.items if x.kind in _SPELLED)
    letters = len(plain) - digits
    if not digits:
        fewest = 3 if spelling else 4
        if spelled < fewest or plain in _ACRONYMS or plain in _ALPHABET or len(set(plain)) < 3:
            return None
        return RunLabel("person", 0.6 if fewest == 3 else 0.5)
    if letters > 1 and digits > 1 and len(plain) > 5 and spelled > 1:
        return RunLabel("license_plate" if len(plain) < 9 else "account", 0.45)
    if letters and digits > 3 and len(plain) > 7:
        return RunLabel("account", 0.4)
    return None
