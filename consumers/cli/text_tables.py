"""Tables of the measures of whole texts of `hearken evaluate`; the JSON file has every figure."""

from typing import TYPE_CHECKING

from consumers.common.console import make_table, percent

if TYPE_CHECKING:
    from rich.table import Table

    from stream.evaluation.texts.text_report import LabelResult, Moments, TextReport, TextResult


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def text_tables(report: "TextReport", everything: bool = False) -> "list[Table]":
    """Tables of a report: scores of each label, verdicts and spans by place, how early they stand; and, if
    `everything`, the bins of calibration and of length.
    """
    rows = f"{report.data}: {report.rows} texts, {report.words} words"
    left_out = f" ({report.without_words} without a word left out)" if report.without_words else ""
    tables = []
    if any(result.labels for result in report.results):
        tables.append(_scores(report, rows + left_out))
    tables.append(_moments(report, "how early: share of the words seen when what stands at the close stands"))
    if any(result.labels for result in report.results):
        tables.append(_places(report))
    if report.marked:
        tables.append(_spans(report))
    if everything:
        tables += [_bins(result, label) for result in report.results for label in result.labels]
        tables += [_lengths(result, label) for result in report.results for label in result.labels]
    return tables


def _name(result: "TextResult") -> str:
    return f"{result.tagger} {result.policy}, {result.emission}"


def _scores(report: "TextReport", title: str) -> "Table":
    heads = ("texts", "positive", "AUC", "same length", "length", "AP", "Brier", "ECE", "flagged from")
    table = make_table("tagger", "label", right=(*heads, "recall", "false", "precision"), title=title)
    for result, x in ((first, label) for first in _first_of_taggers(report) for label in first.labels):
        table.add_row(
            result.tagger,
            x.label,
            str(x.rows),
            str(x.positives),
            *(_figure(value) for value in (x.auc, x.controlled_auc, x.length_auc, x.average_precision, x.brier)),
            _figure(x.reliability.ece if x.reliability else None),
            "a span" if x.threshold is None else f"{x.threshold:g}",
            *(percent(value) for value in (x.recall, x.false_alarms, x.precision)),
        )
    return table


def _moments(report: "TextReport", title: str) -> "Table":
    table = make_table("tagger", "what", right=("number", "mean", "p50", "p95", "at the close"), title=title)

    def add(name: str, what: str, x: "Moments") -> None:
        table.add_row(name, what, str(x.count), *(percent(value) for value in (x.mean, x.p50, x.p95, x.at_close)))

    for result in report.results:
        for label in result.labels:
            add(_name(result), f"flagged {label.label}", label.moments)
        add(_name(result), "spans", result.spans.moments)
    return table


def _places(report: "TextReport") -> "Table":
    title = "by place" if report.chat or report.sessions else "alone"
    heads = ("texts", "positive", "recall", "false", "AUC")
    table = make_table("tagger", "label", "played", "place", right=heads, title=title)
    for result in _first_of_taggers(report):
        for label in result.labels:
            for x in label.places:
                figures = percent(x.recall), percent(x.false_alarms), _figure(x.auc)
                table.add_row(result.tagger, label.label, x.setting, x.place, str(x.rows), str(x.positives), *figures)
                if (x.setting, x.place) == ("chat", "all"):
                    spread = percent(label.recall_spread)
                    table.add_row(result.tagger, label.label, "chat", "best - worst", "", "", spread, "", "")
    return table


def _spans(report: "TextReport") -> "Table":
    heads = ("texts", "char F1", "F1", "covered", "covered rightly", "plain covered")
    table = make_table("tagger", "played", "place", right=heads, title="spans, in characters")
    for result in _first_of_taggers(report):
        for x in result.spans.places:
            figures = (x.character_f1, x.span_f1, x.covered, x.covered_rightly, x.plain_covered)
            table.add_row(result.tagger, x.setting, x.place, str(x.rows), *map(percent, figures))
    return table


def _first_of_taggers(report: "TextReport") -> "list[TextResult]":
    """One result of each tagger: what stands at the close depends neither on the policy nor on the level."""
    return list({result.tagger: result for result in reversed(report.results)}.values())[::-1]


def _bins(result: "TextResult", label: "LabelResult") -> "Table":
    title = f"{_name(result)}, {label.label}: is a score of .9 right nine times out of ten?"
    table = make_table("scores", right=("share of texts", "mean score", "positive", "low", "high"), title=title)
    if x := label.reliability:
        for i, share in enumerate(x.share):
            if share:
                bounds = f"{i / len(x.share):.2f}-{(i + 1) / len(x.share):.2f}"
                table.add_row(bounds, percent(share), *(percent(y[i]) for y in (x.predicted, x.stood, x.low, x.high)))
    return table


def _lengths(result: "TextResult", label: "LabelResult") -> "Table":
    table = make_table(
        "words", right=("texts", "positive", "AUC"), title=f"{_name(result)}, {label.label}: by length of the text"
    )
    for x in label.auc_by_length:
        table.add_row(f"{x.words_from}-{x.words_to}", str(x.rows), str(x.positives), _figure(x.auc))
    return table
