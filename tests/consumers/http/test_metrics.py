"""/metrics says what the engine and the service counted, and nothing of what anybody said."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from consumers.formats.ignored import IgnoredRecords
from consumers.formats.readers import make_reader
from consumers.http.app import HttpContext
from consumers.http.ops.timings import StepTimings
from consumers.http.settings import HttpSettings
from consumers.kafka.in_flight import InFlightRecord, OffsetTracker
from consumers.kafka.service.observer import ServiceObserver, ServiceObservers
from consumers.kafka.service.service import Service
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.engine.worker import StepBatch, Worker
from stream.messages.types import Update
from stream.overload.budget import Budget
from stream.overload.governor import Governor
from tests.consumers.fake_kafka import IN, FakeKafka, FakeRecord
from tests.consumers.fakes import fake_engine
from tests.consumers.http.sites import asking, make_context
from tests.consumers.kafka.test_service import FIRST, settings, update
from tests.stream.fake_tagger import FakeLabeller, fake_labeller
from tests.waiting import PATIENCE

SECRET = "anna-secret-session"


@dataclass(frozen=True)
class Site:
    service: Service
    worker: Worker
    client: httpx.AsyncClient

    async def read(self) -> dict[tuple[str, ...], float]:
        return await read(self.client)


async def read(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    samples = (x for family in text_string_to_metric_families(answer.text) for x in family.samples)
    return {(x.name, *x.labels.values()): x.value for x in samples}


@asynccontextmanager
async def serving(
    kafka: FakeKafka,
    observer: ServiceObserver | None = None,
    now: float = 1000.0,
    format: str = "normal",
    **changes: object,
) -> AsyncIterator[Site]:
    stop, meter, ignored = asyncio.Event(), StepTimings(lambda: now), IgnoredRecords(warn=False)
    worker = Worker(fake_engine(["ner"], "", coalesce=False))
    reader = make_reader(format, worker.engine.intake.segments, ignored=ignored)
    observers = ServiceObservers([meter, observer or ServiceObserver()])
    service = Service(settings(**changes), worker, kafka.clients(), observer=observers, reader=reader)
    task = asyncio.create_task(service.run(stop))
    context = HttpContext(settings=HttpSettings(port=0), worker=worker, service=service, timings=meter, ignored=ignored)
    try:
        async with asking(context) as client:
            yield Site(service, worker, client)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


async def test_what_was_counted_is_told() -> None:
    kafka = FakeKafka()
    texts = ["anna", "anna may", "anna may said", "anna met", "anna met poison"]
    async with serving(kafka) as site:
        for text in texts:
            await kafka.append(IN, update(SECRET, text), SECRET.encode())
        await kafka.append(IN, update(SECRET, "in rome", final=True, segment="t"), SECRET.encode())
        await kafka.append(IN, b"{", b"x")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 7)
        told, stats = await site.read(), site.worker.engine.stats
    assert stats.words > 0
    assert stats.flips_input > 0
    assert told["hearken_words_total",] == stats.words
    assert told["hearken_words_recomputed_total",] == stats.words_recomputed
    assert told["hearken_updates_total",] == stats.updates
    assert told["hearken_updates_failed_total",] == stats.failures == 1
    assert told["hearken_messages_total",] == stats.messages == 6
    assert told["hearken_revisions_total",] == stats.revisions == told["hearken_revisions_delivered_total",]
    assert told["hearken_flips_total", "input"] == stats.flips_input
    assert told["hearken_flips_total", "model"] == stats.flips_model
    kinds = {"append": stats.appends, "local": stats.local_restarts, "full": stats.full_restarts}
    assert {kind: told["hearken_restarts_total", kind] for kind in kinds} == kinds
    assert told["hearken_restarts_total", "closing"] == stats.closing_restarts
    assert told["hearken_dead_letters_total", "invalid_json"] == 1
    assert told["hearken_dead_letters_total", "labelling_failed"] == 1
    assert told["hearken_records_done_total",] == 7
    assert told["hearken_sessions",] == told["hearken_sessions_opened_total",] == 1
    assert told["hearken_segments_open",] == 1
    assert told["hearken_in_flight",] == told["hearken_queue_age_seconds",] == told["hearken_overload",] == 0
    assert told["hearken_rebalances_total",] == 1
    assert told["hearken_restore_seconds_count",] == 1
    assert told["hearken_restored_sessions_total",] == 0
    assert (told["hearken_partitions", "open"], told["hearken_partitions", "opening"]) == (1, 0)
    assert told["hearken_lag_messages", "0"] == told["hearken_lag_seconds", "0"] == 0
    steps = told["hearken_step_seconds_count", "step"]
    assert steps >= 6
    assert told["hearken_step_seconds_count", "schedule"] == told["hearken_step_seconds_count", "emit"] == steps
    assert told["hearken_step_seconds_count", "encode"] == steps - told["hearken_step_seconds_count", "isolate"]
    assert [told[x] for x in told if x[:2] == ("hearken_build_info", "ner")] == [1]
    assert [(set(x[1:]), told[x]) for x in told if x[0] == "hearken_number_format"] == [({"ner", "exact"}, 1)]


async def test_records_that_say_nothing_are_counted_by_their_reason() -> None:
    kafka = FakeKafka()
    said = [b'{"partial": ""}', b'{"partial": "anna"}', b'{"anna": 1}', b'{"partial": null}', b'{"type": "Metadata"}']
    other = b'{"type": "Results", "channel_index": [0, 1], "channel": {"alternatives": []}}'
    async with serving(kafka, format="vosk") as site:
        for value in (*said, other):
            await kafka.append(IN, value, SECRET.encode())
        await kafka.until(lambda: kafka.committed.get(FIRST) == 6)
        told = await site.read()
    counted = {x[1:]: told[x] for x in told if x[0] == "hearken_records_ignored_total"}
    assert counted == {("vosk", "no_text"): 1, ("vosk", "unknown_shape"): 3}
    assert told["hearken_dead_letters_total", "other_format"] == 1
    assert told["hearken_updates_total",] == 1


async def test_no_session_and_no_text_is_told() -> None:
    kafka = FakeKafka()
    async with serving(kafka) as site:
        await kafka.append(IN, update(SECRET, "anna confidential"), SECRET.encode())
        await kafka.append(IN, b"{confidential", SECRET.encode())
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
        for path in ("/metrics", "/healthz", "/readyz"):
            answer = await site.client.get(path)
            assert answer.status_code == 200
            assert "secret" not in answer.text + str(answer.headers)
            assert "confidential" not in answer.text


async def test_exactly_once_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.kafka.service.service.time.time", lambda: 1000.0)
    kafka = FakeKafka()
    async with serving(kafka, guarantee="exactly_once") as site:
        kafka.now = 999_500
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.append(IN, update("a", "anna met bob", final=True), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
        told = await site.read()
    assert told["hearken_revisions_delivered_total",] == site.worker.engine.stats.revisions == 2
    assert told["hearken_produce_to_revision_seconds_count",] == 2
    assert told["hearken_produce_to_revision_seconds_sum",] == pytest.approx(1.0)


async def test_latency_is_from_the_records_timestamp_to_the_acknowledged_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumers.kafka.service.service.time.time", lambda: 1000.0)
    kafka = FakeKafka()
    async with serving(kafka, now=1000.0) as site:
        kafka.now = 999_800
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        kafka.now = 998_000
        await kafka.append(IN, update("a", "anna met"), b"a")  # says nothing new: no revision, no latency
        kafka.now = -1
        await kafka.append(IN, update("a", "anna met bob"), b"a")  # without a timestamp
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
        told = await site.read()
    assert told["hearken_produce_to_revision_seconds_count",] == 1
    assert told["hearken_produce_to_revision_seconds_sum",] == pytest.approx(0.2)
    assert told["hearken_records_untimed_total", "missing"] == 1


async def test_lag_is_what_is_there_and_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.kafka.service.service.time.time", lambda: 1000.0)
    kafka = FakeKafka()
    kafka.now = 940_000
    async with serving(kafka) as site:
        await kafka.until(lambda: site.service.ready.is_set())
        kafka.hold = True
        for text in ("anna", "anna met", "anna met bob"):
            await kafka.append(IN, update("a", text), b"a")
        await kafka.until(lambda: kafka.unacknowledged)
        told = await site.read()
        assert told["hearken_lag_messages", "0"] == 3
        assert told["hearken_lag_seconds", "0"] == pytest.approx(60)
        kafka.release()
        await kafka.until(lambda: kafka.committed.get(FIRST) == 3)
        told = await site.read()
        assert told["hearken_lag_messages", "0"] == told["hearken_lag_seconds", "0"] == 0


async def test_a_restore_is_told() -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        await kafka.append(IN, update("a", "anna"), b"a")
        await kafka.append(IN, update("b", "rome"), b"b")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    async with serving(kafka) as site:
        await site.service.ready.wait()
        told = await site.read()
    assert told["hearken_restored_sessions_total",] == told["hearken_sessions",] == 2
    assert told["hearken_restore_seconds_count",] == 1


async def test_a_restore_from_another_number_format_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = FakeKafka()
    async with serving(kafka):
        for session in ("a", "b"):
            await kafka.append(IN, update(session, "anna"), session.encode())
        await kafka.until(lambda: kafka.committed.get(FIRST) == 2)
    other = FakeLabeller(names=["ner"], precision="bfloat16")
    monkeypatch.setattr("tests.consumers.fakes.fake_labeller", lambda *names, poison: other)
    with capture_logs() as logs:
        async with serving(kafka) as site:
            await kafka.until(lambda: site.worker.engine.stats.restored_other_format == 2)
            told = await site.read()
    assert told["hearken_restored_other_format_total",] == 2
    (said,) = [x for x in logs if x["event"] == "number_formats_differ"]
    assert (said["log_level"], said["tagger"], said["here"], said["there"]) == ("warning", "ner", "bfloat16", "exact")


async def test_closings_by_the_limit_of_open_segments_are_counted_and_told_once_in_a_while() -> None:
    kafka = FakeKafka()
    with capture_logs() as logs:
        async with serving(kafka) as site:
            for number in range(70):
                message = Update(session="a", segment=f"u{number}", text="anna")
                await kafka.append(IN, msgspec.json.encode(message), b"a")
            await kafka.until(lambda: kafka.committed.get(FIRST) == 70)
            assert (await site.read())["hearken_segments_closed_by_limit_total",] == 6
    told = [x for x in logs if x["event"] == "segments_closed_by_limit"]
    assert (told[0]["session"], told[0]["log_level"]) == ("a", "warning")
    assert len(told) == 1


async def test_rebalances_are_counted_and_partitions_that_are_gone_have_no_lag() -> None:
    kafka = FakeKafka(partitions=2)
    async with serving(kafka) as site:
        await kafka.until(lambda: site.service.ready.is_set())
        assert ("hearken_lag_messages", "1") in await site.read()
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await site.service.ready.wait()
        told = await site.read()
    assert told["hearken_rebalances_total",] == 2
    assert [x for x in told if x[0] == "hearken_lag_messages"] == [("hearken_lag_messages", "0")]
    assert told["hearken_partitions", "open"] == 1


async def test_overload_and_budget_are_told() -> None:
    governor, budget = Governor(1.0), Budget(100.0)
    engine = Engine(fake_labeller("ner"), Last(3), governor=governor, budget=budget)
    async with asking(make_context(worker=Worker(engine))) as client:
        engine.update_load(0.0)
        told = await read(client)
        assert (told["hearken_overload",], told["hearken_budget_left_ratio",]) == (0, 1)
        governor.level, budget.level = 1, 25.0
        told = await read(client)
    assert told["hearken_overload",] == 1
    assert told["hearken_budget_left_ratio",] == 0.25
    assert told["hearken_restart_price",] == engine.pricing.price > 0


async def test_without_kafka_there_is_nothing_of_it() -> None:
    async with asking(make_context("ner")) as client:
        told = await read(client)
    assert ("hearken_words_total",) in told
    assert not [x for x in told if "lag" in x[0] or "dead" in x[0]]


async def test_scrapers_that_ask_for_openmetrics_get_it() -> None:
    async with asking(make_context("ner")) as client:
        answer = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_pages_of_the_cache_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = fake_engine(["ner"], "", coalesce=True)
    counters = engine.labeller.counters()._replace(pages_used=3, pages_free=5)
    monkeypatch.setattr(engine.labeller, "counters", lambda: counters)
    async with asking(make_context(worker=Worker(engine))) as client:
        told = await read(client)
    assert (told["hearken_cache_pages", "used"], told["hearken_cache_pages", "free"]) == (3, 5)


def test_phases_are_booked_as_the_engine_measured_them() -> None:
    engine, ticks = fake_engine(["ner"], "", coalesce=True), iter(range(100))
    engine.submit(Update(session="a", segment="s", text="anna"), 0)
    result = engine.step(lambda: float(next(ticks)))
    assert result.phase_seconds == {"schedule": 1, "point": 1, "encode": 1, "decode": 1, "emit": 1}
    assert engine.step().phase_seconds == {}
    meter = StepTimings()
    meter.on_step(StepBatch(result, [], 5.0))
    told = {(x.name, *x.labels.values()): x.value for metric in meter.collect() for x in metric.samples}
    assert told["hearken_step_seconds_sum", "decode"] == 1
    assert told["hearken_step_seconds_sum", "step"] == 5
    assert not [x for x in told if x[0].endswith("_created")]


def test_a_clock_that_stands_before_the_record_is_no_negative_latency() -> None:
    record = FakeRecord(IN, 0, 0, b"a", b"", timestamp=2_000_000)
    meter = StepTimings(lambda: 1000.0)
    meter.on_published([InFlightRecord(OffsetTracker(), record, broker_delay=0.0), None])
    told = {x.name: x.value for metric in meter.collect() for x in metric.samples if "sum" in x.name}
    assert told["hearken_produce_to_revision_seconds_sum"] == 0


async def test_the_page_about_metrics_names_all_of_them_and_no_others() -> None:
    page = (Path(__file__).parents[3] / "docs" / "watching.md").read_text("utf-8")
    told = set(re.findall(r"`(hearken_[a-z_]+)", page))
    kafka, engine = FakeKafka(), Engine(fake_labeller("ner"), Last(3), budget=Budget(100.0))
    worker = Worker(engine)
    service = Service(settings(), worker, kafka.clients())
    context = HttpContext(settings=HttpSettings(port=0), worker=worker, service=service, timings=StepTimings())
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asking(context) as client:
        await service.ready.wait()
        families = text_string_to_metric_families((await client.get("/metrics")).text)
        served = {f"{x.name}_total" if x.type == "counter" else x.name for x in families}
    stop.set()
    await running
    assert told == {name for name in served if name.startswith("hearken_")}
