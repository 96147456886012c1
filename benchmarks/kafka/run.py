"""One run of a number of speakers through Kafka, and its measurements."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.kafka.load_generator import MatchedAnswer, MatchedRevisions, OutputReader, Sender
from benchmarks.kafka.report import KafkaRun, LatencySummary, summarise
from benchmarks.kafka.service_process import MetricsReading, ServiceProcess, Usage
from benchmarks.kafka.speakers import PlannedMessage, plan_ends, plan_speakers
from consumers.common.errors import OperationFailed

DRAIN_SECONDS = 120.0
"""Limit for the service to finish all sent messages."""
PHASES = ("broker", "queue", "step", "handover", "state", "publish")


@dataclass(slots=True)
class ServiceBench:
    """A running service with its sender and its reader.

    Args:
        guarantee: of the service.
        partitions: number of input partitions.
        tell: called with progress.
    """

    guarantee: str
    served: ServiceProcess
    sender: Sender
    reader: OutputReader
    partitions: int
    tell: Callable[[str], None]
    _runs: int = field(default=0)

    def run(self, sessions: int, seconds: float, warm_up: float) -> KafkaRun:
        """Run `sessions` speakers for `warm_up` and then `seconds`, and measure the second part.

        Raises:
            OperationFailed: the brokers or the service failed.
        """
        self._runs += 1
        name = f"speaker{self._runs}"
        self.tell(f"{self.guarantee}, {sessions:,} speakers: {seconds:g} s")
        plan = plan_speakers(name, sessions, warm_up + seconds, self.partitions, seed=self._runs)
        sending = _SenderThread(self.sender, plan)
        sending.sleep(warm_up)
        before = self.served.metrics(), self.served.usage()
        sending.sleep(seconds)
        after = self.served.metrics(), self.served.usage()
        sending.end()
        wait_until_answered(self.served, self.reader, self.sender.count, DRAIN_SECONDS)
        heard = self.sender.match(self.reader.take())
        words = sum(x.is_word and x.at >= warm_up for x in plan)
        begin = sum(x.at < warm_up for x in plan)
        self.sender.send(plan_ends(name, sessions, self.partitions), threading.Event())
        wait_until_answered(self.served, self.reader, self.sender.count, DRAIN_SECONDS)
        self.reader.take()
        return _report(self.guarantee, sessions, words, heard, begin, warm_up, before, after)


def wait_until_answered(served: ServiceProcess, reader: OutputReader, sent: int, seconds: float) -> MetricsReading:
    """Wait until the service has done `sent` records and the reader has read their revisions; gives its metrics then.

    Raises:
        OperationFailed: it has not done them after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (metrics := served.metrics()).get("hearken_records_done_total") < sent:
        if time.monotonic() > deadline:
            done = metrics.get("hearken_records_done_total")
            raise OperationFailed(f"the service has done {done:,.0f} of {sent:,} records")
        time.sleep(0.2)
    written = metrics.get("hearken_revisions_delivered_total")
    while reader.count < written and time.monotonic() < deadline:
        time.sleep(0.05)
    return metrics


class _SenderThread:
    """The sender in a thread of its own."""

    def __init__(self, sender: Sender, plan: Sequence[PlannedMessage]) -> None:
        self._stop = threading.Event()
        self._failed: Exception | None = None
        self._ends = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(sender, plan), name="sender", daemon=True)
        self._thread.start()

    def sleep(self, seconds: float) -> None:
        self._ends += seconds
        while (left := self._ends - time.monotonic()) > 0 and self._failed is None:
            time.sleep(min(left, 0.2))

    def end(self) -> None:
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self, sender: Sender, plan: Sequence[PlannedMessage]) -> None:
        try:
            sender.send(plan, self._stop)
        except Exception as error:
            self._failed = error


def _report(
    guarantee: str,
    sessions: int,
    words: int,
    heard: MatchedRevisions,
    begin: int,
    warm_up: float,
    before: tuple[MetricsReading, Usage],
    after: tuple[MetricsReading, Usage],
) -> KafkaRun:
    counted, usage, earlier = after[0].since(before[0]), after[1], before[1]
    seconds = usage.at - earlier.at
    cpu = usage.cpu - earlier.cpu
    loop = min(usage.threads)
    answers = [x for x in heard.answers if x.due.at >= warm_up]
    return KafkaRun(
        guarantee=guarantee,
        sessions=sessions,
        seconds=round(seconds, 1),
        words_per_second=round(words / seconds, 1),
        answered=_summarise(answers),
        words=_summarise([x for x in answers if x.due.is_word]),
        closings=_summarise([x for x in answers if not x.due.is_word]),
        slip=summarise(heard.slips[begin:]),
        ack=summarise(heard.acks[begin:]),
        cpu_ms_a_word=round(1000 * cpu / max(1, words), 3),
        cpu_loop_ms_a_word=round(1000 * (usage.threads[loop] - earlier.threads[loop]) / max(1, words), 3),
        core_share=round(cpu / seconds, 3),
        others_share=round(max(0.0, usage.core - earlier.core - cpu) / seconds, 3),
        coalesced=round(counted.get("hearken_updates_coalesced_total")),
        shortened=round(counted.get("hearken_restarts_shortened_total")),
        phases=_phases(counted, summarise(heard.slips[begin:]).mean_ms, _summarise(answers).mean_ms),
        served_p99_ms=_p99(counted),
        resident_mib=(round(earlier.resident / (1 << 20), 1), round(usage.resident / (1 << 20), 1)),
    )


def _summarise(answers: Sequence[MatchedAnswer]) -> LatencySummary:
    return summarise([x.seconds for x in answers])


def _phases(counted: MetricsReading, slip_ms: float, answered_ms: float) -> dict[str, float]:
    found = {"sender": slip_ms}
    for phase in PHASES:
        if (mean := _mean_ms(counted, "hearken_record_seconds", phase=phase)) is not None:
            found[phase] = mean
    if (acknowledged := _mean_ms(counted, "hearken_produce_to_revision_seconds")) is not None:
        found["out"] = round(answered_ms - slip_ms - acknowledged, 3)
    return found


def _mean_ms(counted: MetricsReading, name: str, **labels: str) -> float | None:
    count = counted.get(f"{name}_count", **labels)
    return round(1000 * counted.get(f"{name}_sum", **labels) / count, 3) if count else None


def _p99(counted: MetricsReading) -> float | None:
    """Return the upper bound of the histogram bucket of the 99th percentile; None if there is none."""
    name = "hearken_taken_to_done_seconds_bucket"
    below = sorted((float(dict(x)["le"]), value) for (known, x), value in counted.values.items() if known == name)
    count = below[-1][1] if below else 0
    bounds = [bound for bound, value in below if count and value >= 0.99 * count]
    return round(1000 * bounds[0], 3) if bounds and bounds[0] != float("inf") else None
