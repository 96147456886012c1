"""Decides which runs of digits and letters are personal data, from the words before and after them."""

import re
from typing import NamedTuple

from stream.rules.checks import find_shape, has_check_digits
from stream.rules.numbers import NumberRun
from stream.rules.spoken import ItemKind
from stream.rules.words import ActiveCue

NUMBER_LABELS = frozenset("""phone card iban account national_id passport date_of_birth license_plate medical_record postcode
    ip""".split())
"""Labels whose values are runs of digits and letters."""
LENGTHS = {
    "phone": (3, 15), "card": (3, 19), "iban": (3, 34), "account": (3, 20), "national_id": (3, 14), "passport": (3, 10),
    "date_of_birth": (3, 8), "license_plate": (3, 11), "medical_record": (3, 14), "postcode": (3, 9), "ip": (3, 32),
}  # fmt: skip
"""Fewest and most letters and digits of a value whose label is asked for; another label is tried for others."""
LETTERED = frozenset("iban account national_id passport license_plate medical_record postcode".split())
"""Labels whose values have letters."""
_TOLL_FREE = re.compile(r"1?8(?:00|88|77|66|55|44|33)\d{7}|080[08]\d{3,7}|1[38]00\d{6}|999|911|112|111", re.ASCII)
_CLOCK = re.compile(r"\d{1,4}[AP]M?", re.ASCII)
_ACRONYMS = frozenset("HTML HTTP HTTPS ASAP USSR NATO NASA UNESCO UNICEF ABCD ABCDE XYZ LGBT LGBTQ CCTV RSVP JPEG AARP NAACP".split())
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
    if _CLOCK.fullmatch(plain):
        return None
    shape = find_shape(run.chars)
    if cue is not None and cue.label in NUMBER_LABELS:
        found = _label_asked(run, cue, used, plain, digits)
        if found is not None:
            return found
    if _TOLL_FREE.fullmatch(plain):
        return None
    if shape is not None and shape.checked:
        return RunLabel(shape.label, shape.score)
    if cue is not None and cue.label == "":
        return None
    if run.quantity:
        return None
    if shape is not None:
        return RunLabel(shape.label, shape.score)
    return _label_spelled(run, spelling, plain, digits)


def _label_asked(run: NumberRun, cue: ActiveCue, used: bool, plain: str, digits: int) -> RunLabel | None:
    label, n = cue.label, len(plain)
    if run.quantity and n < 7:
        return None
    if digits < n and label not in LETTERED and label != "ip":
        return None
    near = cue.lines == 0 and run.lead - cue.end <= 4
    fewest, most = LENGTHS[label]
    fewest = 2 if run.at_end and near else 3 if near else 4
    if cue.lines:
        fewest = 3 if run.lead <= 4 else 6
    if used or (cue.lines == 0 and run.lead - cue.end > 8):
        fewest = 6
    if not digits and not (label in ("license_plate", "postcode", "passport", "iban") and n >= 2 and run.at_end):
        return None
    if n < fewest:
        return None
    held = has_check_digits(label, plain)
    shape = find_shape(run.chars)
    if shape is not None and shape.label != label and (n > most or shape.checked or shape.score > 0.9):
        return RunLabel(shape.label, shape.score, True)
    if n > most:
        return RunLabel("account", 0.5, True)
    if held is False and label == "card" and n < 13 and n > 6:
        return RunLabel(label, 0.6, True)
    base = 0.8 if cue.lines == 0 else 0.7
    return RunLabel(label, min(0.98, base + (0.15 if held else -0.1 if held is False else 0)), True)


def _label_spelled(run: NumberRun, spelling: bool, plain: str, digits: int) -> RunLabel | None:
    """Label letters that were said one by one, and letters and digits of no known shape."""
    spelled = sum(len(x.chars) for x in run.items if x.kind in _SPELLED)
    letters = len(plain) - digits
    if not digits:
        fewest = 3 if spelling else 4
        if spelled < fewest or plain in _ACRONYMS:
            return None
        return RunLabel("person", 0.6 if fewest == 3 else 0.5)
    if letters and digits > 1 and len(plain) > 4 and spelled > 1:
        return RunLabel("license_plate" if len(plain) < 9 else "account", 0.45)
    if letters and digits > 3 and len(plain) > 7:
        return RunLabel("account", 0.4)
    return None
