"""Covers that rules for personal data find beside the taggers (`stream.rules`)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stream.redaction.covers import Cover
from stream.rules.labels import NUMBER_LABELS
from stream.rules.reader import PersonalDataRules
from stream.rules.user.rules_file import CustomRules

RULE_LABELS = NUMBER_LABELS | {"address", "email", "person", "url", "username"}
"""Labels of the rules that come with Hearken."""


class Detection(NamedTuple):
    """What rules find in a text."""

    covers: Sequence[Cover]
    settled: int
    """First character that may still become a part of what they find; the length of the text if there is none."""


DetectValues = Callable[[str, str], Detection]
"""Finds values in a text, given the closed segments before it, a line each."""


def make_detector(custom: CustomRules | None = None) -> DetectValues:
    """Return the rules as a detector, with those of a user."""
    rules = PersonalDataRules(custom)

    def detect(text: str, context: str) -> Detection:
        reading = rules.read(text, context)
        return Detection([Cover(x.start, x.end, x.label, x.score) for x in reading.spans], reading.first_unsettled)

    return detect


def labels_of_rules(custom: CustomRules | None = None) -> frozenset[str]:
    """Return the labels that rules can find."""
    return RULE_LABELS if custom is None else RULE_LABELS | custom.labels
