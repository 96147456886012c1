"""Tables of `hearken evaluate` and `hearken calibrate --spans` for a terminal; the JSON file has every figure."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from consumers.common.console import make_table, percent

if TYPE_CHECKING:
    from stream.evaluation.calibration.span_confidence import SpanReport
    from stream.evaluation.metrics.corpus_metrics import Metrics
    from stream.evaluation.metrics.report import BaselineGain, EvaluationReport, PolicySummary, SeedSpread

Column = tuple[str, "Callable[[Metrics], str]"]


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _again(m: "Metrics") -> str:
    return _figure(None if m.words_recomputed is None else m.words_recomputed + (m.closing_words or 0.0))


MAIN: tuple[Column, ...] = (
    ("F1", lambda m: percent(m.offline_f1)),
    ("EM", lambda m: percent(m.offline_em)),
    ("sEM", lambda m: percent(m.streaming_em)),
    ("sF1", lambda m: percent(m.streaming_f1)),
    ("RC", lambda m: percent(m.rc)),
    ("EO", lambda m: percent(m.eo)),
    ("flips/word", lambda m: f"{m.flips_per_word:.3f}"),
    ("words again", _again),
    ("restarts", lambda m: percent(m.restart_rate)),
    ("active", lambda m: percent(m.active_restarts)),
    ("FLOPs saved", lambda m: percent(m.flops_saved)),
    ("delay p95", lambda m: _figure(m.delay_p95, 0)),
)
CHARACTERS: Column = ("char F1", lambda m: percent(m.character_f1))
OPEN: Column = ("saved, open", lambda m: percent(m.flops_saved_open))
MORE: tuple[Column, ...] = (
    ("RC_1", lambda m: percent(m.rc_1)),
    ("RC_2", lambda m: percent(m.rc_2)),
    ("EO_1", lambda m: percent(m.eo_1)),
    ("EO_2", lambda m: percent(m.eo_2)),
    ("CT", lambda m: percent(m.ct)),
    ("R-pert.", lambda m: percent(m.r_pertinence)),
    ("R-appr.", lambda m: percent(m.r_appropriateness)),
    ("full", lambda m: percent(m.full_restart_rate)),
    ("closings", lambda m: percent(m.closing_rate)),
    ("erasure", lambda m: _figure(m.erasure, 3)),
    ("delay p50", lambda m: _figure(m.delay_p50, 0)),
    ("mean", lambda m: _figure(m.delay_mean)),
    ("seen", lambda m: percent(m.seen_mean)),
    ("seen p50", lambda m: percent(m.seen_p50)),
)
SHOWN: tuple[Column, ...] = (
    ("spans shown", lambda m: "-" if m.spans_shown is None else str(m.spans_shown)),
    ("flips/span", lambda m: _figure(m.span_flips, 3)),
    ("grown/span", lambda m: _figure(m.span_growths, 3)),
    ("taken back/word", lambda m: _figure(m.taken_back_per_word, 4)),
    ("delay mean", lambda m: _figure(m.delay_mean)),
    ("p50", lambda m: _figure(m.delay_p50, 0)),
    ("p95", lambda m: _figure(m.delay_p95, 0)),
    ("s mean", lambda m: _figure(m.delay_seconds_mean)),
    ("s p50", lambda m: _figure(m.delay_seconds_p50)),
    ("s p95", lambda m: _figure(m.delay_seconds_p95)),
    ("seen", lambda m: percent(m.seen_mean)),
    ("at close", lambda m: percent(m.shown_at_close)),
    ("sF1", lambda m: percent(m.streaming_f1)),
)


STREAM: tuple[Column, ...] = (
    ("flips/word", lambda m: f"{m.flips_per_word:.3f}"),
    ("by input", lambda m: f"{m.input_flips_per_word:.3f}"),
    ("RC", lambda m: percent(m.rc)),
    ("EO", lambda m: percent(m.eo)),
    ("words again", _again),
    ("restarts", lambda m: percent(m.restart_rate)),
    ("FLOPs saved", lambda m: percent(m.flops_saved)),
    OPEN,
    ("delay p95", lambda m: _figure(m.delay_p95, 0)),
    ("s p50", lambda m: _figure(m.delay_seconds_p50)),
    ("s p95", lambda m: _figure(m.delay_seconds_p95)),
)


def evaluation_tables(report: "EvaluationReport", everything: bool = False) -> list[Table]:
    """Tables of a report: each tagger and policy, several seeds together, and the gain on the baseline."""
    metrics = [result.metrics for result in report.results]
    columns = list(MAIN if report.updates is None else STREAM)
    if any(m.character_f1 is not None for m in metrics):
        columns.insert(1, CHARACTERS)
    if report.updates is None and any(m.flops_saved_open != m.flops_saved for m in metrics):
        columns.insert(-1, OPEN)
    what = "sequences" if report.updates is None else f"segments, {report.updates} updates"
    title = f"{report.data}: {report.sequences} {what}, {report.words} words"
    tables = [_results(report, title, columns)]
    if everything:
        tables.append(_results(report, "the other metrics", MORE))
    if any(result.emission for result in report.results):
        tables.append(_results(report, "what readers were shown", SHOWN))
    if any(summary.seeds > 1 for summary in report.summary):
        tables.append(_summaries(report.summary))
    if report.gains:
        tables.append(_gains(report.gains))
    return tables


def _results(report: "EvaluationReport", title: str, columns: Sequence[Column]) -> Table:
    """One line for each tagger and policy; a second line with closing restarts."""
    table = Table(title=title)
    table.add_column("tagger")
    table.add_column("policy", no_wrap=True)
    agreed = any(result.agreement for result in report.results) and columns not in (MORE, SHOWN)
    for head in (*(head for head, _ in columns), *(("as always",) if agreed else ())):
        table.add_column(head, justify="right")
    for result in report.results:
        table.add_row(
            "" if result.closing else "/".join(Path(result.tagger).parts[-2:]),
            "  + closing" if result.closing else _name(result.policy, result.emission),
            *(show(result.metrics) for _, show in columns),
            *([percent(result.agreement.words)] if agreed and result.agreement else []),
        )
    return table


def _summaries(summaries: "Sequence[PolicySummary]") -> Table:
    shown = {
        "offline_f1": ("F1", 100, 1),
        "streaming_em": ("sEM", 100, 1),
        "rc": ("RC", 100, 1),
        "flips_per_word": ("flips/word", 1, 3),
        "words_recomputed": ("words again", 1, 2),
        "restart_rate": ("restarts", 100, 1),
        "flops_saved": ("FLOPs saved", 100, 1),
    }
    heads = ("seeds", *(head for head, _, _ in shown.values()))
    table = make_table("policy", right=heads, title="seeds together: mean ±standard deviation")
    for x in summaries:
        name = "baseline" if x.baseline else "  + closing" if x.closing else _name(x.policy, x.emission)
        cells = (_range(x.metrics.get(key), scale, digits) for key, (_, scale, digits) in shown.items())
        table.add_row(name, str(x.seeds), *cells)
    return table


def _gains(gains: "Sequence[BaselineGain]") -> Table:
    title = "against the bidirectional baseline re-run on every word: mean ±standard deviation"
    table = make_table("policy", right=("seeds", "F1", "sEM", "flips, ratio", "FLOPs saved"), title=title)
    for x in gains:
        table.add_row(
            "  + closing" if x.closing else _name(x.policy, x.emission),
            str(x.seeds),
            _range(x.offline_f1, 100, 1, sign="+"),
            _range(x.streaming_em, 100, 1, sign="+"),
            _range(x.flips_ratio, 1, 2),
            _range(x.flops_saved, 100, 1),
        )
    return table


def _range(spread: "SeedSpread | None", scale: int, digits: int, sign: str = "") -> str:
    if spread is None:
        return "-"
    mean = f"{scale * spread.mean:{sign}.{digits}f}"
    return mean if spread.sd is None else f"{mean} ±{scale * spread.sd:.{digits}f}"


def _name(policy: str, emission: str) -> str:
    return f"{policy}, {emission}" if emission else policy


def spans_table(report: "SpanReport") -> Table:
    """Table of the errors of each set, before and with the confidence of the others."""
    parts = ("first", "every", "score")
    heads = "texts", "spans", *(f"{x}{y}" for x in ("when found", "every update", "score") for y in (" before", ""))
    title = f"{report.tagger}: expected calibration error of spans, %, with what was fitted on the other sets"
    table = make_table("set", right=heads, title=title)
    for x in report.sets:
        errors = [f"{getattr(x, part + when):.1f}" for part in parts for when in ("_before", "")]
        table.add_row(x.name, f"{x.texts:,}", f"{x.spans:,}", *errors)
    return table
