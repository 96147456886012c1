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


MARKDOWN_RELEASES = ("settled", "words:1", "words:2", "words:4", "words:8", "final")
_MEASURES = ("leak", "texts with a leak", "plain words covered", "mean delay", "p95 delay")


def markdown_table(report: RedactionReport) -> str:
    """Return the table of docs/redaction.md: text that goes out live, and text that is painted anew."""
    lines = [
        f"| set, form | release | {' | '.join(_MEASURES)} | ever in clear |",
        f"|---|---|{'---:|' * (len(_MEASURES) + 1)}",
    ]
    for data, form in ((x.data, form) for x in report.sets for form in x.forms):
        for who, releases in form.release.items():
            for release in MARKDOWN_RELEASES:
                if figures := releases.get(release):
                    values = " | ".join(f"{figures[name]:.1f}" for name in _MEASURES)
                    ever = f"{form.repaint[who]['ever in clear']:.1f}" if release == MARKDOWN_RELEASES[0] else ""
                    name = release if len(form.release) == 1 else f"{who}, {release}"
                    lines.append(f"| {data}, {form.form} | {name} | {values} | {ever} |")
    return "\n".join(lines)
