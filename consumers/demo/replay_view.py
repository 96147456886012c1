"""View of `hearken replay` on a terminal: the text that is sent, in the colours of the labels that a service finds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from consumers.common.errors import OperationFailed
from consumers.demo.live_text import LiveText
from consumers.kafka.client.clients import admin_client, connect
from consumers.kafka.client.security import aiokafka_options
from consumers.kafka.topics.topics import check_topic
from stream.messages.types import Revision

QUIET_SECONDS = 2.0
"""The labels are all there when none came for so long after the last text."""
POLL_MS = 100


@asynccontextmanager
async def follow_revisions(broker: str, topic: str, view: LiveText, patience: float) -> AsyncIterator[None]:
    """Show the revisions that are published inside the block, and wait for those of the last messages.

    Where revisions cannot be read, or nobody publishes any, the view has the texts alone.

    Args:
        broker: addresses of the brokers.
        topic: of the revisions.
        view: shows them; it knows the texts.
        patience: how long to wait for a broker, in seconds.
    """
    try:
        async with admin_client(broker, patience) as admin:
            await check_topic(admin, topic)
        make = partial(
            AIOKafkaConsumer, topic, bootstrap_servers=broker, auto_offset_reset="latest", **aiokafka_options()
        )
        consumer: AIOKafkaConsumer = await connect(make, broker, patience)
    except (OperationFailed, KafkaError):
        yield
        return
    try:
        await consumer.seek_to_end()
        reading = asyncio.create_task(_read_revisions(consumer, view))
        try:
            yield
            await _wait_until_quiet(view)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    finally:
        await consumer.stop()


async def _read_revisions(consumer: AIOKafkaConsumer, view: LiveText) -> None:
    while True:
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                try:
                    view.see(msgspec.json.decode(record.value or b"", type=Revision))
                except msgspec.MsgspecError:
                    continue  # a record of somebody else's
            view.write_closed()


async def _wait_until_quiet(view: LiveText) -> None:
    """Return when no revision came for `QUIET_SECONDS`."""
    seen = -1
    while seen != view.revisions:
        seen = view.revisions
        await asyncio.sleep(QUIET_SECONDS if seen else QUIET_SECONDS / 2)
