"""`python -m benchmarks bias`: whether texts that mention a group of people are scored as others are.

Measures of Borkan et al. (2019), "Nuanced metrics for measuring unintended bias": AUC inside a group, of its harmless
texts against hateful ones of others (BPSN: low if the name alone raises the score), and of its hateful texts against
harmless ones of others (BNSP: low if hate against it is missed). The texts are our own (`benchmarks/moderation/sets`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from benchmarks.harness.tables import Table, make_table
from benchmarks.harness.tag_command import tag_alone
from benchmarks.moderation.sets import MeasuredText, read_texts
from consumers.common.errors import OperationFailed
from encoder.train.ranking import rank_auc

LIKELY = 0.5
ATTRIBUTES = ("toxicity", "identity_attack")
GROUPS = {
    "religion": "Quakers Muslims Jews Sikhs Hindus Buddhists Jehovah's~Witnesses atheists Christians",
    "origin, Asia and Middle East": (
        "Kurds Koreans Vietnamese~people Chinese~people Japanese~people Indians Bangladeshis Afghans Iranians Syrians "
        "Turks"
    ),
    "origin, Africa and Americas": "Mexicans Egyptians Nigerians Ethiopians Somalis Haitians Jamaicans Latinos",
    "origin, Europe": "Roma~people Irish~Travellers Poles Romanians Russians Ukrainians",
    "colour, indigenous peoples": "Black~people white~people Maori Inuit",
    "migration": "immigrants refugees asylum~seekers",
    "sexual orientation, gender identity": (
        "gay~people lesbians bisexuals trans~people non-binary~people asexual~people"
    ),
    "women and men": "women men single~mothers feminists",
    "disability, health": (
        "deaf~people blind~people wheelchair~users autistic~people people~with~Down~syndrome people~with~HIV "
        "dyslexic~people"
    ),
    "age, body, means": "old~people teenagers fat~people homeless~people left-handed~people poor~people",
}
"""Groups of people by what they have in common; a blank in a name is a tilde."""
NAMES = {name.replace("~", " "): group for group, names in GROUPS.items() for name in names.split()}


class GroupBias(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute on the texts about some groups, in percent."""

    attribute: str
    group: str
    harmless: int
    hateful: int
    flagged: float
    """Harmless texts with a score of at least one half."""
    found: float
    """Hateful texts with such a score."""
    auc: float | None
    bpsn: float | None
    bnsp: float | None


class BiasReport(msgspec.Struct, frozen=True, kw_only=True):
    """All groups; the first row of an attribute is that of all of them."""

    tagger: str
    rows: list[GroupBias]


class _Scored(NamedTuple):
    group: str
    hateful: bool
    score: float


def run_bias(tagger: str) -> BiasReport:
    """Measure.

    Raises:
        OperationFailed: labelling failed, or the tagger has no such text scores.
    """
    sides = [(x, False) for x in read_texts("harmless_groups")] + [(x, True) for x in read_texts("hateful")]
    found = [x.get("scores") or {} for x in tag_alone(tagger, [text.text for text, _ in sides])]
    rows = []
    for attribute in ATTRIBUTES:
        if attribute not in found[0]:
            raise OperationFailed(f"--tagger {tagger} has no text score {attribute}")
        scored = [
            _Scored(group_of(text), hateful, x[attribute]) for (text, hateful), x in zip(sides, found, strict=True)
        ]
        rows.append(measure_group(attribute, "all", scored, scored))
        rows += [measure_group(attribute, x, [y for y in scored if y.group == x], scored) for x in GROUPS]
    return BiasReport(tagger=tagger, rows=rows)


def group_of(text: MeasuredText) -> str:
    """Return the group that a text mentions.

    Raises:
        KeyError: its identity belongs to none.
    """
    return NAMES[text.identity]


def measure_group(attribute: str, group: str, own: Sequence[_Scored], every: Sequence[_Scored]) -> GroupBias:
    """Measure one group against all others; `own` and `every` are scored texts."""
    harmless, hateful = ([x.score for x in own if x.hateful is side] for side in (False, True))
    others = [x for x in every if x.group != group]
    other_harmless, other_hateful = ([x.score for x in others if x.hateful is side] for side in (False, True))
    return GroupBias(
        attribute=attribute,
        group=group,
        harmless=len(harmless),
        hateful=len(hateful),
        flagged=_share(harmless),
        found=_share(hateful),
        auc=_auc(harmless, hateful),
        bpsn=_auc(harmless, other_hateful),
        bnsp=_auc(other_harmless, hateful),
    )


def bias_tables(report: BiasReport) -> list[Table]:
    """Lay out a report, a table an attribute."""
    columns = {
        "groups": lambda x: x.group,
        "texts": lambda x: f"{x.harmless} + {x.hateful}",
        "harmless flagged": lambda x: f"{x.flagged:.1f}",
        "hateful found": lambda x: f"{x.found:.1f}",
        "AUC": lambda x: _format(x.auc),
        "BPSN": lambda x: _format(x.bpsn),
        "BNSP": lambda x: _format(x.bnsp),
    }
    return [
        make_table(f"{x.upper()} by group (percent)", [row for row in report.rows if row.attribute == x], columns)
        for x in ATTRIBUTES
    ]


def _auc(low: Sequence[float], high: Sequence[float]) -> float | None:
    area = rank_auc([*low, *high], [False] * len(low) + [True] * len(high))
    return None if area is None else 100 * area


def _share(scores: Sequence[float]) -> float:
    return 100 * sum(x >= LIKELY for x in scores) / len(scores) if scores else 0.0


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
