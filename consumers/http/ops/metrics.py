"""/metrics for Prometheus: the counters of the engine and the service, read at each scrape.

No label holds a session's id or text, so the path needs no token. docs/operations.md says which metrics to watch.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.common.standard_streams import lost_log_lines
from consumers.formats.ignored import IgnoredRecords
from consumers.http.ops.timings import StepTimings
from consumers.http.ops.traffic import HttpTraffic
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from stream.revisions.promise_evidence import Evidence
from stream.revisions.promise_watch import PromiseKey, PromiseWatch
from stream.revisions.settled_watch import SettledWatch
from stream.sessions.stats import EngineStats

_COUNTERS: tuple[tuple[str, str, Callable[[EngineStats], float]], ...] = (
    ("messages", "Messages whose effects are complete", lambda x: x.messages),
    ("updates", "Updates that changed a text or closed a segment", lambda x: x.updates),
    ("updates_repeated", "Updates that changed nothing", lambda x: x.repeats),
    ("updates_coalesced", "Updates skipped because a newer one of their segment waited", lambda x: x.coalesced),
    ("updates_failed", "Updates whose labelling failed", lambda x: x.failures),
    ("revisions", "Revisions that steps produced", lambda x: x.revisions),
    ("sessions_opened", "Sessions that began", lambda x: x.sessions),
    (
        "segments_closed_by_limit",
        "Segments closed because their session had too many open ones",
        lambda x: x.forced_closings,
    ),
    ("restored_other_format", "Restored sessions of another number format", lambda x: x.restored_other_format),
    ("words", "Words that updates added or changed", lambda x: x.words),
    ("words_recomputed", "Words whose tail states were computed", lambda x: x.words_recomputed),
    (
        "restarts_shortened",
        "Restarts that went back less far than the policy asked for",
        lambda x: x.restarts_shortened,
    ),
    (
        "contexts_deferred",
        "Updates labelled without what their session said before, because others waited",
        lambda x: x.contexts_deferred,
    ),
    ("evictions", "Sessions whose pages were taken for others", lambda x: x.evictions),
    ("reanchors", "Sessions that began again at position 0", lambda x: x.reanchors),
    ("flops", "Floating point operations of the encoder", lambda x: x.flops),
)
_LABELLED: tuple[tuple[str, str, str, dict[str, Callable[[EngineStats], float]]], ...] = (
    (
        "flips",
        "Labels of words that changed after they were given",
        "cause",
        {"input": lambda x: x.flips_input, "model": lambda x: x.flips_model},
    ),
    (
        "restarts",
        "Updates by where they began to compute",
        "kind",
        {
            "append": lambda x: x.appends,
            "local": lambda x: x.local_restarts,
            "full": lambda x: x.full_restarts,
            "closing": lambda x: x.closing_restarts,
        },
    ),
)


def metrics_routes(
    worker: Worker,
    service: Service | None = None,
    timings: StepTimings | None = None,
    traffic: HttpTraffic | None = None,
    ignored: IgnoredRecords | None = None,
) -> list[BaseRoute]:
    """Return the route of `/metrics`, which needs no token."""
    registry = CollectorRegistry()
    registry.register(traffic or HttpTraffic())
    registry.register(_ServingMetrics(worker, service, timings or StepTimings(), ignored or IgnoredRecords()))
    ProcessCollector(registry=registry)

    async def metrics(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": kind})

    return [Route("/metrics", metrics)]


class _ServingMetrics(Collector):
    """Collects all metrics of a serving process."""

    def __init__(self, worker: Worker, service: Service | None, timings: StepTimings, ignored: IgnoredRecords) -> None:
        self._worker = worker
        self._ignored = ignored
        self._service = service
        self._timings = timings

    def collect(self) -> Iterator[Metric]:
        yield _build_info(self._worker)
        yield _number_formats(self._worker)
        yield from _engine_counters(self._worker.engine.stats)
        slices = "Slices of long texts that were worked on"
        yield CounterMetricFamily("hearken_slices", slices, self._worker.engine.sliced.slices)
        yield from _engine_gauges(self._worker)
        yield from _promises(self._worker.engine.promises)
        yield from _settled(self._worker.engine.promises.settled)
        yield from self._timings.collect()
        about = "Lines of the log that could not be written"
        yield CounterMetricFamily("hearken_log_lines_lost", about, lost_log_lines())
        yield _ignored_records(self._ignored)
        if self._service is not None:
            yield from _kafka_metrics(self._service)


def _build_info(worker: Worker) -> Metric:
    info = GaugeMetricFamily("hearken_build_info", "What runs here; always 1", labels=["version", "tagger"])
    info.add_metric([_version(), ",".join(worker.engine.tagger_names)], 1)
    return info


def _number_formats(worker: Worker) -> Metric:
    description = (
        "Number format that a model computes in, by its taggers; always 1. All members of a group have the same"
    )
    family = GaugeMetricFamily("hearken_number_format", description, labels=["tagger", "format"])
    labeller = worker.engine.labeller
    for names, precision in zip(labeller.passes, labeller.precisions, strict=True):
        family.add_metric([",".join(names), precision], 1)
    return family


def _engine_counters(stats: EngineStats) -> Iterator[Metric]:
    for name, description, read in _COUNTERS:
        yield CounterMetricFamily(f"hearken_{name}", description, read(stats))
    for name, description, label, kinds in _LABELLED:
        yield _by_label(CounterMetricFamily, name, description, label, {x: read(stats) for x, read in kinds.items()})


def _engine_gauges(worker: Worker) -> Iterator[Metric]:
    """Gauges of the engine and the worker."""
    engine, counters = worker.engine, worker.engine.labeller.counters()
    price = "Label changes that a recomputed word must bring; +Inf: no restarts"
    gauges = [
        ("sessions", "Open sessions", engine.intake.session_count),
        ("segments_open", "Segments that may still be rewritten", engine.intake.open_segment_count),
        ("in_flight", "Messages submitted and not yet answered", worker.in_flight),
        ("queue_age_seconds", "Time that the next message has waited for its step", worker.queue_age),
        ("callers_waiting", "Callers whose turn a step has not come to yet", engine.intake.waiting_callers),
        ("long_updates", "Long texts that are labelled in slices at present", len(engine.sliced)),
        ("overload", "1 while restarts are shortened", engine.pricing.restarts_limited),
        ("restart_price", price, engine.pricing.price),
    ]
    if budget := engine.pricing.budget:
        gauges.append(("budget_left_ratio", "Remaining share of the compute budget", budget.level / budget.size))
    for name, description, value in gauges:
        yield GaugeMetricFamily(f"hearken_{name}", description, value)
    pages = {"used": counters.pages_used, "free": counters.pages_free}
    yield _by_label(GaugeMetricFamily, "cache_pages", "Pages of the encoder's cache", "state", pages)


def _promises(watch: PromiseWatch) -> Iterator[Metric]:
    """Fates of published spans, and the evidence against what was promised of them."""
    about = "Published spans by what became of them: stood, taken_back by the model, rewritten by the source"
    fates = CounterMetricFamily("hearken_promise_spans", about, labels=["tagger", "label", "outcome"])
    for outcome, count in sorted(watch.counts.copy().items()):  # the compute thread adds to it
        fates.add_metric(outcome, count)
    yield fates
    evidence = "Decimal logarithm of the evidence that more spans are taken back than promised, -300 to 300"
    gauges: tuple[tuple[str, str, Callable[[PromiseKey, Evidence], float]], ...] = (
        ("promise_evidence", evidence, lambda key, x: x.log10),
        ("promise_alpha", "Promised share of a session's published spans that are taken back", lambda key, x: x.alpha),
        ("promise_sessions", "Sessions, or long parts of them, in the evidence", lambda key, x: x.units),
        ("promise_alarm", "1 once the evidence has reached 1 / epsilon", lambda key, x: key in watch.alarms),
    )
    for name, about, read in gauges:
        family = GaugeMetricFamily(f"hearken_{name}", about, labels=["tagger", "label"])
        for key, value in watch.evidence.items():
            family.add_metric(key, read(key, value))
        yield family
    about = "Decimal logarithm of the evidence that any promise of a tagger is broken"
    merged = {tagger: watch.merged(tagger) for tagger, _ in watch.evidence}
    yield _by_label(GaugeMetricFamily, "promise_evidence_all", about, "tagger", merged)


def _settled(watch: SettledWatch) -> Iterator[Metric]:
    """What became of settled text, and the evidence against what was promised of it."""
    about = "Characters with a label of closed segments, and those of them settled without it (missed) or withdrawn"
    characters = CounterMetricFamily("hearken_settled_characters", about, labels=["tagger", "outcome"])
    for key, count in sorted(watch.counts.copy().items()):  # the compute thread adds to it
        characters.add_metric(key, count)
    yield characters
    about = "Decimal logarithm of the evidence that settled text breaks its promise more often than promised"
    evidence = {tagger: x.log10 for tagger, x in watch.evidence.items()}
    yield _by_label(GaugeMetricFamily, "settled_evidence", about, "tagger", evidence)
    about = "Promised share of a session's labelled characters that settle without their label or lose it"
    risks = {tagger: x.alpha for tagger, x in watch.evidence.items()}
    yield _by_label(GaugeMetricFamily, "settled_risk", about, "tagger", risks)


def _ignored_records(ignored: IgnoredRecords) -> Metric:
    about = "Records and frames in which their format found nothing to label"
    family = CounterMetricFamily("hearken_records_ignored", about, labels=["format", "reason"])
    for kind, count in sorted(ignored.counts.items()):
        family.add_metric(kind, count)
    return family


def _kafka_metrics(service: Service) -> Iterator[Metric]:
    given, opened = service.partitions
    states, letters = {"open": opened, "opening": given - opened}, service.dead_letters.counts
    lags = {str(lag.partition): lag for lag in service.lags()}
    messages = {partition: lag.messages for partition, lag in lags.items()}
    seconds = {partition: lag.seconds for partition, lag in lags.items() if lag.seconds is not None}
    yield _by_label(CounterMetricFamily, "dead_letters", "Records that could not be used", "reason", letters)
    yield CounterMetricFamily("hearken_revisions_delivered", "Revisions that the brokers have", service.revisions)
    yield CounterMetricFamily("hearken_records_done", "Records that are done", service.finished)
    about = "Records that are in no latency metric, because their timestamp is missing or wrong"
    yield _by_label(CounterMetricFamily, "records_untimed", about, "reason", service.clock_faults)
    severities = {name: sum(x.severity == name for x in service.topic_problems) for name in ("error", "warning")}
    yield _by_label(GaugeMetricFamily, "topic_problems", "Wrong settings of topics", "severity", severities)
    yield _by_label(GaugeMetricFamily, "partitions", "Partitions assigned by the group", "state", states)
    yield _by_label(GaugeMetricFamily, "lag_messages", "Offsets that are not done", "partition", messages)
    age = "Age of the last record taken, 0 when all are done"
    yield _by_label(GaugeMetricFamily, "lag_seconds", age, "partition", seconds)


def _by_label(
    kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, about: str, label: str, values: Mapping[str, float]
) -> Metric:
    metric = kind(f"hearken_{name}", about, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


def _version() -> str:
    try:
        return version("hearken")
    except PackageNotFoundError:
        return "unknown"
