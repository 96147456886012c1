"""Rewriting statistics of a recorded stream, to compare the sample with recordings of real recognisers."""

from collections.abc import Iterable
from dataclasses import dataclass

from stream.messages.types import Update


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Shares over one stream; "changed" means: words after the longest common prefix with the update before."""

    updates: int
    continuing: int
    """Updates that continue a segment already begun."""
    words: int
    """Words of the finished segments."""
    rewriting: float
    """Share of the continuing updates that change or drop words already sent."""
    by_one: float
    """Share of those that change just one word."""
    replaced: float
    """Share of all words added (a changed word counts as added again) that are later changed or dropped."""
    taken_back: float
    """Share of all words added that are later dropped with no word in their place."""
    repeats: float
    """Share of the continuing updates that repeat the text as it stands."""
    final_fixes: float
    """Share of the finals after an interim that change or drop words."""


def common_prefix(left: list[str], right: list[str]) -> int:
    """Count the words that two texts begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def rewriting(updates: Iterable[Update]) -> Rewriting:
    """Measure one stream of `replace` updates."""
    standing: dict[tuple[str, str], list[str]] = {}
    total = continuing = rewrites = single = added = changed = dropped = repeats = finals = fixes = words = 0
    for update in updates:
        key, new = (update.session, update.segment), update.text.split()
        old = standing.get(key, [])
        common = common_prefix(old, new)
        total += 1
        added += len(new) - common
        words += len(new) if update.final else 0
        if key in standing:
            lost = len(old) - common
            continuing += 1
            rewrites += lost > 0
            single += lost == 1
            changed += lost
            dropped += max(0, len(old) - len(new))
            repeats += old == new
            finals += update.final
            fixes += update.final and lost > 0
        standing[key] = new
    return Rewriting(
        total, continuing, words, rewrites / max(continuing, 1), single / max(rewrites, 1), changed / max(added, 1),
        dropped / max(added, 1), repeats / max(continuing, 1), fixes / max(finals, 1),
    )  # fmt: skip
