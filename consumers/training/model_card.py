"""The model card of a tagger that was trained on own data: what its run measured, and what is left to say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill

from consumers.common.console import percent
from encoder.restart.policy_text import DEFAULT_PRICE
from encoder.train.data.folder import TrainingFolder, count_spans, count_words
from stream.evaluation.calibration.calibrate import CalibrationReport
from stream.evaluation.metrics.report import EvaluationReport, PolicyResult
from stream.evaluation.per_type import TypeScore

FEW_SPANS, FEW_SEQUENCES = 20, 400
"""Below which a type's figure is hardly one, and all figures are coarse."""


@dataclass(frozen=True)
class ModelCard:
    """What is said of one run."""

    name: str
    command: str
    """That made it."""
    start: str
    corpus: TrainingFolder
    calibration: CalibrationReport
    evaluation: EvaluationReport
    types: Sequence[TypeScore]
    measured: str
    """The part that was measured: "dev" or "test"."""
    written: bool

    def text(self) -> str:
        """Write it as Markdown."""
        parts = (
            _title_part(self),
            _data_part(self),
            _figures_part(self),
            _stability_part(self),
            _limits_part(self),
            _how_made_part(self),
        )
        return "\n".join("\n".join(part) + "\n" for part in parts)


def _title_part(card: ModelCard) -> Iterator[str]:
    yield f"# {card.name}"
    yield ""
    kinds = ", ".join(f"`{x}`" for x in card.corpus.labels)
    yield _paragraph(
        f"Finds {kinds} in live text, word by word as it arrives. *Fill in: what it is for, and what it must not be "
        "used for.*"
    )


def _data_part(card: ModelCard) -> Iterator[str]:
    labels = card.corpus.labels
    yield "## Data"
    yield ""
    yield from _table_head("part", "files", "sequences", "words", *labels)
    for role, sequences in card.corpus.parts.items():
        counts = count_spans(sequences)
        files = ", ".join(f"`{x}`" for x in card.corpus.files.get(role, ())) or "held back from train"
        yield _table_row(role, files, len(sequences), count_words(sequences), *(counts[x] for x in labels))
    yield ""
    yield "Columns of labels count spans."
    yield ""
    yield from (_bullet(note) for note in card.corpus.notes)
    yield _bullet("*Fill in: where the texts come from, who labelled them by which rules, and under which licence.*")


def _figures_part(card: ModelCard) -> Iterator[str]:
    report = card.evaluation
    form = "as written" if card.written else "without punctuation, as speech comes"
    yield "## Figures"
    yield ""
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
    yield ""
    yield "Final labels of closed segments, by type:"
    yield ""
    yield from _table_head("type", "in the gold labels", "found", "right", "F1")
    yield from (_table_row(x.kind, x.gold, x.found, x.right, percent(x.f1) if x.gold else "-") for x in card.types)


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
    best, chosen = report.best, report.chosen
    yield "## Stability"
    yield ""
    if not (best and chosen):
        yield _paragraph(
            "Not calibrated: of labels with a stability of .9, nine in ten need not stand; the default policy is "
            f"`{DEFAULT_PRICE}`, of which nothing is promised. Calibration {report.refusal()}."
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
    yield ""
    yield "![What stability said, and what stood at the close](reliability.png)"


def _limits_part(card: ModelCard) -> Iterator[str]:
    report = card.evaluation
    of = "dev, on which the threshold was chosen too" if card.measured == "dev" else "texts like those trained on"
    yield "## Limits"
    yield ""
    yield _bullet(f"The figures are of {of}. Text from elsewhere will be labelled worse.")
    if report.sequences < FEW_SEQUENCES:
        one = 100 / report.sequences
        yield _bullet(f"They are coarse: each of {report.sequences} sequences is {one:.1f} points of exact match.")
    rare = [f"{x.kind} ({x.gold})" for x in card.types if x.gold < FEW_SPANS]
    if rare:
        yield _bullet(f"Hardly measured, with fewer than {FEW_SPANS} spans: {', '.join(rare)}.")
    yield _bullet(
        f"One seed. It knows the languages of what it started from, `{card.start}` (the shipped one: English)."
    )
    yield _bullet("*Fill in: whom mistakes may harm, and which groups or dialects the data lacks.*")


def _how_made_part(card: ModelCard) -> Iterator[str]:
    yield from ("## How it was made", "", "```sh", card.command, "```", "")
    yield f"Trunk from `{card.start}`. The configuration of the run is `train.toml`, its data `data/`."


def _table_head(*cells: str) -> Iterator[str]:
    yield _table_row(*cells)
    yield _table_row(*["---"] * len(cells))


def _table_row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _bullet(text: str) -> str:
    return fill("- " + text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _paragraph(text: str) -> str:
    return fill(text, 118, break_long_words=False, break_on_hyphens=False)
