"""Whether promises hold where they were made, and ring where they break: sessions of one domain, then of others.

The tagger reads every file once; what became of the published spans of each session is kept in a folder. All the rest
is drawn from that, many times: sessions of the first domain are split at random, one half gives the bounds, and the
other half is watched as a service would watch it. Then sessions of the other domains are watched under the same bounds.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, make_table
from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.checkpoints.names import choose_taggers
from encoder.model.config import ConfigError
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import load_single_tagger
from stream.evaluation.calibration.promise import PromiseTask, UnitFates, bound_share, measure_fates
from stream.revisions.emission import LEVELS
from stream.revisions.promise_evidence import Evidence

STREAM = 500
"""Sessions of one watched stream, drawn with replacement."""
FEWEST = 20
"""Sessions with a label that a domain must have to be watched for it."""
DRAWN = 8
"""Streams whose evidence is kept for the plot."""

Fates = NDArray[np.int64]
"""(sessions, 2) of one label: spans that were taken back, and spans whose fate became known."""


class DomainText(msgspec.Struct, frozen=True, kw_only=True):
    """Text of one domain: `NAME=FILE`, with `+spoken`, `+joinN` and `+limitN` as the options of `hearken calibrate`."""

    name: str
    path: Path
    spoken: bool = False
    join: int | None = None
    limit: int | None = None

    @staticmethod
    def parse(text: str) -> "DomainText":
        """Read an option.

        Raises:
            ConfigError: it is not of that form.
        """
        name, sign, rest = text.partition("=")
        path, *flags = rest.split("+")
        found = [re.fullmatch(r"(spoken)|(join|limit)([1-9][0-9]*)", flag) for flag in flags]
        if not (name and sign and path) or None in found:
            raise ConfigError(f"{text!r} is not NAME=FILE, with +spoken, +join60 or +limit1000 behind it")
        numbers = {x[2]: int(x[3]) for x in found if x and x[2]}
        return DomainText(name=name, path=Path(path), spoken="spoken" in flags, **numbers)


class _KeptFates(msgspec.Struct, frozen=True):
    key: str
    """Tagger, policy, file and options."""
    units: list[list[tuple[str, str, int, int]]]
    """Of each session: level, label, taken back, known."""


class WatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One label in one domain, over all streams."""

    domain: str
    label: str
    sessions: int
    """Different sessions with published spans of the label."""
    spans: int
    share: float
    """Mean share of a session that was taken back."""
    alpha: float
    """Median of the bounds; those of each stream are its own."""
    rang: int
    """Streams in which the alarm rang."""
    streams: int
    sessions_to_alarm: float | None
    """Median over the streams in which it rang."""
    spans_to_alarm: float | None
    paths: list[list[tuple[int, float]]] = []
    """Spans so far and evidence (decimal logarithm), after each session of some of the streams."""


