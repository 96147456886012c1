"""Covers that rules for personal data find beside the taggers (`stream.rules`)."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from stream.redaction.covers import Cover
from stream.rules.labels import NUMBER_LABELS
from stream.rules.reader import EMPTY, PersonalDataRules, RuleContext
from stream.rules.user.rules_file import CustomRules

RULE_LABELS = NUMBER_LABELS | {"address", "email", "person", "url", "username"}
"""Labels of the rules that come with Hearken."""


MAX_CONTEXTS = 4096
"""Segments before a text whose reading is kept, one for each session that speaks."""


class Detection(NamedTuple):
    """What rules find in a text."""

    covers: Sequence[Cover]
    settled: int
    """First character that may still become a part of what they find; the length of the text if there is none."""


class DetectValues(Protocol):
    """Finds values in a text, given the closed segments before it, a line each."""

    def __call__(self, text: str, context: str, *, growing: bool = False) -> Detection:
        """Return what is found; `growing`: the last word, if no white space follows it, need not be looked at."""


def make_detector(custom: CustomRules | None = None) -> DetectValues:
    """Return the rules as a detector, with those of a user."""
    rules = PersonalDataRules(custom)
    known: OrderedDict[bytes, RuleContext] = OrderedDict()

    def read_context(texts: str) -> RuleContext:
        """Read the segments before a text once, not with each of its updates; their text is not kept."""
        key = blake2b(texts.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = known[key] = known.pop(key) if key in known else rules.read_context(texts)
        if len(known) > MAX_CONTEXTS:
            known.popitem(last=False)
        return found

    def detect(text: str, context: str, *, growing: bool = False) -> Detection:
        reading = rules.read(text, read_context(context) if context else EMPTY, growing=growing)
        return Detection([Cover(x.start, x.end, x.label, x.score) for x in reading.spans], reading.first_unsettled)

    return detect


def labels_of_rules(custom: CustomRules | None = None) -> frozenset[str]:
    """Return the labels that rules can find."""
    return RULE_LABELS if custom is None else RULE_LABELS | custom.labels
