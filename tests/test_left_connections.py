"""A connection that nobody closed is closed with its loop, and no warning is left for another test."""

import asyncio
import gc
import warnings

from aiokafka.conn import create_conn

from consumers.kafka.brokers.embedded import EmbeddedBroker


def test_a_connection_that_is_left_is_closed_with_its_loop(left_connections: list[str]) -> None:
    before = len(left_connections)

    broker = EmbeddedBroker()
    host, port = broker.address.split(":")
    connection = asyncio.run(create_conn(host, int(port)))
    assert not connection.connected()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del connection
        gc.collect()
    broker.close()
    assert len(left_connections) == before + 1
    left_connections.pop()


def test_a_transport_that_is_left_is_closed_with_its_loop(left_connections: list[str]) -> None:
    broker = EmbeddedBroker()
    host, port = broker.address.split(":")

    async def leave() -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, int(port))
        return transport

    transport = asyncio.run(leave())
    assert transport.is_closing()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del transport
        gc.collect()
    broker.close()
    left_connections.pop()
