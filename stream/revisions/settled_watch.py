"""Watch over settled text: what became, at the close, of the labels of text that was settled before.

Characters are compared under the spans that readers had and under the final ones. A character of settled text is
*missed* if it has a final label and readers were shown none over it (it was released in clear), and *withdrawn* if they
were shown a label that it has not got. The loss of a session is the share of such characters among all that have a
final label or lost one; its mean is what the calibration bounds (`stream.evaluation.calibration.settled`).

A session is a unit of the evidence against the promise, as in `stream.revisions.promise_watch`: when it ends, or has
had `UNIT_CHARACTERS`. Everything is in memory.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stream.revisions.promise_evidence import Evidence
from stream.revisions.settled import TextSpan

UNIT_CHARACTERS = 4096
"""Labelled characters after which a session that goes on is a unit."""


class SettledOutcome(NamedTuple):
    """Characters of one segment at its close."""

    labelled: int
    """With a final label, or with a shown one that was withdrawn."""
    missed: int
    """Settled ones that got a label although readers were shown none."""
    withdrawn: int
    """Settled ones that lost the label that readers were shown, or got another one."""

    @property
    def broken(self) -> int:
        """Characters of which the promise was broken."""
        return self.missed + self.withdrawn


def compare_settled(shown: Sequence[TextSpan], final: Sequence[TextSpan], settled: int) -> SettledOutcome:
    """Compare the spans that readers had of an open segment with its final ones.

    Args:
        shown, final: spans, each without overlaps.
        settled: the settled offset, in the final text.
    """
    names = {label: i for i, label in enumerate(dict.fromkeys(x[2] for x in (*shown, *final)), 1)}
    before, after = np.zeros((2, settled), np.int32)
    for spans, labels in ((shown, before), (final, after)):
        for start, end, label in spans:
            labels[start : min(end, settled)] = names[label]
    changed = before != after
    missed = int(np.count_nonzero(changed & (before == 0)))
    lost = int(np.count_nonzero(changed & (after == 0)))
    labelled = sum(end - start for start, end, _ in final)
    return SettledOutcome(labelled + lost, missed, int(np.count_nonzero(changed)) - missed)


class SettledWatch:
    """Counts outcomes, and gathers the evidence against the risks that were promised.

    Args:
        risks: the promised mean loss of a session, by tagger; others are counted only.
    """

    def __init__(self, risks: Mapping[str, float] | None = None) -> None:
        self.evidence = {tagger: Evidence(risk) for tagger, risk in (risks or {}).items()}
        """Of each promise; the keys stay the same."""
        self.counts: dict[tuple[str, str], int] = {}
        """Characters by tagger and outcome, a field of `SettledOutcome`."""
        self._open: dict[str, dict[str, tuple[int, int]]] = {}
        """By session and tagger: labelled and broken characters of the unit so far."""

    def observe(self, session: str, tagger: str, outcome: SettledOutcome) -> None:
        """Count one segment that closes."""
        for name, count in zip(SettledOutcome._fields, outcome, strict=True):
            self.counts[tagger, name] = self.counts.get((tagger, name), 0) + count
        if tagger not in self.evidence or not outcome.labelled:
            return
        units = self._open.setdefault(session, {})
        labelled, broken = units.pop(tagger, (0, 0))
        labelled, broken = labelled + outcome.labelled, broken + outcome.broken
        if labelled < UNIT_CHARACTERS:
            units[tagger] = labelled, broken
        else:
            self.evidence[tagger].add(broken / labelled)

    def end_session(self, session: str) -> None:
        """Close the units of a session that has ended."""
        for tagger, (labelled, broken) in self._open.pop(session, {}).items():
            self.evidence[tagger].add(broken / labelled)

    def drop_session(self, session: str) -> None:
        """Forget the open units of a session that has another owner."""
        self._open.pop(session, None)
