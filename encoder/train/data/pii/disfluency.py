"""What goes wrong while a value is said: hesitation, corrections, words that the recogniser mishears."""

import random
from collections.abc import Sequence

from encoder.train.data.numbers import ONES
from encoder.train.data.pii.speech import SpokenValue
from encoder.train.data.pii.value import split_phrases

FILLERS = split_phrases("""
    uh, um, er, uh, um, let me see, hang on, hold on, wait, what was it, and then, hmm, okay, then
""")
CORRECTIONS = split_phrases("""
    no sorry, sorry, no, i mean, no wait, scratch that, correction, make that, actually, no no, sorry no
""")
_ALIKE = split_phrases("""
    one won, two to,
    two too, four for, eight ate, oh o, oh a, six sick, nine mine, five find, a hey, b be, b bee, c see,
    c sea, i eye, j jay, k okay, p pea, q cue, r are, t tea, u you, y why, dot got, double trouble
""")
MISHEARD = {pair.split()[0]: [x.split()[1] for x in _ALIKE if x.split()[0] == pair.split()[0]] for pair in _ALIKE}
"""What a recogniser writes instead of words that sound alike."""
HESITATES, CORRECTS, MISHEARS = 0.16, 0.09, 0.07
"""Probabilities for a value."""
BACKCHANNELS = split_phrases("""
    go ahead, mm hm, uh huh, okay, yep, yes, right, got it, sure, i'm listening, and the rest, keep going, alright,
    one moment, slower please, hang on a sec, typing, okay and then, i'm with you, next, sorry one second, yes go on,
    uh huh yes, carry on, ready for the rest, mhm, wait let me get a pen, so far so good
""")
"""What the other party says between the halves of a value."""


def disturb(said: SpokenValue, rng: random.Random, fillers: Sequence[str] = FILLERS) -> SpokenValue:
    """Hesitate, correct and mishear, each by chance; the units stay those of one span.

    Args:
        said: the value.
        rng: decides.
        fillers: what is said in a hesitation.
    """
    units, styles = list(said.units), set(said.styles)
    short = [i for i, unit in enumerate(units) if _is_single(unit)]
    if len(short) > 2 and rng.random() < CORRECTS:
        units = _correct(units, rng.choice(short[1:]), rng)
        styles.add("correction")
    if len(units) > 1 and rng.random() < HESITATES:
        for _ in range(rng.choice((1, 1, 2))):
            units.insert(rng.randint(1, len(units) - 1), rng.choice(fillers))
        styles.add("hesitation")
    if rng.random() < MISHEARS:
        heard = [_mishear(unit, rng) for unit in units]
        if heard != units:
            units, styles = heard, styles | {"misheard"}
    return SpokenValue(units, frozenset(styles))


def _is_single(unit: str) -> bool:
    return unit in ONES[:10] or unit == "oh" or (len(unit) == 1 and unit.isalnum())


def _correct(units: list[str], place: int, rng: random.Random) -> list[str]:
    """Say another unit first, then take it back; sometimes what came before it is said again too."""
    right = units[place]
    others = "0123456789" if right.isdigit() else "abcdefghijklmnopqrstuvwxyz" if len(right) == 1 else ONES[:10]
    wrong = rng.choice([x for x in others if x != right])
    again = units[max(0, place - rng.choice((0, 0, 0, 1, 2))) : place]
    return [*units[:place], wrong, rng.choice(CORRECTIONS), *again, *units[place:]]


def _mishear(unit: str, rng: random.Random) -> str:
    return " ".join(rng.choice(MISHEARD[x]) if x in MISHEARD and rng.random() < 0.4 else x for x in unit.split())
