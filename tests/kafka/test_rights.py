"""What one is told who may not do something on Apache Kafka: the operation that an ACL must allow, at once."""

import asyncio
import uuid
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from consumers.cli.main import main
from consumers.common.errors import NotAuthorised, OperationFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.client.security import variable_names
from consumers.kafka.client.topic_reader import read_topic
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import update
from tests.kafka.rig import Place, take
from tests.kafka.secure import LIMITED, PASSWORD, SecureKafka
from tests.waiting import PATIENCE

TOPIC, GROUP, ID = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
Right = tuple[ResourceType, str, AclOperation]


@pytest.fixture(autouse=True)
def _limited(secure: SecureKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variable_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEARKEN_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("HEARKEN_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("HEARKEN_SASL_USERNAME", LIMITED)
    monkeypatch.setenv("HEARKEN_SASL_PASSWORD", PASSWORD)
    monkeypatch.setenv("HEARKEN_SSL_CAFILE", str(secure.folder / "authority.pem"))


def allow(secure: SecureKafka, rights: list[Right]) -> None:
    """Give the limited user rights; names of transactional ids are prefixes."""
    admin = AdminClient({"bootstrap.servers": secure.plain})
    bindings = [
        AclBinding(
            kind,
            name,
            ResourcePatternType.PREFIXED if kind == ID else ResourcePatternType.LITERAL,
            f"User:{LIMITED}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for kind, name, operation in rights
    ]
    for future in admin.create_acls(bindings).values():
        future.result(PATIENCE)


def settings_at(secure: SecureKafka, guarantee: str = "at_least_once") -> ServiceSettings:
    run = f"rights-{uuid.uuid4().hex[:8]}"
    topics = Topics(input=f"{run}.in", output=f"{run}.out", dead_letter=f"{run}.dead", state=f"{run}.state")
    return ServiceSettings(
        broker=secure.login,
        topics=topics,
        group=run,
        guarantee=guarantee,  # type: ignore[arg-type]
        connect_seconds=20.0,
        fetch_wait_ms=50,
    )


def all_rights(settings: ServiceSettings) -> dict[str, Right]:
    """What docs/operations.md says that the service needs."""
    topics, group = settings.topics, settings.group
    rights: dict[str, Right] = {
        "Read on topic input": (TOPIC, topics.input, AclOperation.READ),
        "Write on topic output": (TOPIC, topics.output, AclOperation.WRITE),
        "Write on topic dead": (TOPIC, topics.dead_letter, AclOperation.WRITE),
        "Read on topic state": (TOPIC, topics.state, AclOperation.READ),
        "Write on topic state": (TOPIC, topics.state, AclOperation.WRITE),
        "Read on group": (GROUP, group, AclOperation.READ),
        "Write on transactional id": (ID, f"{group}-", AclOperation.WRITE),
    }
    for topic in topics.all:
        rights[f"Describe {topic}"] = (TOPIC, topic, AclOperation.DESCRIBE)
        rights[f"DescribeConfigs {topic}"] = (TOPIC, topic, AclOperation.DESCRIBE_CONFIGS)
    return rights


async def serve(settings: ServiceSettings) -> None:
    """Serve one record."""
    service, stop = Service(settings, Worker(fake_engine(["ner"], "", coalesce=False))), asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(PATIENCE):
        while not service.finished and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stop.set()
    await task


async def make_topics(secure: SecureKafka, settings: ServiceSettings) -> None:
    place = Place(secure.plain, settings.group)
    topics = settings.topics
    await place.make_topics(topics.input, topics.output, topics.dead_letter, partitions=1)
    await place.make_topics(topics.state, partitions=1, cleanup_policy="compact")
    async with place.producer() as producer:
        await producer.send_and_wait(topics.input, update("a", "anna"), key=b"a")


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
async def test_the_documented_rights_are_enough(secure: SecureKafka, guarantee: str) -> None:
    settings = settings_at(secure, guarantee)
    await make_topics(secure, settings)
    allow(secure, list(all_rights(settings).values()))
    await serve(settings)
    async with Place(secure.plain, settings.group).consumer(settings.topics.output) as reader:
        await take(reader, 1)


@pytest.mark.parametrize(
    ("guarantee", "missing", "said"),
    [
        ("at_least_once", "Read on topic input", "not authorised: Read on topic {input}; an ACL must allow it"),
        ("at_least_once", "Write on topic output", "not authorised: Write on topic {output}; an ACL"),
        ("at_least_once", "Write on topic dead", "not authorised: Write on topic {dead_letter}; an ACL"),
        ("at_least_once", "Read on topic state", "not authorised: Read on topic {state}; an ACL"),
        ("exactly_once", "Write on topic state", "not authorised: Write on topic {state}; an ACL"),
        ("at_least_once", "Read on group", "not authorised: Read on group {group}; an ACL"),
        (
            "exactly_once",
            "Write on transactional id",
            "not authorised: Write and Describe on transactional id {group}-",
        ),
    ],
)
async def test_the_right_that_is_missing_is_named(secure: SecureKafka, guarantee: str, missing: str, said: str) -> None:
    settings = settings_at(secure, guarantee)
    await make_topics(secure, settings)
    rights = all_rights(settings)
    del rights[missing]
    allow(secure, list(rights.values()))
    with pytest.raises(OperationFailed) as refused:
        await serve(settings)
    names = {role: getattr(settings.topics, role) for role in ("input", "output", "dead_letter", "state")}
    assert said.format(group=settings.group, **names) in str(refused.value)


async def test_a_topic_that_one_may_not_describe_is_not_said_to_be_made(secure: SecureKafka) -> None:
    """Also by one who may create topics: it exists, and asking for its leaders would get no answer."""
    settings = settings_at(secure)
    await make_topics(secure, settings)
    hidden = settings.topics.dead_letter
    allow(secure, [x for x in all_rights(settings).values() if x[1] != hidden])
    allow(secure, [(TOPIC, hidden, AclOperation.CREATE)])
    with pytest.raises(NotAuthorised, match=rf"not authorised: Describe .* on topic {hidden};"):
        await serve(settings)


async def test_a_topic_that_is_missing_and_may_not_be_made(secure: SecureKafka) -> None:
    settings = settings_at(secure)
    allow(secure, list(all_rights(settings).values()))
    missing = ", ".join(sorted(settings.topics.all))
    said = rf"topic {missing} does not exist, and was not created: not authorised: Create on topic {missing} \(or"
    with pytest.raises(NotAuthorised, match=said):
        await serve(settings)


async def test_settings_that_one_may_not_see_are_not_checked_and_that_is_said(
    secure: SecureKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_at(secure)
    await make_topics(secure, settings)
    allow(secure, [x for x in all_rights(settings).values() if x[2] != AclOperation.DESCRIBE_CONFIGS])
    await serve(settings)
    out = capsys.readouterr().out
    assert f"its settings are not checked; not authorised: DescribeConfigs on topic {settings.topics.input}" in out


def test_commands_tell_it_in_one_line(secure: SecureKafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"rights-{uuid.uuid4().hex[:8]}"
    (tmp_path / "a.jsonl").write_bytes(update("a", "anna") + b"\n")
    replay = ["replay", str(tmp_path / "a.jsonl"), "--broker", secure.login, "--input-topic", name]
    assert main(replay) == 1
    assert f"not authorised: Describe (which Read and Write imply) on topic {name}" in capsys.readouterr().err
    asyncio.run(Place(secure.plain, name).make_topics(name))
    allow(secure, [(TOPIC, name, AclOperation.DESCRIBE)])
    assert main(replay) == 1
    assert f"not authorised: Write on topic {name}" in capsys.readouterr().err.splitlines()[-1]
    allow(secure, [(TOPIC, name, AclOperation.WRITE)])
    assert main(replay) == 0
    with pytest.raises(NotAuthorised, match=f"not authorised: Read on topic {name};"):
        list(read_topic(secure.login, name))
    with pytest.raises(NotAuthorised, match=r"not authorised: Describe .* on topic nothing-of-ours;"):
        list(read_topic(secure.login, "nothing-of-ours"))
    letters = ["--broker", secure.login, "--dead-letter-topic", name]
    assert main(["dlq", "list", *letters]) == 1
    assert "not authorised: Read" in capsys.readouterr().err.splitlines()[-1]
    assert main(["dlq", "replay", *letters, "--group", name]) == 1
    assert "not authorised: " in capsys.readouterr().err.splitlines()[-1]
    assert main(["topics", "check", "--broker", secure.login, "--connect-seconds", "20"]) == 1
    assert "not authorised: Describe" in capsys.readouterr().err.splitlines()[-1]
