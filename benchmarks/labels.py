"""Quality of a tagger's final labels on development sets: alone and in session, written and spoken, by type.

The sets, their types and their convention are those of the `[[dev]]` tables of a training configuration
(`encoder.train.stages.dev_score`).
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table
from benchmarks.labels_peer import TYPES, load_pipeline, score_peer
from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.checkpoints.names import choose_taggers
from encoder.model.config import ConfigError
from encoder.model.dense import HybridModel
from encoder.train.config import TextSource, read_train_config
from encoder.train.data.batches import WordPieces
from encoder.train.data.sessions import FORMS
from encoder.train.data.text import LabelledCorpus, read_source
from encoder.train.run import keep_to_one_thread, make_pieces
from encoder.train.stages.dev_score import score_dev

MODES = ("alone", "session")
COLUMNS = [f"{form} {mode}" for form in FORMS for mode in MODES]


class SetScore(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one development set, in percent."""

    name: str
    texts: int
    f1: dict[str, float]
    """By form and mode, such as "spoken session"."""
    recall: dict[str, float]
    """By type, spoken, in session (of a peer: alone)."""
    marks: dict[str, float] = {}
    """F1 of sentence ends and of commas, spoken, in session, of a set with punctuation."""


class LabelsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one tagger."""

    tagger: str
    sets: list[SetScore]

    def mean(self, column: str) -> float | None:
        """Return the mean F1 over the sets; None if it was not measured."""
        if any(column not in x.f1 for x in self.sets):
            return None
        return sum(x.f1[column] for x in self.sets) / len(self.sets)


def run_labels(
    tagger: str,
    config: Path,
    limit: int,
    only: Sequence[str],
    progress: ReportProgress,
    *,
    own_convention: bool = False,
) -> list[LabelsReport]:
    """Measure every tagger of a checkpoint on the development sets that a training configuration names for it.

    Args:
        tagger: as for `hearken tag`.
        config: training configuration; paths in it are relative to the current folder.
        limit: most texts of a set.
        only: names of sets (folders); empty: all.
        progress: told of each set.
        own_convention: compare with the spans as each set has them, not as the configuration cuts them.

    Raises:
        CheckpointError: the tagger cannot be read.
        ConfigError: the configuration or a set cannot be read, or no set is left.
    """
    keep_to_one_thread()
    training = read_train_config(config)
    (choice,) = choose_taggers([tagger])
    loaded = load_checkpoint(str(choice.folder))
    named = (x for x in training.dev if (not only or x.name() in only) and x.tagger in choice.heads)
    wanted = [x for x in named if x.spans_known]
    if not wanted:
        raise ConfigError(f"{config} has no [[dev]] for {', '.join(choice.heads)}" + (" of that name" if only else ""))
    found: dict[str, list[SetScore]] = {}
    for number, source in enumerate(wanted):
        progress(f"{source.tagger} {source.name()}", number / len(wanted))
        checkpoint = loaded.single_head(source.tagger) if loaded.config.taggers else loaded
        pieces = make_pieces(checkpoint.tokenizer, checkpoint.config)
        if own_convention:
            source = replace(source, convention="", cut={})
        score = _score_set(source, limit, checkpoint.dense_model(), pieces, trim=not own_convention)
        found.setdefault(source.tagger, []).append(score)
    return [LabelsReport(tagger=name, sets=sets) for name, sets in found.items()]


def _score_set(source: TextSource, limit: int, model: HybridModel, pieces: WordPieces, *, trim: bool) -> SetScore:
    texts = read_source(source)[:limit]
    rows = score_dev(model, pieces, LabelledCorpus((source,), [texts], (0,)), MODES, tuple(FORMS), trim=trim)
    by_column = {" ".join(row.name.split()[-2:]): row for row in rows}
    return SetScore(
        name=source.name(),
        texts=len(texts),
        f1={column: row.f1 for column, row in by_column.items()},
        recall=by_column["spoken session"].recall(),
        marks=by_column["spoken session"].marks(),
    )


def run_peer(peer: str, config: Path, limit: int, only: Sequence[str], progress: ReportProgress) -> LabelsReport:
    """Measure a spaCy pipeline on the sets of names; arguments and errors as for `run_labels`."""
    named = (x for x in read_train_config(config).dev if not only or x.name() in only)
    wanted = [x for x in named if not set(x.labels.values()).isdisjoint(TYPES.values())]
    if not wanted:
        raise ConfigError(f"{config} has no [[dev]] of names" + (" of that name" if only else ""))
    pipeline, sets = load_pipeline(peer), []
    for number, source in enumerate(wanted):
        progress(f"{peer} {source.name()}", number / len(wanted))
        texts = read_source(source)[:limit]
        rows = {" ".join(row.name.split()[-2:]): row for row in score_peer(pipeline, source, texts)}
        f1 = {column: row.f1 for column, row in rows.items()}
        sets.append(SetScore(name=source.name(), texts=len(texts), f1=f1, recall=rows["spoken alone"].recall()))
    return LabelsReport(tagger=peer, sets=sets)


def labels_tables(reports: Sequence[LabelsReport]) -> list[Table]:
    """Lay out a table for each tagger."""
    tables = []
    for report in reports:
        rows = [
            [x.name, f"{x.texts:,}", *(_show(x.f1.get(column)) for column in COLUMNS), _show_recall(x)]
            for x in report.sets
        ]
        rows.append(["mean", "", *(_show(report.mean(column)) for column in COLUMNS), ""])
        heads = ["set", "texts", *COLUMNS, "recall (spoken session)"]
        tables.append(Table(f"{report.tagger or 'tagger'}: exact span F1, %", heads, rows))
    return tables


def _show(f1: float | None) -> str:
    return "" if f1 is None else f"{f1:.1f}"


def _show_recall(score: SetScore) -> str:
    marks = [f"F1 of {kind} {value:.1f}" for kind, value in score.marks.items()]
    return ", ".join([*marks, *(f"{kind} {value:.0f}" for kind, value in score.recall.items())])
