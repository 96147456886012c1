"""`hearken broker`: the embedded broker at a port of one's choice, until a signal."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.cli.main import main
from consumers.kafka.brokers.apache_kafka import free_ports
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS
from tests.waiting import PATIENCE, killed_after

ROOT = Path(__file__).parents[3]


@contextmanager
def broker(port: int) -> Iterator["subprocess.Popen[str]"]:
    """A running broker, which has said its first line."""
    command = [sys.executable, "-m", "consumers.cli.main", "broker", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, cwd=ROOT) as run,
        killed_after(run.kill),
    ):
        try:
            assert run.stdout is not None
            first = run.stdout.readline()
            assert f"embedded broker at 127.0.0.1:{port}" in first
            assert "keeps nothing" in first
            yield run
        finally:
            run.kill()


async def send_and_read(address: str, topic: str) -> list[bytes]:
    """What a reader gets of a topic that the first record creates."""
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for value in (b"one", b"two"):
            await producer.send_and_wait(topic, value, partition=0)
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS
    ) as consumer:
        return [(await consumer.getone()).value for _ in range(2)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_at_its_port_until_a_signal(number: signal.Signals) -> None:
    (port,) = free_ports(1)
    with broker(port) as run:
        for topic in ("a.updates", "b.updates"):
            assert asyncio.run(send_and_read(f"127.0.0.1:{port}", topic)) == [b"one", b"two"]
        run.send_signal(number)
        out, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, errors
    assert errors == ""
    assert "records are gone" in out


async def test_it_ends_although_clients_are_connected() -> None:
    (port,) = free_ports(1)
    with broker(port) as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}") as producer:
            await producer.send_and_wait("topic", b"value")
            run.send_signal(signal.SIGTERM)
            _, errors = await asyncio.to_thread(run.communicate, timeout=PATIENCE)
        assert await reader.read() == b""
        writer.close()
    assert run.returncode == 0, errors
    assert errors == ""


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    with broker(port):
        assert main(["broker", "--port", str(port)]) == 2
    said = capsys.readouterr()
    assert f"127.0.0.1:{port}" in said.err
    assert "--port" in said.err
    assert said.out == ""
