"""The front door of a service on a broker in memory: open from before its first record until after its last."""

import asyncio

import httpx

from consumers.http.frontend import HttpFrontend
from consumers.http.server import bind_socket
from consumers.http.settings import HttpSettings
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from stream.messages.types import End, Update
from tests.consumers.fake_kafka import DEAD, IN, OUT, STATE, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import FIRST, settings, update


async def test_health_is_answered_before_the_first_record_and_until_all_is_done() -> None:
    kafka, http, stop = FakeKafka(alone=False), HttpSettings(port=0), asyncio.Event()
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    front, at = HttpFrontend(http, worker), bind_socket(http)
    assert at is not None
    service = Service(settings(), worker, kafka.clients(), observer=front.observer)
    async with front.serve(at, service) as address, httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        running = asyncio.create_task(service.run(stop))
        await kafka.until(lambda: kafka.consumer is not None)
        assert (await client.get("/metrics")).status_code == 200
        assert kafka.consumer is not None
        await kafka.consumer.rebalance([0])
        await service.ready.wait()
        assert (await client.get("/readyz")).status_code == 200
        await kafka.append(IN, update("a", "anna met bob", final=True), b"a")
        await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
        assert "hearken_words_total 3.0" in (await client.get("/metrics")).text
        stop.set()
        await running
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json()["why"] == ["the service ends"]


async def test_what_callers_over_http_say_never_gets_to_kafka() -> None:
    kafka, stop, answered = FakeKafka(), asyncio.Event(), asyncio.Event()
    worker = Worker(fake_engine(["ner"], "", coalesce=False))
    front = HttpFrontend(HttpSettings(port=0), worker)
    count = 0

    def count_revisions(batch: object) -> None:
        nonlocal count
        count += sum(x.session == "caller" for x in batch.result.revisions)  # type: ignore[attr-defined]
        if any(x.session == "caller" and x.offset == 3 for x in batch.result.answered):  # type: ignore[attr-defined]
            answered.set()

    front.observer.on_step = count_revisions  # type: ignore[method-assign]
    service = Service(settings(), worker, kafka.clients(), observer=front.observer)
    running = asyncio.create_task(service.run(stop))
    await service.ready.wait()
    texts = ["anna", "anna met", "anna met poison"]
    for offset, text in enumerate(texts):
        await worker.submit(Update(session="caller", segment="s", text=text), offset)
    await worker.submit(End(session="caller"), len(texts))
    await answered.wait()
    await kafka.append(IN, update("a", "rome"), b"a")
    await kafka.until(lambda: kafka.committed.get(FIRST) == 1)
    stop.set()
    await running
    assert count > 0
    assert kafka.records(OUT)
    assert not kafka.records(DEAD)
    assert not any(
        b"caller" in (x.key or b"") + (x.value or b"") for topic in (OUT, STATE) for x in kafka.records(topic)
    )
