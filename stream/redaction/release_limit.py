"""How far text may be released while its segment is open: word by word from the end of what was released.

A word that nothing covers may go out once it is settled for each tagger and for the rules, or is as stable as settled
words have to be: no label is to come, whatever holds the text before it. A word that is covered may go out, as a part
of its replacement, once it is sure that it stays covered; by which label does not matter, nor where the value ends.
So a long number does not hold back its own beginning, if the style does not need the whole value.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stream.labelling.labeller import Labelling, least_stability
from stream.redaction.covers import Cover
from stream.revisions.settled import SettledRule

SURE = 0.95
"""Stability from which a label is taken to stay a label; being wrong covers a plain word, and releases none."""
NEWER = 2
"""Words that must have come since a word that is surely covered."""
NEWER_RULES = 4
"""Likewise since a word that a rule covers: a run of digits may turn out to be an amount."""
NEWER_DOUBTFUL = 8
"""Likewise since a word that is less surely covered: one such word would hold back all that follow."""
BEGUN = 0.5
"""Largest score of an address whose end is not known: "jane dot miller at example" waits for "dot org"."""
_ADDRESSES = frozenset(("email", "url", "username"))
DOUBTFUL = 0.5
"""Stability below which a covered word waits until its segment closes."""
_WORD = re.compile(r"\S+")


class TaggerView(NamedTuple):
    """What a tagger says of a text."""

    reading: Labelling
    """Of whole words (`stream.revisions.whole_words`)."""
    settled: int
    """Its settled offset."""
    rule: SettledRule
    """How it is found."""
    covers: Sequence[Cover]
    """The spans that are redacted, in order."""


class RuleView(NamedTuple):
    """What rules beside the taggers say of a text."""

    settled: int
    covers: Sequence[Cover] = ()
    """In order."""


def find_release_limit(text: str, start: int, taggers: Sequence[TaggerView], rules: RuleView, *, whole: bool) -> int:
    """Return the first character that may not be released yet.

    Args:
        text: of an open segment.
        start: the end of what was released of it.
        taggers, rules: what they say of the text.
        whole: whether a value is released whole, because its replacement depends on all of it.
    """
    words = [x.span() for x in _WORD.finditer(text, start)]
    # the source may still be writing the last word
    newest = words.pop() if words and words[-1][1] == len(text) else (len(text), len(text))
    limit, value_from = start, None
    for place, (first, end) in enumerate(words):
        newer = len(words) - place - (newest[0] == len(text))
        is_covered, may_go = _judge_covered(first, end, newer, taggers, rules)
        if not is_covered:
            may_go = end <= rules.settled and all(_is_plain(first, end, x) for x in taggers)
        if not may_go:
            break
        value_from = (first if value_from is None else value_from) if is_covered else None
        limit = words[place + 1][0] if place + 1 < len(words) else newest[0]
    # a value whose end is not known: the next word may belong to it
    return value_from if whole and value_from is not None else limit


def _judge_covered(
    first: int, end: int, newer: int, taggers: Sequence[TaggerView], rules: RuleView
) -> tuple[bool, bool]:
    """Return whether a word is covered, and whether that is sure."""
    by_rules = _find_cover(rules.covers, first, end)
    owners = [x for x in taggers if _find_cover(x.covers, first, end)]
    if not by_rules and not owners:
        return False, False
    is_begun = by_rules is not None and by_rules.label in _ADDRESSES and by_rules.score <= BEGUN
    if newer < NEWER or is_begun:
        return True, False
    if by_rules and newer >= NEWER_RULES:
        return True, True
    sure = max((_stability(x.reading, first, end) for x in owners), default=0.0)
    return True, sure >= (DOUBTFUL if newer >= NEWER_DOUBTFUL else SURE)


def _find_cover(covers: Sequence[Cover], first: int, end: int) -> Cover | None:
    """Return the cover that has characters of a word; None if there is none."""
    place = bisect_right(covers, end - 1, key=lambda x: x.start)
    return covers[place - 1] if place > 0 and covers[place - 1].end > first else None


def _is_plain(first: int, end: int, view: TaggerView) -> bool:
    """Tell whether a tagger will not cover a word that it does not cover."""
    return end <= view.settled or _stability(view.reading, first, end) >= float(least_stability(view.rule.threshold))


def _stability(reading: Labelling, first: int, end: int) -> float:
    """Return the least stability of the tagger's words within a word; 0 if there is none."""
    a, b = reading.ends.searchsorted(first, side="right"), reading.starts.searchsorted(end)
    return float(np.min(reading.stability[a:b])) if a < b else 0.0