class PromiseBench(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the experiment; the first domain is that of the calibration, in sessions that it did not see."""

    tagger: str
    level: str
    policy: str
    epsilon: float
    """The bounds of a split hold at once with a probability of 1 - epsilon."""
    alarm_epsilon: float
    rows: list[WatchRow]


def run_promise_bench(
    tagger: str,
    domains: Sequence[DomainText],
    level: str,
    seeds: int,
    epsilon: float,
    alarm_epsilon: float,
    keep: Path,
    progress: ReportProgress,
) -> PromiseBench:
    """Run the experiment.

    Args:
        tagger: as for `hearken calibrate`.
        domains: the first one is calibrated on.
        level: emission level, by name.
        seeds: number of splits, and of streams of each domain.
        epsilon: error of the bounds of one split.
        alarm_epsilon: error of the alarm of one label.
        keep: folder for what became of the spans of each session; what is there for the same task is not read again.
        progress: told of each file and domain.

    Raises:
        CheckpointError: the tagger cannot be read.
        ConfigError: a file cannot be read.
        EvaluationError: a file has nothing to replay.
    """
    found, policy = _read_all(tagger, domains, keep, progress)
    labels = sorted({label for unit in found[0] for name, label in unit if name == level})
    rows = []
    for label in labels:
        home, *others = (_of_label(units, level, label) for units in found)
        if len(home) < 2 * FEWEST:
            continue
        splits = [_split(home, np.random.default_rng(seed)) for seed in range(seeds)]
        part = epsilon / len(labels) / len(LEVELS)
        alphas = [
            bound_share([{(level, label): (a, b)} for a, b in x.tolist()], level, label, part).bound for x, _ in splits
        ]
        streams = [[held for _, held in splits], *([fates] * seeds for fates in others)]
        for domain, every, watched in zip(domains, (home, *others), streams, strict=True):
            if len(every) >= FEWEST:
                rows.append(_watch(domain.name, label, every, watched, alphas, alarm_epsilon))
        progress(label, (1 + labels.index(label)) / len(labels))
    return PromiseBench(
        tagger=tagger, level=level, policy=policy, epsilon=epsilon, alarm_epsilon=alarm_epsilon, rows=rows
    )


def _read_all(
    tagger: str, domains: Sequence[DomainText], keep: Path, progress: ReportProgress
) -> tuple[list[list[UnitFates]], str]:
    (choice,) = choose_taggers([tagger])
    identity = load_checkpoint(str(choice.folder)).identity().hex()
    loaded = load_single_tagger(tagger)
    policy, found = resolve_policy("default", loaded.default_policy), []
    keep.mkdir(parents=True, exist_ok=True)
    for number, domain in enumerate(domains):
        progress(f"reading {domain.name}", number / len(domains))
        task = PromiseTask(tagger=tagger, data=domain.path, limit=domain.limit, spoken=domain.spoken, join=domain.join)
        options = f"{domain.path} {domain.limit} {domain.spoken} {domain.join} {LEVELS}"
        key = f"{tagger} {identity} {policy} {options}"
        path = keep / f"fates-{blake2b(key.encode(), digest_size=6).hexdigest()}.json"
        if not path.exists():
            units, _ = measure_fates(task, loaded, policy)
            told = [[(*name, *counts) for name, counts in unit.items()] for unit in units]
            path.write_bytes(msgspec.json.encode(_KeptFates(key, told)))
        kept = msgspec.json.decode(path.read_bytes(), type=_KeptFates)
        found.append([{(a, b): (lost, known) for a, b, lost, known in unit} for unit in kept.units])
    return found, policy


def _of_label(units: Sequence[UnitFates], level: str, label: str) -> Fates:
    return np.array([unit[level, label] for unit in units if (level, label) in unit], np.int64).reshape(-1, 2)


def _split(fates: Fates, rng: np.random.Generator) -> tuple[Fates, Fates]:
    order = rng.permutation(len(fates))
    half = len(fates) // 2
    return fates[order[:half]], fates[order[half:]]


def _watch(
    domain: str, label: str, every: Fates, watched: Sequence[Fates], alphas: Sequence[float], epsilon: float
) -> WatchRow:
    """Watch one stream of each of `watched`, under the alpha of the same number; those of 1 promise nothing."""
    rang: list[tuple[int, int]] = []
    paths: list[list[tuple[int, float]]] = []
    streams = [(i, fates, alpha) for i, (fates, alpha) in enumerate(zip(watched, alphas, strict=True)) if alpha < 1]
    for seed, fates, alpha in streams:
        drawn = fates[np.random.default_rng(seed).integers(0, len(fates), STREAM)]
        evidence, spans, path = Evidence(alpha), 0, [(0, 0.0)]
        first: tuple[int, int] | None = None
        for lost, known in drawn.tolist():
            evidence.add(lost / known)
            spans += known
            path.append((spans, round(evidence.log10, 3)))
            if first is None and evidence.log10 >= -np.log10(epsilon):
                first = evidence.units, spans
        if first is not None:
            rang.append(first)
        if len(paths) < DRAWN:
            paths.append(path[:: max(1, len(path) // 250)])
    sessions, spans_to = np.array(rang, np.float64).reshape(-1, 2).T
    return WatchRow(
        domain=domain,
        label=label,
        sessions=len(every),
        spans=int(every[:, 1].sum()),
        share=float((every[:, 0] / every[:, 1]).mean()),
        alpha=float(np.median(alphas)),
        rang=len(rang),
        streams=len(streams),
        sessions_to_alarm=float(np.median(sessions)) if rang else None,
        spans_to_alarm=float(np.median(spans_to)) if rang else None,
        paths=paths,
    )


def promise_bench_table(bench: PromiseBench) -> Table:
    """Lay out a row for each label and domain."""
    return make_table(
        f"Alarms of {bench.tagger} at {bench.level} ({bench.policy}), 1 / {bench.alarm_epsilon:g}",
        bench.rows,
        {
            "domain": lambda x: x.domain,
            "label": lambda x: x.label,
            "sessions": lambda x: f"{x.sessions:,}",
            "spans": lambda x: f"{x.spans:,}",
            "taken back, %": lambda x: f"{100 * x.share:.1f}",
            "promised, %": lambda x: f"{100 * x.alpha:.1f}",
            "rang": lambda x: f"{x.rang} of {x.streams}",
            "after sessions": lambda x: "" if x.sessions_to_alarm is None else f"{x.sessions_to_alarm:.0f}",
            "after spans": lambda x: "" if x.spans_to_alarm is None else f"{x.spans_to_alarm:.0f}",
        },
        left=2,
    )


def plot_promise_bench(bench: PromiseBench, path: Path, labels: int = 4) -> None:
    """Draw the evidence over the spans of the labels with most of them, a panel each."""
    from matplotlib.figure import Figure

    domains = list(dict.fromkeys(row.domain for row in bench.rows))
    home = sorted((row for row in bench.rows if row.domain == domains[0]), key=lambda row: -row.spans)[:labels]
    figure = Figure(figsize=(3.6 * len(home), 3.6), layout="constrained")
    panels = figure.subplots(1, len(home), sharey=True, squeeze=False)[0]
    colors = dict(zip(domains, ("#8a939c", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00"), strict=False))
    alarm = -np.log10(bench.alarm_epsilon)
    for axes, first in zip(panels, home, strict=True):
        for row in (x for x in bench.rows if x.label == first.label):
            for number, points in enumerate(row.paths[:DRAWN]):
                spans, logs = zip(*points, strict=True)
                name = f"{row.domain}: {100 * row.share:.0f} %" if number == 0 else None
                axes.plot(spans, logs, color=colors[row.domain], linewidth=0.8, alpha=0.7, label=name)
        axes.axhline(alarm, color="#222222", linewidth=1, linestyle="--")
        axes.set_title(f"{first.label}: at most {100 * first.alpha:.0f} % promised", fontsize=10)
        axes.set_xlabel("published spans")
        axes.set_xlim(0, 600)
        axes.set_ylim(-5, alarm + 3)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower right")
    panels[0].set_ylabel("evidence, decimal logarithm")
    figure.suptitle(
        f"{bench.tagger} at {bench.level}: {DRAWN} streams of sessions of each domain; alarm dashed", fontsize=10
    )
    figure.savefig(path, dpi=100)
