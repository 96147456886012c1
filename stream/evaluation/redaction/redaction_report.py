"""Report of redaction: figures by set, form and way."""

import msgspec

Figures = dict[str, float]
"""By name of the measure: percent, words, or per 1,000 words."""


class FormResult(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one form of a set; "all spoken" has every form that is measured live."""

    form: str
    texts: int
    final: dict[str, Figures]
    """Final texts, by what found the values: "rules", "tagger", "both", or the name of a peer."""
    recall: Figures = {}
    """Covered share of the PII characters of final texts by label, of both."""
    release: dict[str, dict[str, Figures]] = {}
    """Text that goes out live: by who redacts, then by release."""
    repaint: dict[str, Figures] = {}
    """Text of which each hypothesis takes the place of the one before: by who redacts."""
    leak_by_label: dict[str, Figures] = {}
    """Leak of text that goes out live by release, then by label."""
    leak_by_style: dict[str, Figures] = {}
    """Likewise by way of speaking."""


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one set."""

    data: str
    forms: list[FormResult]


class RedactionReport(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one tagger with the rules."""

    command: str
    tagger: str
    threshold: float
    """Least stability of a plain word that goes out at `settled`, of a word with a label `labelled`."""
    labelled: float | None
    alpha: float | None
    """Calibrated risk; None: not calibrated."""
    sets: list[SetResult]
    missing: dict[str, str] = {}
    """Peers that could not be measured, and why."""
