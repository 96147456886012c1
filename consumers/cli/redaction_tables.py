"""Tables of redaction of `hearken evaluate --redaction`; the JSON file has every figure."""

from typing import TYPE_CHECKING

from consumers.common.console import make_table

if TYPE_CHECKING:
    from rich.table import Table

    from stream.evaluation.redaction.redaction_report import RedactionReport


def redaction_tables(report: "RedactionReport", everything: bool = False) -> "list[Table]":
    """Tables of text that goes out live, of text that is painted anew, and of final texts; if `everything`, also of the
    leak by label and by style.
    """
    tables = [_live(report), _repainted(report), _final(report)]
    return [*tables, _parts(report)] if everything else tables


def _live(report: "RedactionReport") -> "Table":
    heads = "leak, %", "texts with a leak, %", "plain words covered, %", "mean delay, words", "95 %", "stale, %"
    how = f"threshold {report.threshold:g}"
    table = make_table("set", "who", "release", right=heads, title=f"goes out live, {report.tagger} and rules, {how}")
    for data, form in ((x.data, form) for x in report.sets for form in x.forms):
        for who, releases in form.release.items():
            for release, figures in releases.items():
                style = "bold" if release == "settled" else None
                cells = (f"{value:.1f}" for value in figures.values())
                table.add_row(f"{data}, {form.form}", who, release, *cells, style=style)
    for name, why in report.missing.items():
        table.add_row("", name, why, *[""] * len(heads))
    return table


def _repainted(report: "RedactionReport") -> "Table":
    heads = "first sight, %", "ever in clear, %", "flips per 100 words", "per 100 PII words", "came and went, %"
    table = make_table("set", "who", right=heads, title="each hypothesis in place of the one before")
    for data, form in ((x.data, form) for x in report.sets for form in x.forms):
        for who, figures in form.repaint.items():
            table.add_row(f"{data}, {form.form}", who, *(f"{value:.1f}" for value in figures.values()))
    return table


def _final(report: "RedactionReport") -> "Table":
    heads = (
        "texts", "exact F1", "recall of characters, %", "texts with a leak, %", "plain words covered, %",
        "words per 1,000 without", "spans per 1,000", "F1, addresses joined",
    )  # fmt: skip
    table = make_table("set", "found by", right=heads, title="final texts")
    for data, form in ((x.data, form) for x in report.sets for form in x.forms):
        for who, figures in form.final.items():
            table.add_row(
                f"{data}, {form.form}", who, f"{form.texts:,}", *(f"{value:.1f}" for value in figures.values())
            )
    return table


def _parts(report: "RedactionReport") -> "Table":
    table = make_table("set", "release", "by label and by style, leak in %", right=(), title="where it leaks")
    for data, form in ((x.data, form) for x in report.sets for form in x.forms):
        for release, labels in form.leak_by_label.items():
            parts = {**labels, **{f"({name})": value for name, value in form.leak_by_style.get(release, {}).items()}}
            text = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
            table.add_row(f"{data}, {form.form}", release, text)
    return table
