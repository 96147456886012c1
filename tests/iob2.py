"""Spans of IOB2 labels, and their F1, by definitions that are as plain as possible: what the tests compare ours with.

tests/test_iob2.py holds them to what seqeval 1.2.2 said, which is not installed: it is published as source only, and
many stock versions of pip cannot build it.
"""

import re
from collections.abc import Sequence

Entity = tuple[int, int, str]
"""First word, word after the last one, type."""


def strict_entities(labels: Sequence[str]) -> list[Entity]:
    """Strict IOB2: a B and the I of its type that follow it; every other I is nothing."""
    return _find(r"B-(?P<type>\S+) (?:I-(?P=type) )*", labels)


def conll_entities(labels: Sequence[str]) -> list[Entity]:
    """As conlleval reads: an I that continues nothing begins a span of its own."""
    return _find(r"[BI]-(?P<type>\S+) (?:I-(?P=type) )*", labels)


def strict_f1(wanted: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> float:
    """F1 of strict IOB2 over sequences; 0 if nothing was found or wanted."""
    right = expected = given = 0
    for gold, labels in zip(wanted, found, strict=True):
        a, b = set(strict_entities(gold)), set(strict_entities(labels))
        right, expected, given = right + len(a & b), expected + len(a), given + len(b)
    return 2 * right / (expected + given) if expected + given else 0.0


def _find(pattern: str, labels: Sequence[str]) -> list[Entity]:
    text = "".join(f"{label} " for label in labels)
    found = re.finditer(rf"(?<!\S){pattern}", text)
    return [(text.count(" ", 0, x.start()), text.count(" ", 0, x.end()), x["type"]) for x in found]
