"""The redacted topic: after any deaths it holds what one process says, and nothing of a covered value is anywhere."""

import asyncio
from collections.abc import Sequence
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from encoder.restart.policies import Always, RestartPolicy
from stream.engine.engine import Engine
from stream.messages.types import End, Message, Update
from stream.redaction.policy import RedactionPolicy
from stream.sessions.redactor import Redactor
from tests.consumers.fake_kafka import DEAD, IN, OUT, FakeKafka, FakeRecord
from tests.consumers.kafka import test_crashes
from tests.consumers.kafka.test_crashes import DEATHS, GUARANTEES, PARTITIONS, REDACTED, Guarantee, partition_of
from tests.stream.fake_tagger import PEOPLE, PLACES, VOCABULARY, fake_labeller
from tests.stream.streams import ALL, messages, steps

KEY = b"a key of the test"


def redacting(policy: RestartPolicy, coalesce: bool, taggers: Sequence[str] = ("ner",)) -> Engine:
    redactor = Redactor(RedactionPolicy(style="numbered", key=KEY, hash_ids=True))
    return Engine(fake_labeller(*taggers, poison=["poison"]), policy, coalesce=coalesce, redactor=redactor)


def expect_redacted(told: Sequence[Message]) -> list[bytes]:
    """What one process says that never dies, each message a step of its own."""
    alone, said, offsets = redacting(Always(), False), [], [0] * PARTITIONS
    for message in told:
        number = partition_of(message.session)
        alone.submit(message, offsets[number])
        offsets[number] += 1
        while alone.pending:
            said += [msgspec.json.encode(x.message) for x in alone.step().redacted]
    return said


def read_redacted(kafka: FakeKafka, guarantee: Guarantee) -> dict[str, list[bytes]]:
    """What a reader keeps, by session: at least once it drops repeats, which are equal to the byte."""
    seen: dict[tuple[str, int], FakeRecord] = {}
    for record in kafka.records(REDACTED):
        message = msgspec.json.decode(record.value or b"")
        assert record.key == message["session"].encode()
        key = message["session"], message["rev"]
        assert guarantee == "at_least_once" or key not in seen
        first = seen.setdefault(key, record)
        assert (first.value, first.headers) == (record.value, record.headers)
        sent = [x.headers for x in kafka.records(IN) if x.offset == message["offset"]]
        assert [x for x in record.headers if x[0] == "traceparent"] in sent
    assert len({dict(x.headers)["ce_id"] for x in seen.values()}) == len(seen)
    return group([x.value or b"" for x in seen.values()])


def group(values: Sequence[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for value in values:
        found.setdefault(msgspec.json.decode(value)["session"], []).append(value)
    return found


@pytest.mark.parametrize("guarantee", GUARANTEES)
@given(script=steps(VOCABULARY, [*ALL], sessions=3, most=25), deaths=DEATHS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_redacted_message_is_as_if_nothing_had_happened(
    guarantee: Guarantee, script: list[tuple[int, int, str, tuple[str, ...], int]], deaths: list[int]
) -> None:
    told = messages(script)
    with mock.patch.object(test_crashes, "engine", redacting):
        kafka = asyncio.run(test_crashes.crash(told, deaths, guarantee, Always(), False, ("ner",)))
    assert read_redacted(kafka, guarantee) == group(expect_redacted(told))
    for topic in (REDACTED, OUT):
        for record in kafka.records(topic):
            words = set((record.value or b"").decode().lower().replace('"', " ").split())
            assert not words & (PEOPLE | PLACES)


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_what_cannot_be_labelled_is_buried_and_releases_nothing(guarantee: Guarantee) -> None:
    told = [
        Update(session="s0", segment="a", text="they met anna"),
        Update(session="s0", segment="a", text="they met anna poison secret"),
        Update(session="s0", segment="b", text="poison secret", final=True),
        End(session="s0"),
    ]
    with mock.patch.object(test_crashes, "engine", redacting):
        kafka = await test_crashes.crash(told, [], guarantee, Always(), False, ("ner",))
    said = [msgspec.json.decode(x.value or b"") for x in kafka.records(REDACTED)]
    assert said[-1]["type"] == "end"
    assert not any("secret" in x.get("text", "") for x in said)
    letters = kafka.records(DEAD)
    assert [dict(x.headers)["reason"] for x in letters] == [b"labelling_failed"] * len(letters) != []
    assert not any(
        b"secret" in (value or b"") or b"poison" in (value or b"") for x in letters for _, value in x.headers
    )
