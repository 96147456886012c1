"""Results of the Kafka benchmark, and their tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness.tables import Columns, Table, make_table


class LatencySummary(msgspec.Struct, frozen=True):
    """Distribution of durations in milliseconds."""

    count: int = 0
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


def summarise(seconds: Sequence[float]) -> LatencySummary:
    """Summarise durations in seconds; all zeros where there are none."""
    if not seconds:
        return LatencySummary()
    ordered = sorted(seconds)
    p50, p99, last = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 1.0))
    return LatencySummary(len(ordered), *(round(1000 * x, 3) for x in (sum(ordered) / len(ordered), p50, p99, last)))


class KafkaRun(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements at one number of speakers, without the warm-up."""

    guarantee: str
    sessions: int
    seconds: float
    words_per_second: float
    """Words that were due."""
    answered: LatencySummary
    """From the due time of a message to reading the revision that names it; words and closings."""
    words: LatencySummary
    """The same for words alone."""
    closings: LatencySummary
    slip: LatencySummary
    """From due time to sending: lateness of the sender itself."""
    ack: LatencySummary
    """From sending to acknowledgement."""
    cpu_ms_a_word: float
    """Processor time of the service for each word that was due."""
    cpu_loop_ms_a_word: float
    """Part of the event loop's thread."""
    core_share: float
    """Share of its core that the service used."""
    others_share: float
    """Share of that core that other processes used: above a few per cent, the latencies are not the service's."""
    coalesced: int
    """Updates skipped because a newer one of their segment was waiting."""
    shortened: int
    """Restarts that overload control shortened."""
    phases: dict[str, float]
    """Mean milliseconds of a message in each phase: of all messages, but the last (`out`) of those with a revision.

    sender: from when it was due to its own timestamp; broker: until the service took it; queue, step, handover, state,
    publish: see docs/watching.md; out: from the acknowledgement of its revision to when that was read.
    """
    served_p99_ms: float | None
    """99th percentile of the time from consuming a message to completing it, over all (upper bound of its bucket)."""
    resident_mib: tuple[float, float]
    """Resident memory of the service before and after."""

    def carries(self, target_ms: float) -> bool:
        """Return whether answers came in time and with full restarts."""
        return self.answered.count > 0 and self.answered.p99_ms <= target_ms and not self.shortened


class KafkaReport(msgspec.Struct, frozen=True, kw_only=True):
    """All results."""

    broker: str
    taggers: tuple[str, ...]
    policy: str
    cores: str
    processor: str
    target_ms: float
    carried: dict[str, int]
    """Most speakers carried, by guarantee."""
    runs: tuple[KafkaRun, ...]


_LATENCY: Columns[KafkaRun] = {
    "words/s": lambda x: f"{x.words_per_second:,.0f}",
    "answered": lambda x: f"{x.answered.count:,}",
    "p50": lambda x: f"{x.answered.p50_ms:,.0f}",
    "p99": lambda x: f"{x.answered.p99_ms:,.0f}",
    "max": lambda x: f"{x.answered.max_ms:,.0f}",
    "words p99": lambda x: f"{x.words.p99_ms:,.0f}",
    "closings p99": lambda x: f"{x.closings.p99_ms:,.0f}",
    "all, in the service: p99": lambda x: f"<= {x.served_p99_ms:,.0f}" if x.served_p99_ms else "-",
}
_NAMED_PHASES = {"broker": "broker in", "out": "broker out"}
_COST: Columns[KafkaRun] = {
    "cpu ms a word": lambda x: f"{x.cpu_ms_a_word:.3f}",
    "event loop's": lambda x: f"{x.cpu_loop_ms_a_word:.3f}",
    "of its core": lambda x: f"{100 * x.core_share:.0f} %",
    "others there": lambda x: f"{100 * x.others_share:.0f} %",
    "left out": lambda x: f"{x.coalesced:,}",
    "shortened": lambda x: f"{x.shortened:,}",
    "MiB": lambda x: "{:,.0f} to {:,.0f}".format(*x.resident_mib),
    "sender late p99": lambda x: f"{x.slip.p99_ms:.1f}",
}


def kafka_tables(report: KafkaReport) -> list[Table]:
    """Lay out latencies, the time of a message by phase, and the cost."""
    setting = f"{', '.join(report.taggers)}, {report.policy}; {report.broker}; {report.cores}"
    phases: dict[str, Any] = {
        _NAMED_PHASES.get(phase, phase): lambda x, phase=phase: f"{x.phases[phase]:.1f}" if phase in x.phases else "-"
        for phase in ("sender", "broker", "queue", "step", "handover", "state", "publish", "out")
    }
    name: Columns[KafkaRun] = {
        "guarantee": lambda x: x.guarantee.replace("_", " "),
        "speakers": lambda x: f"{x.sessions:,}",
    }
    return [
        make_table(title, report.runs, {**name, **columns})
        for title, columns in (
            (f"milliseconds from when a message was due to when its revision was read ({setting})", _LATENCY),
            (
                "mean milliseconds of a message in each phase",
                {**phases, "all": lambda x: f"{x.answered.mean_ms:.1f}"},
            ),
            ("cost", _COST),
        )
    ]


def write_kafka_page(report: KafkaReport, out: Path) -> Path:
    """Write the tables as Markdown (`kafka.md`) into a folder; returns the file."""
    text = [f"*{table.title}*\n\n{table.markdown()}\n" for table in kafka_tables(report)]
    text += [
        f"{guarantee}: one core carries **{carried:,}** live speakers at p99 <= {report.target_ms:g} ms."
        for guarantee, carried in report.carried.items()
    ]
    path = out / "kafka.md"
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path
