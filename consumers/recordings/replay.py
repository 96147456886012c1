"""Replay of a recorded stream: at the recorded pace, at a multiple of it, or as fast as possible."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from consumers.common.errors import OperationFailed
from consumers.kafka.client.clients import admin_client, connect, make_producer
from consumers.kafka.client.diagnosis import AUTHORIZATION_ERRORS, explain_authorization
from consumers.kafka.topics.topics import check_topic
from consumers.recordings.jsonl import RecordedMessage

OnSent = Callable[[RecordedMessage, "asyncio.Future[Any]"], None]
"""Called with each sent message and the future of its acknowledgement."""

log = structlog.get_logger()


async def pace(
    recording: Iterable[RecordedMessage],
    speed: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> AsyncIterator[RecordedMessage]:
    """Yield each message when it is due. Due times are relative to the start, so delays do not accumulate.

    Args:
        recording: in order of `due`.
        speed: factor of real time; None does not wait.
        clock: monotonic clock (seconds).
        sleep: waits the given seconds of `clock`.
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
    on_sent: OnSent = lambda recorded, ack: None,
) -> int:
    """Produce a recorded stream, keyed by session; returns the number of acknowledged messages.

    Args:
        producer: started producer.
        topic: target topic.
        recording: in order of `due`.
        speed: see `pace`.
        on_sent: see `OnSent`.

    Raises:
        KafkaError: a message was not acknowledged.
    """
    acks: list[asyncio.Future[Any]] = []
    count = 0
    async for recorded in pace(recording, speed, asyncio.get_running_loop().time):
        key = None if recorded.session is None else recorded.session.encode("utf-8", "surrogatepass")
        ack = await producer.send(topic, recorded.value, key=key)
        on_sent(recorded, ack)
        acks.append(ack)
        if len(acks) >= 1024:
            count += len(await asyncio.gather(*acks))
            acks.clear()
    return count + len(await asyncio.gather(*acks))


async def replay_recording(
    recording: Iterable[RecordedMessage],
    broker: str,
    topic: str,
    speed: float | None,
    patience: float,
    on_sent: OnSent = lambda recorded, ack: None,
) -> int:
    """Produce a recorded stream; returns the number of acknowledged messages.

    Raises:
        RecordingError: the file is not a recorded stream; messages before the invalid line were sent.
        NotAuthorised: we may not write to the topic.
        OperationFailed: there is no such topic, no broker answered, or a message was not acknowledged.
    """
    async with admin_client(broker, patience) as admin:
        await check_topic(admin, topic)
    producer = await connect(lambda: make_producer(broker), broker, patience)
    try:
        count = await send_recording(producer, topic, recording, speed, on_sent)
    except AUTHORIZATION_ERRORS as error:
        raise explain_authorization(error, topic) from error
    except KafkaError as error:
        raise OperationFailed(f"{broker} did not acknowledge a message: {error}") from error
    finally:
        await producer.stop()
    log.info("recording_replayed", messages=count, topic=topic)
    return count
