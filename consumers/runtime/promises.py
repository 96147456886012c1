"""Promises that a service watches: the calibrated ones of its taggers, and those given by hand (docs/promise.md)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from consumers.common.settings import EngineSettings, SettingError, split_names, suggest

if TYPE_CHECKING:
    from encoder.tagger import Tagger
    from stream.revisions.emission import Emission
    from stream.revisions.promise_watch import PromiseAlarm, PromiseKey, PromiseWatch
    from stream.revisions.settled_watch import SettledWatch

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServedTagger:
    """A loaded checkpoint and those of its heads that are served."""

    tagger: "Tagger"
    heads: Sequence[str]

    def labels(self) -> "Iterable[PromiseKey]":
        """Tagger and label of all spans that can be published."""
        for head in self.tagger.heads:
            if head.name in self.heads:
                yield from ((head.name, label) for label in sorted({x[2:] for x in head.labels if x != "O"}))


def parse_alphas(given: Sequence[str]) -> dict[str, float]:
    """Read shares given by hand: `0.1` for all labels (under the name ""), `LABEL=0.1` or `TAGGER:LABEL=0.1`.

    Each text may hold several, separated by commas, as the variable does.

    Raises:
        SettingError: one is something else, or not between 0 and 1.
    """
    found = {}
    for text in split_names(given):
        name, sign, number = text.rpartition("=")
        try:
            alpha = float(number)
        except ValueError:
            alpha = 0.0
        if not 0 < alpha < 1 or (sign and not name):
            raise SettingError(
                "promise_alpha", f"{text!r} is not a share between 0 and 1, such as 0.1, person=0.1 or ner:person=0.1"
            )
        found[name] = alpha
    return found


def choose_promises(
    served: Sequence[ServedTagger], emission: "Emission", policy: str, given: Sequence[str]
) -> "dict[PromiseKey, float | None]":
    """Choose what is promised of each tagger and label: by hand, else as calibrated for this level and policy.

    Args:
        served: the taggers.
        emission, policy: emission level and restart policy of the service.
        given: shares by hand, as `parse_alphas` reads them; the most specific one counts.

    Returns:
        The share, or None if nothing is promised.

    Raises:
        SettingError: a share is given of a label that no tagger has.
    """
    by_hand = parse_alphas(given)
    keys = [key for one in served for key in one.labels()]
    known = {"", *(label for _, label in keys), *map(":".join, keys)}
    for name in by_hand:
        if name not in known:
            labels = ", ".join(sorted(known - {""}))
            raise SettingError("promise_alpha", f"no tagger has {name!r}: use {labels}{suggest(name, known)}")
    calibrated = {
        (tagger, label): bound.alpha
        for one in served
        for tagger, promise in one.tagger.promises.items()
        for level in promise.levels.values()
        for label, bound in level.labels.items()
        if promise.policy == policy and emission.is_level(level)
    }
    chosen: dict[PromiseKey, float | None] = {}
    for key in keys:
        names = ":".join(key), key[1], ""
        chosen[key] = next((by_hand[name] for name in names if name in by_hand), calibrated.get(key))
    return chosen


def make_watch(
    settings: EngineSettings,
    served: Sequence[ServedTagger],
    emission: "Emission",
    policy: str,
    settled: "SettledWatch | None" = None,
) -> "PromiseWatch":
    """Make the watch over the promises of loaded taggers.

    Raises:
        SettingError: as `choose_promises`.
    """
    from stream.revisions.promise_watch import PromiseWatch

    chosen = choose_promises(served, emission, policy, settings.promise_alpha or ())
    alphas = {key: alpha for key, alpha in chosen.items() if alpha is not None}
    missing = tuple(key for key in chosen if key not in alphas)
    return PromiseWatch(alphas, settings.promise_epsilon, log_promise_alarm, missing, settled)


def log_promise_alarm(alarm: "PromiseAlarm") -> None:
    """Log that the evidence against a promise has reached 1 / epsilon."""
    alpha, evidence = round(alarm.alpha, 4), round(alarm.log10, 2)
    log.warning(
        "promise_broken", tagger=alarm.tagger, label=alarm.label, alpha=alpha, evidence=evidence, units=alarm.units
    )


def log_promises(watch: "PromiseWatch") -> None:
    """Log at the start of a service which promises are watched, and of which labels there is none."""
    watched: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (tagger, label), evidence in watch.evidence.items():
        watched[tagger][label] = round(evidence.alpha, 4)
    for tagger, alphas in watched.items():
        log.info("promises_watched", tagger=tagger, alphas=alphas)
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for tagger, label in watch.unwatched:
        missing[tagger].append(label)
    for tagger, labels in missing.items():
        log.info("promises_missing", tagger=tagger, labels=labels)
