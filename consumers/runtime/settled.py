"""Settled text of a service: the thresholds of its taggers, and which of them keep a promise (docs/redaction.md)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from consumers.common.settings import EngineSettings
from consumers.runtime.promises import ServedTagger

if TYPE_CHECKING:
    from encoder.checkpoints.calibration import SettledThreshold
    from stream.revisions.emission import Emission
    from stream.revisions.settled import SettledRule, SettledRules
    from stream.revisions.settled_watch import SettledWatch

log = structlog.get_logger()


def choose_rules(settings: EngineSettings, served: Sequence[ServedTagger]) -> "SettledRules":
    """Choose the threshold of each tagger: by hand, else as calibrated, else the default."""
    from stream.revisions.settled import SettledRule, SettledRules

    given, found = settings.settled_threshold, {}
    for one in served:
        for head in one.heads:
            known = one.tagger.settled.get(head)
            if given is not None or known is not None:
                by_hand = SettledRule(given if given is not None else 1.0)
                found[head] = by_hand if known is None or given is not None else calibrated_rule(known)
    return SettledRules(found, settings.publish_settled)


def calibrated_rule(known: "SettledThreshold") -> "SettledRule":
    """Return the rule of a calibrated tagger."""
    from stream.revisions.settled import SettledRule

    return SettledRule(known.threshold, labelled=known.labelled)


def watch_settled(
    rules: "SettledRules", served: Sequence[ServedTagger], emission: "Emission", policy: str
) -> "SettledWatch":
    """Make the watch over the settled text of loaded taggers.

    A calibrated risk is promised under the restart policy and the emission level of its calibration, at its threshold
    or a higher one.
    """
    from stream.revisions.settled_watch import SettledWatch

    def is_cautious(head: str, known: "SettledThreshold") -> bool:
        rule = rules.rule_of(head)
        both = [(rule.threshold, known.threshold), (rule.labelled, known.labelled)]
        return all((rule.threshold if a is None else a) >= (known.threshold if b is None else b) for a, b in both)

    return SettledWatch(
        {
            head: known.alpha
            for one in served
            for head, known in one.tagger.settled.items()
            if head in one.heads and known.policy == policy and emission.is_level(known) and is_cautious(head, known)
        }
    )


def log_settled(rules: "SettledRules", watch: "SettledWatch", taggers: Sequence[str]) -> None:
    """Log at the start of a service how stable settled text is, and the risk that is promised."""
    for tagger in taggers:
        evidence = watch.evidence.get(tagger)
        log.info(
            "settled_text",
            tagger=tagger,
            threshold=round(rules.rule_of(tagger).threshold, 4),
            risk=evidence.alpha if evidence else None,
        )
