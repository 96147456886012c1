"""Tables of a moderation report."""

from collections.abc import Sequence

from benchmarks.harness.tables import Table, make_table
from benchmarks.moderation.run import FlagRate, ModerationReport, SideAuc


def moderation_tables(report: ModerationReport) -> list[Table]:
    """Lay out what is flagged, contrasts, places, and public sets."""
    tables = [
        _flag_table("Harmless texts flagged", [x for x in report.flagged if not x.rude]),
        _flag_table("Rude texts found", [x for x in report.flagged if x.rude]),
        _auc_table("Hateful against harmless", report.contrast),
        make_table(
            "Rude texts found, by place in the chat",
            report.places,
            {
                "places": lambda x: x.places,
                "messages": lambda x: f"{x.messages:,}",
                "span %": lambda x: f"{x.span:.1f}",
                "the same alone": lambda x: f"{x.span_alone:.1f}",
                "score %": lambda x: _show(x.score),
                "alone": lambda x: _show(x.score_alone),
            },
        ),
    ]
    if report.comments:
        tables.append(_auc_table("Toxic against other comments", report.comments))
    if report.characters:
        rows = [[mode, f"{f1:.1f}"] for mode, f1 in report.characters.items()]
        tables.append(Table("Toxic spans (SemEval-2021, dev)", ["mode", "character F1"], rows))
    return tables


def _flag_table(title: str, rows: Sequence[FlagRate]) -> Table:
    return make_table(
        f"{title}, %",
        rows,
        {
            "set": lambda x: x.name,
            "mode": lambda x: x.mode,
            "texts": lambda x: f"{x.texts:,}",
            "by a span": lambda x: f"{x.span:.1f}",
            "by the score": lambda x: _show(x.score),
        },
        left=2,
    )


def _auc_table(title: str, rows: Sequence[SideAuc]) -> Table:
    return make_table(
        f"{title}: AUC of the score, %",
        rows,
        {
            "set": lambda x: x.name,
            "mode": lambda x: x.mode,
            "texts": lambda x: f"{x.texts:,}",
            "AUC": lambda x: _show(x.auc),
            "pairs in order": lambda x: _show(x.ordered),
        },
        left=2,
    )


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
