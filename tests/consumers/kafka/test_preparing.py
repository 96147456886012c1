"""A service looks at its topics at its start; a broker that goes away over it is waited for, another error is not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, PolicyViolationError

from consumers.common.errors import OperationFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.topics import topics


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[KafkaError]:
    """What the next looks at the topics fail with; one after them finds all well."""
    waiting: list[KafkaError] = []

    @asynccontextmanager
    async def administering(broker: str, patience: float) -> AsyncIterator[None]:
        try:
            yield
        except KafkaError as error:
            raise OperationFailed(f"{broker}: {error}") from error

    async def create(*_: object) -> list[str]:
        if waiting:
            raise waiting.pop(0)
        return []

    async def check(*_: object, rights: bool) -> list[object]:
        return []

    monkeypatch.setattr(topics, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(topics, "admin_client", administering)
    monkeypatch.setattr(topics, "create_topics", create)
    monkeypatch.setattr(topics, "check_topics", check)
    return waiting


async def test_a_broker_that_goes_away_is_waited_for(failures: list[KafkaError]) -> None:
    failures += [KafkaConnectionError("gone"), KafkaConnectionError("gone")]
    await topics.prepare_topics(ServiceSettings(broker="b:1"))
    assert failures == []


async def test_but_not_for_ever(failures: list[KafkaError]) -> None:
    failures += [KafkaConnectionError("gone")] * 1000
    with pytest.raises(OperationFailed, match="gone"):
        await topics.prepare_topics(ServiceSettings(broker="b:1", connect_seconds=0.05))
    assert len(failures) > 990


async def test_what_time_does_not_cure_is_told_at_once(failures: list[KafkaError]) -> None:
    failures += [PolicyViolationError("no"), PolicyViolationError("no")]
    with pytest.raises(OperationFailed, match="no"):
        await topics.prepare_topics(ServiceSettings(broker="b:1"))
    assert len(failures) == 1
