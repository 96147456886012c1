"""Replay of a recorded stream: at its own pace, at a multiple of it, or as fast as it goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers.common.errors import OperationFailed
from consumers.kafka.client.clients import connect, make_producer
from consumers.recordings.jsonl import RecordedMessage

log = structlog.get_logger()


async def pace(
    recording: Iterable[RecordedMessage],
    speed: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> AsyncIterator[RecordedMessage]:
    """Give each message when it is due. Who is late catches up: lateness does not add up.

    Args:
        recording: in order of `due`.
        speed: a factor of real time; None does not wait at all.
        clock: any rising clock, in seconds.
        sleep: waits so many of its seconds.
    """
    start = clock()
    for recorded in recording:
        if speed is not None:
            wait = recorded.due / speed - (clock() - start)
            if wait > 0:
                await sleep(wait)
        yield recorded


async def send_recording(
    producer: AIOKafkaProducer,
    topic: str,
    recording: Iterable[RecordedMessage],
    speed: float | None,
    on_sent: Callable[[RecordedMessage, "asyncio.Future[Any]"], None] = lambda recorded, ack: None,
) -> int:
    """Produce a recorded stream, keyed by session; returns how many messages were acknowledged.

    Args:
        producer: started.
        topic: where to.
        recording: in order of `due`.
        speed: see `pace`.
        on_sent: told of each message when it is on its way.

    Raises:
        KafkaError: a message was not acknowledged.
    """
    acks: list[asyncio.Future[Any]] = []
    count = 0
    async for recorded in pace(recording, speed, asyncio.get_running_loop().time):
        ack = await producer.send(topic, recorded.value, key=recorded.message.session.encode())
        on_sent(recorded, ack)
        acks.append(ack)
        if len(acks) >= 1024:
            count += len(await asyncio.gather(*acks))
            acks.clear()
    return count + len(await asyncio.gather(*acks))


async def replay_recording(
    recording: Iterable[RecordedMessage], broker: str, topic: str, speed: float | None, patience: float
) -> int:
    """Produce a recorded stream; returns how many messages the brokers have.

    Raises:
        RecordingError: its file is no recorded stream; what came before the bad line was sent.
        OperationFailed: no broker answered, or a message was not acknowledged.
    """
    producer = await connect(lambda: make_producer(broker), broker, patience)
    try:
        count = await send_recording(producer, topic, recording, speed)
    except KafkaError as error:
        raise OperationFailed(f"{broker} did not acknowledge a message: {error}") from error
    finally:
        await producer.stop()
    log.info("recording_replayed", messages=count, topic=topic)
    return count
