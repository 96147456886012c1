"""The service dies at any record that it writes, again and again: what was read is what one process would have said."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.common.settings import ServiceSettings, Topics
from consumers.formats.base import Format
from consumers.formats.readers import FormatReader
from consumers.kafka.service.service import Service
from consumers.verify.revision_checker import RevisionChecker
from encoder.restart.policies import Always, Last, RestartPolicy
from stream.engine.engine import Engine
from stream.engine.worker import Worker
from stream.messages.types import End, Message, Revision, Update
from tests.consumers.fake_kafka import DEAD, IN, OUT, FakeKafka
from tests.consumers.verify.offline import compare_finals, edited_segments, label_offline
from tests.stream.fake_tagger import VOCABULARY, fake_labeller
from tests.stream.streams import ALL, messages, steps

Guarantee = Literal["at_least_once", "exactly_once"]
GUARANTEES: tuple[Guarantee, ...] = ("at_least_once", "exactly_once")
KINDS = [kind for kind in ALL if kind != "end"]
PARTITIONS = 2
REDACTED = "hearken.redacted"
WITHOUT_FIXTURES = [HealthCheck.function_scoped_fixture]


Taggers = tuple[str, ...]
TAGGERS: list[Taggers] = [("ner",), ("ner", "speech"), ("speech@other", "ner", "b@third")]


OPEN = 3
"""Segments of a session that can be open, few enough that scripts get there."""


def engine(policy: RestartPolicy, coalesce: bool, taggers: Taggers = TAGGERS[0]) -> Engine:
    return Engine(fake_labeller(*taggers), policy, coalesce=coalesce, max_open_segments=OPEN)


def partition_of(session: str) -> int:
    return int(session[1:]) % PARTITIONS


async def live(
    kafka: FakeKafka,
    guarantee: Guarantee,
    policy: RestartPolicy,
    coalesce: bool,
    until: object,
    taggers: Taggers = TAGGERS[0],
    format: Format | None = None,
) -> None:
    """One life of the service: until so many records are written (then it is killed), or None, until all is done."""
    chosen = ServiceSettings(
        broker="fake:1",
        topics=Topics(redacted=REDACTED),
        guarantee=guarantee,
        commit_seconds=0.001,
        session_timeout_seconds=0.05,
        in_flight=8,
        cloudevents=True,
    )
    stop = asyncio.Event()
    worker = Worker(engine(policy, coalesce, taggers))
    reader = FormatReader(format, worker.engine.intake.segments) if format else None
    service = Service(chosen, worker, kafka.clients(), reader)
    task = asyncio.create_task(service.run(stop))

    def written() -> int:
        return sum(len(log) for log in kafka.logs.values())

    def is_done() -> bool:
        ends = {tp: len(log) for tp, log in kafka.logs.items() if tp.topic == IN and log}
        return task.done() or all(kafka.committed.get(tp) == end for tp, end in ends.items())

    await kafka.until(lambda: is_done() or (until is not None and written() >= until))
    if until is not None:
        kafka.kill()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        stop.set()
        await task


async def crash(
    told: Sequence[Message],
    deaths: Sequence[int],
    guarantee: Guarantee,
    policy: RestartPolicy,
    coalesce: bool,
    taggers: Taggers,
) -> FakeKafka:
    kafka = FakeKafka(PARTITIONS)
    for number, message in enumerate(told):
        trace = [("traceparent", b"00-%032x-%016x-01" % (number + 1, 1))]
        await kafka.append(IN, msgspec.json.encode(message), None, partition_of(message.session), trace)
    for death in deaths:
        await live(kafka, guarantee, policy, coalesce, sum(len(log) for log in kafka.logs.values()) + death, taggers)
    await live(kafka, guarantee, policy, coalesce, None, taggers)
    return kafka


def read(kafka: FakeKafka, guarantee: Guarantee) -> list[Revision]:
    """What a reader keeps: at least once it drops repeats, which must be equal to the byte, with their headers."""
    seen: dict[tuple[str, str, int], tuple[bytes | None, list[tuple[str, bytes]]]] = {}
    kept = []
    for record in kafka.records(OUT):
        revision = msgspec.json.decode(record.value or b"", type=Revision)
        key = revision.tagger, revision.session, revision.rev
        if key in seen:
            assert guarantee == "at_least_once"
            assert seen[key] == (record.value, record.headers)
            continue
        seen[key] = record.value, record.headers
        cause = kafka.logs[TopicPartition(IN, partition_of(revision.session))][revision.offset]
        assert [x for x in record.headers if x[0] == "traceparent"] == cause.headers
        kept.append(revision)
    marked = [dict(headers) for _, headers in seen.values() if "ce_id" in dict(headers)]  # not all runs have them
    assert len({headers["ce_source"] + headers["ce_id"] for headers in marked}) == len(marked)
    return kept


def expect(told: Sequence[Message], policy: RestartPolicy, taggers: Taggers = TAGGERS[0]) -> list[Revision]:
    """What one process says that never dies, each message a step of its own."""
    alone = engine(policy, False, taggers)
    said = []
    offsets = [0] * PARTITIONS
    for message in told:
        number = partition_of(message.session)
        alone.submit(message, offsets[number])
        offsets[number] += 1
        while alone.pending:
            said += alone.step().revisions
    return said


def by_session(revisions: Sequence[Revision]) -> dict[str, list[Revision]]:
    return {name: [r for r in revisions if r.session == name] for name in sorted({r.session for r in revisions})}


DEATHS = st.lists(st.integers(1, 30), max_size=4)


@pytest.mark.parametrize("guarantee", GUARANTEES)
@given(script=steps(VOCABULARY, [*ALL], sessions=3, most=25), deaths=DEATHS, taggers=st.sampled_from(TAGGERS))
@settings(max_examples=15, suppress_health_check=WITHOUT_FIXTURES)
def test_every_revision_is_as_if_nothing_had_happened(
    guarantee: Guarantee, script: list[tuple[int, int, str, tuple[str, ...], int]], deaths: list[int], taggers: Taggers
) -> None:
    told = messages(script)
    kafka = asyncio.run(crash(told, deaths, guarantee, Always(), False, taggers))
    assert by_session(read(kafka, guarantee)) == by_session(expect(told, Always(), taggers))
    assert not kafka.records(DEAD)


@pytest.mark.parametrize("guarantee", GUARANTEES)
@given(script=steps(VOCABULARY, KINDS, sessions=3, most=25), deaths=DEATHS, taggers=st.sampled_from(TAGGERS))
@settings(max_examples=15, suppress_health_check=WITHOUT_FIXTURES)
def test_whatever_is_coalesced_readers_see_one_stream(
    guarantee: Guarantee, script: list[tuple[int, int, str, tuple[str, ...], int]], deaths: list[int], taggers: Taggers
) -> None:
    said = messages(script)
    names = sorted({m.session for m in said})
    told: list[Message] = [Update(session=name, segment="first", text="we met", final=True) for name in names]
    told += [*said, *(End(session=name) for name in names)]
    kafka = asyncio.run(crash(told, deaths, guarantee, Last(2), True, taggers))
    witness = RevisionChecker(reopened=edited_segments(told))
    kept = read(kafka, guarantee)
    for revision in kept:
        witness.check(revision)
    assert not witness.violations
    for name, revisions in by_session(kept).items():
        for tagger in {x.tagger for x in revisions}:
            answered = [x.offset for x in revisions if x.tagger == tagger]
            assert answered == sorted(answered), name
    offline = label_offline(engine(Last(2), False, taggers), told)
    _, wrong = compare_finals(told, witness.latest, offline)
    assert not wrong


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_bad_records_are_buried_once_or_more(guarantee: Guarantee) -> None:
    kafka = FakeKafka(PARTITIONS)
    for number in range(12):
        await kafka.append(IN, b"{" if number % 3 == 2 else _update(number), None, number % 2)
    for death in (2, 3, 5):
        await live(kafka, guarantee, Last(2), False, sum(len(log) for log in kafka.logs.values()) + death)
    await live(kafka, guarantee, Last(2), False, None)
    places = [tuple(dict(letter.headers)[name] for name in ("partition", "offset")) for letter in kafka.records(DEAD)]
    assert sorted(set(places)) == [(b"0", b"1"), (b"0", b"4"), (b"1", b"2"), (b"1", b"5")]
    if guarantee == "exactly_once":
        assert len(places) == 4


def _update(number: int) -> bytes:
    text = " ".join(["anna", "met", "bob"] * (number + 1))
    return msgspec.json.encode({"type": "update", "session": f"s{number % 2}", "segment": "s", "text": text})
