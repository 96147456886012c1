"""Watch over promises: evidence by tagger and label, from the fates of published spans (`stream.revisions.span_fates`).

A *unit* is a session: its loss for a label is the share of its published spans of the label that the model took back.
Spans of one session are not independent, so their fates are collected, and the evidence is told one number when the
session ends, or has had `UNIT_SPANS` of them (what follows is then another unit). Sessions without such spans are no
units. Fates that wait for the end of their session are dropped if the session goes to another owner.

Everything is in memory and is counted when it is computed, not when it is published or published again.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from stream.revisions.promise_evidence import Evidence, merge_evidence
from stream.revisions.settled_watch import SettledWatch
from stream.revisions.span_fates import NO_FATES, SpanFates

UNIT_SPANS = 256
"""Largest number of fates of one unit: sessions that never end are watched too."""
PromiseKey = tuple[str, str]
"""Tagger and label."""


class PromiseAlarm(NamedTuple):
    """The evidence against a promise has reached 1 / epsilon."""

    tagger: str
    label: str
    alpha: float
    log10: float
    units: int
    """Units so far."""


class PromiseWatch:
    """Counts fates, and watches the promises that were given.

    Args:
        alphas: the promised share by tagger and label; others are counted and not watched.
        epsilon: probability of a false alarm, for each promise and process.
        on_alarm: told once of each promise that is broken. It is called in the thread of the engine.
        unwatched: taggers and labels of which nothing is promised, for those who ask.
        settled: what is promised of settled text; None: nothing, it is only counted.
    """

    def __init__(
        self,
        alphas: Mapping[PromiseKey, float] | None = None,
        epsilon: float = 0.001,
        on_alarm: Callable[[PromiseAlarm], None] = lambda alarm: None,
        unwatched: tuple[PromiseKey, ...] = (),
        settled: SettledWatch | None = None,
    ) -> None:
        self.settled = settled or SettledWatch()
        self.epsilon = epsilon
        self.unwatched = unwatched
        self.evidence: dict[PromiseKey, Evidence] = {key: Evidence(alpha) for key, alpha in (alphas or {}).items()}
        """Of each promise; the keys stay the same."""
        self.alarms: dict[PromiseKey, PromiseAlarm] = {}
        """Promises whose evidence has ever reached 1 / epsilon, which stay here whatever comes after."""
        self.counts: dict[tuple[str, str, str], int] = {}
        """Spans by tagger, label and outcome, a field of `SpanFates`."""
        self._on_alarm = on_alarm
        self._threshold = -math.log10(epsilon)
        self._open: dict[str, dict[PromiseKey, tuple[int, int]]] = {}
        """By session and promise: fates, and those of them that were taken back."""

    def observe(self, session: str, tagger: str, fates: SpanFates) -> None:
        """Count the fates that became known with one revision of a session."""
        if fates is NO_FATES:
            return
        for outcome, labels in zip(SpanFates._fields, fates, strict=True):
            for label in labels:
                name = (tagger, label, outcome)
                self.counts[name] = self.counts.get(name, 0) + 1
                if outcome != "rewritten" and (tagger, label) in self.evidence:
                    self._add_fate(session, (tagger, label), outcome == "taken_back")

    def end_session(self, session: str) -> None:
        """Close the units of a session that has ended."""
        self.settled.end_session(session)
        for key, (fates, lost) in self._open.pop(session, {}).items():
            self.add_unit(key, lost / fates)

    def drop_session(self, session: str) -> None:
        """Forget the open units of a session that has another owner, who may compute the same again."""
        self.settled.drop_session(session)
        self._open.pop(session, None)

    def merged(self, tagger: str) -> float:
        """Return the decimal logarithm of the evidence against "all promises of the tagger hold"."""
        return merge_evidence([x.log10 for (name, _), x in self.evidence.items() if name == tagger])

    def add_unit(self, key: PromiseKey, loss: float) -> None:
        """Add the loss of one unit, from 0 to 1, to the evidence; for promises of other kinds than of spans, too."""
        evidence = self.evidence[key]
        evidence.add(loss)
        if evidence.log10 >= self._threshold and key not in self.alarms:
            self.alarms[key] = PromiseAlarm(*key, evidence.alpha, evidence.log10, evidence.units)
            self._on_alarm(self.alarms[key])

    def _add_fate(self, session: str, key: PromiseKey, lost: bool) -> None:
        units = self._open.setdefault(session, {})
        fates, before = units.get(key, (0, 0))
        if fates + 1 < UNIT_SPANS:
            units[key] = fates + 1, before + lost
            return
        del units[key]
        if not units:
            del self._open[session]
        self.add_unit(key, (before + lost) / UNIT_SPANS)
