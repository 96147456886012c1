"""`hearken topics`: made as they must be, and what is said of topics that are not."""

from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from consumers.cli.main import main
from consumers.common.errors import OperationFailed
from consumers.common.settings import ServiceSettings, Topics
from consumers.kafka.brokers.embedded import EmbeddedBroker
from consumers.kafka.topics.rules import DAY, Role
from consumers.kafka.topics.topics import ROLES, check_topics, create_topics, find_topics
from tests.kafka.rig import Place, administering


def names_at(place: Place) -> Topics:
    return Topics(input=place.topic, output=place.output, dead_letter=f"{place.run}.dead", state=f"{place.run}.state")


def flags(place: Place) -> list[str]:
    names = names_at(place)
    topics = {"input": names.input, "output": names.output, "dead-letter": names.dead_letter, "state": names.state}
    return ["--broker", place.address, *(x for role, name in topics.items() for x in (f"--{role}-topic", name))]


async def problems_of(admin: AIOKafkaAdminClient, place: Place, role: Role) -> list[tuple[str, str]]:
    return [(x.severity, x.detail) for x in await check_topics(admin, names_at(place), [role])]


async def test_what_is_made_is_found_good(place: Place) -> None:
    names = names_at(place)
    async with administering(place.address) as admin:
        assert [x.detail for x in await check_topics(admin, names)] == [
            "it does not exist; create it: hearken topics create"
        ] * 4
        made = await create_topics(admin, names, partitions=3)
        assert made == list(names.all)
        assert await check_topics(admin, names) == []
        assert await create_topics(admin, names, partitions=5) == []
        found = await find_topics(admin, names)
    assert {found[role].partitions for role in ROLES} == {3}
    assert (found["state"].configs or {})["cleanup.policy"] == "compact"


async def test_looking_makes_nothing(place: Place) -> None:
    """Brokers that may make topics make each that is asked for by name."""
    async with administering(place.address) as admin:
        for _ in range(2):
            assert len(await check_topics(admin, names_at(place))) == 4


async def test_state_follows_an_input_that_is_there(place: Place) -> None:
    names = names_at(place)
    async with administering(place.address) as admin:
        await place.make_topics(names.input, partitions=7)
        assert await create_topics(admin, names, partitions=2, roles=["state"]) == [names.state]
        found = await find_topics(admin, names)
    assert set(found) == {"input", "state"}
    assert found["state"].partitions == 7


@pytest.mark.parametrize(
    ("role", "configs", "severity", "said"),
    [
        ("state", {"cleanup_policy": "delete"}, "error", "cleanup.policy=delete deletes the state"),
        ("state", {"cleanup_policy": "compact,delete"}, "error", "deletes the state"),
        ("state", {"cleanup_policy": "compact", "delete_retention_ms": "1000"}, "error", "a slow restore"),
        ("state", {"cleanup_policy": "compact"}, "warning", "segment.bytes=1073741824"),
        (
            "state",
            {"cleanup_policy": "compact", "min_compaction_lag_ms": str(2 * DAY)},
            "warning",
            "min.compaction.lag",
        ),
        ("input", {"cleanup_policy": "compact"}, "error", "only the newest record of each session"),
        ("output", {"cleanup_policy": "compact,delete"}, "error", "only the newest record of each session"),
        ("dead_letter", {"cleanup_policy": "compact"}, "error", "only the newest record of each session"),
        ("input", {"retention_ms": "5400000"}, "warning", "updates that are not read within 90 minutes are lost"),
        ("dead_letter", {"retention_ms": "36000000"}, "warning", "dead letters that are not read within 10 hours"),
        ("input", {"retention_bytes": "1000000"}, "warning", "lost under load"),
        ("output", {"min_insync_replicas": "2"}, "error", "min.insync.replicas=2, but only 1 replica: nothing"),
        ("input", {"max_message_bytes": "100000"}, "error", "max.message.bytes=100000: the largest records do not fit"),
        ("output", {}, "warning", "max.message.bytes=1048588: the largest records do not fit"),
        ("output", {"unclean_leader_election_enable": "true"}, "warning", "acknowledged records can be lost"),
    ],
)
async def test_what_is_wrong_is_said(
    place: Place, role: Role, configs: dict[str, str], severity: str, said: str
) -> None:
    await place.make_topics(getattr(names_at(place), role), **configs)
    async with administering(place.address) as admin:
        problems = await problems_of(admin, place, role)
    assert [s for s, detail in problems if said in detail] == [severity], problems


async def test_state_with_other_partitions_than_the_input(place: Place) -> None:
    names = names_at(place)
    await place.make_topics(names.input, partitions=4)
    await place.make_topics(names.state, partitions=1, cleanup_policy="compact")
    async with administering(place.address) as admin:
        errors = [detail for severity, detail in await problems_of(admin, place, "state") if severity == "error"]
    assert errors == [
        f"it has 1 partition, {names.input} has 4; the state of a session must be in the partition of its updates:"
        " name a new state topic, or create this one again"
    ]


async def test_a_refusal_names_the_topic_and_the_reason(place: Place) -> None:
    names = names_at(place)
    async with administering(place.address) as admin:
        with pytest.raises(OperationFailed, match=rf"topic {names.input} was not created: .*only 1 broker"):
            await create_topics(admin, names, replication=2)


def test_the_commands_tell_by_table_and_exit_code(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "check", *flags(place)]) == 1
    out = capsys.readouterr().out
    assert f"error: topic {place.topic}: it does not exist; create it: hearken topics create" in out
    assert main(["topics", "create", *flags(place), "--partitions", "2"]) == 0
    assert capsys.readouterr().out.count("created") == 4
    assert main(["topics", "check", *flags(place)]) == 0
    out = capsys.readouterr().out
    assert out.count("good") == 4
    assert "error" not in out
    assert "warning" not in out


def test_a_command_without_a_broker_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "check", "--broker", "127.0.0.1:1", "--connect-seconds", "0.1"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hearken: no broker answers at 127.0.0.1:1")


@pytest.fixture
def embedded() -> Iterator[str]:
    broker = EmbeddedBroker()
    yield broker.address
    broker.close()


async def test_the_embedded_broker_has_them_already(embedded: str) -> None:
    """It makes what it is asked about, cannot be told how, and tells no settings."""
    async with administering(embedded) as admin:
        assert await create_topics(admin, ServiceSettings().topics) == []
        assert await check_topics(admin, ServiceSettings().topics) == []
