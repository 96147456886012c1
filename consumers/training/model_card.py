"""Model card of a tagger trained on the user's own data: measurements of its run, and what the user must fill in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import NamedTuple

from consumers.common.console import percent
from encoder.restart.policy_text import DEFAULT_PRICE
from encoder.train.data.folder import TrainingFolder, count_spans, count_words
from stream.evaluation.calibration.calibrate import CalibrationReport
from stream.evaluation.metrics.report import EvaluationReport, PolicyResult
from stream.evaluation.per_type import TypeScore

FEW_SPANS, FEW_SEQUENCES = 20, 400
"""With fewer spans the score of a type is unreliable; with fewer sequences all figures are coarse."""


class TextLabelFigures(NamedTuple):
    """Figures of one label of whole texts."""

    name: str
    texts: int
    """Texts of which it is known."""
    positive: int
    """Those that have it."""
    auc: float | None
    """Area under the ROC curve, 0..1; None without texts on both sides."""
    found: float | None
    """Share of those that have it whose score is at least .5."""
    wrong: float | None
    """Share of the others whose score is at least .5."""
    calibration_error: float
    """Mean distance of score and share of texts that have the label, over bins of equal width (Naeini et al. 2015)."""


@dataclass(frozen=True)
class ModelCard:
    """Content of the model card of one training run."""

    name: str
    command: str
    """Command line of the run."""
    start: str
    corpus: TrainingFolder
    calibration: CalibrationReport | None
    """None: the tagger has labels of whole texts only; so for `evaluation`."""
    evaluation: EvaluationReport | None
    types: Sequence[TypeScore]
    text_labels: Sequence[TextLabelFigures]
    """Of labels of whole texts."""
    measured: str
    """Measured part of the data: "dev" or "test"."""
    written: bool
    """The text keeps its punctuation and case; otherwise it is made like speech."""

    def text(self) -> str:
        """Render the card as Markdown."""
        parts = (
            _title_part,
            _data_part,
            _figures_part,
            _text_labels_part,
            _stability_part,
            _limits_part,
            _how_made_part,
        )
        return "\n".join("\n".join(lines) + "\n" for part in parts if (lines := [*part(self)]))


def _title_part(card: ModelCard) -> Iterator[str]:
    yield from (f"# {card.name}", "")
    kinds, whole = (", ".join(f"`{x}`" for x in names) for names in (card.corpus.labels, card.corpus.text_labels))
    does = [f"Finds {kinds} in live text, word by word as it arrives."] if kinds else []
    does += [f"Scores live texts as a whole, while they grow: {whole}."] if whole else []
    yield _paragraph(f"{' '.join(does)} *Fill in: its purpose, and what it must not be used for.*")


def _data_part(card: ModelCard) -> Iterator[str]:
    labels = card.corpus.labels
    yield from ("## Data", "")
    yield from _table_head("part", "files", "sequences", "words", *labels)
    for role, sequences in card.corpus.parts.items():
        counts = count_spans(sequences)
        files = ", ".join(f"`{x}`" for x in card.corpus.files.get(role, ())) or "held back from train"
        yield _table_row(role, files, len(sequences), count_words(sequences), *(counts[x] for x in labels))
    yield from ("", "Columns of labels count spans.", "")
    yield from (_bullet(note) for note in card.corpus.notes)
    yield _bullet("*Fill in: where the texts come from, who labelled them by which rules, and under which licence.*")


def _figures_part(card: ModelCard) -> Iterator[str]:
    report = card.evaluation
    if report is None:
        return
    form = "as written" if card.written else "without punctuation, like recognised speech"
    yield from ("## Figures", "")
    yield _paragraph(
        f"On {card.measured} ({report.sequences} sequences, {report.words} words, {form}), fed word by word. sEM, "
        "streaming exact match, is the share of words after which all labels so far are right. FLOPs are saved against "
        "a bidirectional encoder re-run on every word. Closing: with the restart that ends a segment. "
        "All metrics are in `evaluation.json`."
    )
    yield ""
    yield from _table_head(
        "restart policy", "closing", "F1", "exact match", "sEM", "flips/word", "words computed a word", "FLOPs saved"
    )
    yield from (_result(x) for x in report.results)
    yield from ("", "Final labels of closed segments, by type:", "")
    yield from _table_head("type", "in the gold labels", "found", "right", "F1")
    yield from (_table_row(x.kind, x.gold, x.found, x.right, percent(x.f1) if x.gold else "-") for x in card.types)


def _text_labels_part(card: ModelCard) -> Iterator[str]:
    if not card.text_labels:
        return
    yield from ("## Labels of whole texts", "")
    yield _paragraph(
        f"On {card.measured}, each text by itself and whole. AUC: how often a text with the label has a higher score "
        "than one without. Found and wrong: texts with and without it that have a score of at least .5. Calibration "
        "error: mean distance of the score from the share of texts that have the label."
    )
    yield ""
    yield from _table_head("label", "texts", "with it", "AUC", "found", "wrong", "calibration error")
    for x in card.text_labels:
        auc = "-" if x.auc is None else f"{100 * x.auc:.1f}"
        shares = ("-" if y is None else f"{percent(y)} %" for y in (x.found, x.wrong, x.calibration_error))
        yield _table_row(x.name, x.texts, x.positive, auc, *shares)


def _result(x: PolicyResult) -> str:
    m = x.metrics
    again = (m.words_recomputed or 0.0) + ((m.closing_words or 0.0) if x.closing else 0.0)
    return _table_row(
        f"`{x.policy}`",
        "yes" if x.closing else "no",
        percent(m.offline_f1),
        percent(m.offline_em),
        percent(m.streaming_em),
        f"{m.flips_per_word:.3f}",
        f"{again:.2f}",
        f"{percent(m.flops_saved)} %",
    )


def _stability_part(card: ModelCard) -> Iterator[str]:
    report = card.calibration
    if report is None:
        return
    best, chosen = report.best, report.chosen
    yield from ("## Stability", "")
    if not (best and chosen):
        yield _paragraph(
            "Not calibrated: of the labels with a stability of .9, fewer than nine in ten may stay unchanged. The "
            f"default policy is `{DEFAULT_PRICE}`, without any guarantee. Calibration {report.refusal()}."
        )
        return
    before, after = (100 * report.reliability[f"words {when}"].ece for when in ("before", "after"))
    yield _paragraph(
        f"Calibrated on dev ({report.units} {report.unit}s). The default policy is `{chosen.policy}:{chosen.tau:.4g}`. "
        f"With probability {1 - report.epsilon:g} it loses at most "
        f"{report.delta:g} of streaming exact match against restarting fully on every word, on text like dev; on dev "
        f"it lost {best.risk:.4f}. Expected calibration error of the stability of words: {before:.2f} %"
        + (f"; {after:.2f} % scaled (on one half of dev, measured on the other)." if chosen.scale != 1 else ".")
    )
    yield from ("", "![Stability against the share of labels unchanged when their segment closed](reliability.png)")


def _limits_part(card: ModelCard) -> Iterator[str]:
    report = card.evaluation
    of = "dev, which also chose the threshold" if card.measured == "dev" else "texts like the training data"
    yield from ("## Limits", "")
    yield _bullet(f"The figures are measured on {of}. Labels of other text will be worse.")
    if report is not None and report.sequences < FEW_SEQUENCES:
        one = 100 / report.sequences
        yield _bullet(f"They are coarse: one of {report.sequences} sequences is {one:.1f} points of exact match.")
    rare = [f"{x.kind} ({x.gold})" for x in card.types if x.gold < FEW_SPANS]
    if rare:
        yield _bullet(f"Hardly measured, with fewer than {FEW_SPANS} spans: {', '.join(rare)}.")
    yield _bullet(
        f"Trained with one seed. It supports the languages of its start, `{card.start}` (the shipped one: English)."
    )
    yield _bullet("*Fill in: whom errors may harm, and which groups or dialects the data lacks.*")


def _how_made_part(card: ModelCard) -> Iterator[str]:
    yield from ("## How it was made", "", "```sh", card.command, "```", "")
    yield f"Trunk from `{card.start}`. The configuration of the run is `train.toml`; its data is in `data/`."


def _table_head(*cells: str) -> Iterator[str]:
    yield _table_row(*cells)
    yield _table_row(*["---"] * len(cells))


def _table_row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _bullet(text: str) -> str:
    return fill("- " + text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _paragraph(text: str) -> str:
    return fill(text, 118, break_long_words=False, break_on_hyphens=False)
