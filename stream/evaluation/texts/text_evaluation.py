"""Evaluation of taggers on labelled texts: scores, verdicts by place in a chat, spans, and how early they stand."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from encoder.progress import progress_bar
from encoder.restart.policies import Always, parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger, load_single_tagger
from stream.evaluation.texts.chats import make_chats, own_sessions
from stream.evaluation.texts.rows import TextRow, read_rows, rename_labels
from stream.evaluation.texts.text_measures import measure_labels, measure_spans
from stream.evaluation.texts.text_replay import replay_alone, replay_chats
from stream.evaluation.texts.text_report import TextReport, TextResult
from stream.evaluation.texts.verdicts import TextLabel, choose_text_labels
from stream.revisions.emission import parse_emission
from stream.revisions.score_thresholds import DEFAULT_THRESHOLD


class TextTask(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluation of taggers on a JSONL file of texts (`stream.evaluation.texts.rows.read_rows`)."""

    data: Path
    limit: int | None = None
    rename: dict[str, str] = {}
    """Name of the tagger for labels and types of the file; an empty name drops them."""
    taggers: tuple[str, ...]
    policies: tuple[str, ...] = ("default",)
    stability: tuple[str, ...] = ()
    """Emission levels of the published spans; none: `low`."""
    chat: int | None = None
    """Messages of the longest made-up chats; None: there are none."""
    sessions: bool = False
    """Whether rows are also played in their own sessions."""
    threshold: float | None = None
    """As in `stream.evaluation.texts.verdicts.choose_text_labels`."""
    number_format: str = "auto"


def run_text_evaluation(task: TextTask, command: str = "") -> TextReport:
    """Measure taggers on texts, alone and in chats.

    Raises:
        CheckpointError: a tagger cannot be read.
        ConfigError: the file cannot be read.
        EmissionError: an emission level cannot be parsed.
        EvaluationError: the file is malformed, or does not fit the tagger or the options.
        NumberFormatError: the number format is unknown, or this machine does not have it.
        PolicyError: a policy cannot be parsed.
    """
    table = read_rows(task.data, task.limit)
    rows = rename_labels(table.rows, task.rename)
    sources = {
        "chat": make_chats(len(rows), task.chat) if task.chat else [],
        "session": own_sessions(rows) if task.sessions else [],
    }
    levels = task.stability or ("low",)
    for level in levels:
        parse_emission(level)
    taggers = [load_single_tagger(name, number_format=task.number_format) for name in task.taggers]
    for tagger in taggers:  # mistakes are found before minutes of work
        _labels_of(tagger, rows, task.threshold)
        for policy in task.policies:
            resolve_policy(policy, tagger.default_policy)
    results = []
    with progress_bar() as bar:
        for name, tagger in zip(task.taggers, taggers, strict=True):
            labels = _labels_of(tagger, rows, task.threshold)
            chats = [chat for found in sources.values() for chat in found]
            steps = sum(len(row.ends) + 1 for row in rows) * len(task.policies) * len(levels)
            work = bar.add_task(f"{tagger.name} texts", total=steps + sum(len(chat.rows) for chat in chats))
            advance = partial(bar.advance, work)
            placed = {source: replay_chats(tagger, Always(), rows, found, advance) for source, found in sources.items()}
            for policy in task.policies:
                restarts = parse_policy(resolve_policy(policy, tagger.default_policy))
                for level in levels:
                    emission, threshold = parse_emission(level), task.threshold or DEFAULT_THRESHOLD
                    histories = replay_alone(tagger, restarts, rows, emission, threshold, advance)
                    result = TextResult(
                        tagger=name,
                        policy=policy,
                        emission=level,
                        labels=measure_labels(labels, rows, histories, placed, task.chat),
                        spans=measure_spans(rows, histories, placed, task.chat),
                    )
                    results.append(result)
    return TextReport(
        data=str(task.data),
        rows=len(rows),
        without_words=table.without_words,
        marked=table.marked,
        words=sum(len(row.ends) for row in rows),
        chat=task.chat,
        sessions=task.sessions,
        results=results,
        command=command,
    )


def _labels_of(tagger: Tagger, rows: Sequence[TextRow], threshold: float | None) -> list[TextLabel]:
    types = list(dict.fromkeys(name[2:] for name in tagger.config.labels[1:]))
    scores = [name for names in tagger.config.text_scores.values() for name in names]
    return choose_text_labels((name for row in rows for name in row.labels), scores, types, threshold)
