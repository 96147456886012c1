"""What the Kafka client logs while brokers are away: a line on going and coming, with counts in between."""

import json
import logging
import socket

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError

from consumers.common.broker_outages import BrokerOutages
from consumers.common.logs import configure_logging


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_outage_is_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    outages = BrokerOutages(lambda: now[0])
    configure_logging()

    def log(name: str, level: int, message: str, *arguments: object) -> bool:
        return outages.filter(logging.LogRecord(name, level, "", 0, message, arguments, None))

    assert log("aiokafka.consumer", logging.WARNING, "Heartbeat failed"), "there is no outage"
    assert log("other", logging.ERROR, "Unable connect to x")
    for _ in range(3000):
        assert not log("aiokafka.client", logging.ERROR, "Unable connect to node with id %s: %s", 1, "refused")
        assert not log("aiokafka.consumer", logging.ERROR, "Failed fetch messages")
        now[0] += 0.025
    assert not log("aiokafka.cluster", logging.DEBUG, "Updated cluster metadata to %s", "x"), "another one answers"
    now[0] += 1.5
    assert not log("aiokafka.cluster", logging.DEBUG, "Updated cluster metadata to %s", "x")
    assert log("aiokafka.consumer", logging.WARNING, "Heartbeat failed")
    first, minute, back = events(capsys)
    assert (first["event"], first["error"]) == ("brokers_unreachable", "Unable connect to node with id 1: refused")
    assert (minute["event"], minute["seconds"]) == ("brokers_unreachable", 60.0)
    assert (back["event"], back["seconds"], back["errors"]) == ("brokers_reachable", 76.5, 6000)


async def test_the_clients_lines_are_those_that_the_filter_knows(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        producer = AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{closed.getsockname()[1]}")
        for _ in range(3):
            with pytest.raises(KafkaConnectionError):
                await producer.start()
    await producer.stop()
    assert [x["event"] for x in events(capsys)] == ["brokers_unreachable"]


def test_metadata_is_what_the_client_logs_when_brokers_are_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "aiokafka.cluster"):
        cluster = ClusterMetadata(bootstrap_servers=[])
        response = type(
            "R", (), {"API_VERSION": 1, "brokers": [(1, "h", 9092, None)], "topics": [], "controller_id": 1}
        )
        cluster.update_metadata(response)
    assert [x.msg for x in caplog.records if str(x.msg).startswith("Updated cluster metadata")]
