"""Moderates recorded events of chats through Kafka, beside a service for each platform.

python examples/moderation/over_kafka.py [FILE ...] [--broker localhost:9092] [--tagger NAME]

A file is named by its format, such as slack.jsonl, and so are the topics: the events go to slack.updates, keyed by
their channel, and the revisions come from slack.revisions. It ends when no revision came for some seconds; an
application would go on reading.
"""

import argparse
import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from hidden_messages import HiddenMessages

FILES = [Path(__file__).with_name(f"{name}.jsonl") for name in ("twitch", "discord", "slack")]


def channel_of(event: dict[str, Any]) -> str:
    """Return the channel of an event of Twitch, Discord or Slack, the key of its record."""
    inner = event.get("payload", {}).get("event") or event.get("event") or event.get("d") or event
    return str(inner.get("broadcaster_user_id") or inner.get("channel_id") or inner.get("channel"))


async def moderate(broker: str, platform: str, events: Iterable[str], hidden: HiddenMessages, patience: float) -> None:
    """Send events unchanged, and print what is to be done until no revision comes for `patience` seconds."""
    consumer = AIOKafkaConsumer(f"{platform}.revisions", bootstrap_servers=broker, auto_offset_reset="earliest")
    async with consumer, AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for event in events:
            key = channel_of(json.loads(event)).encode()
            await producer.send_and_wait(f"{platform}.updates", event.encode(), key=key)
            # A chat has pauses. Without one, an edit can take the place of the message that waits to be labelled.
            await _print(consumer, platform, hidden, 0.2)
        while await _print(consumer, platform, hidden, patience):
            pass


async def _print(consumer: AIOKafkaConsumer, platform: str, hidden: HiddenMessages, seconds: float) -> bool:
    """Print what the revisions of the next seconds say; returns whether there was any."""
    found = await consumer.getmany(timeout_ms=int(1000 * seconds))
    for record in (record for records in found.values() for record in records):
        for act, session, segment in hidden.apply(json.loads(record.value)):
            print(platform, act, session, segment, flush=True)
    return bool(found)


async def _moderate_all(broker: str, files: list[Path], tagger: str, patience: float) -> None:
    chats = {file.stem: file.read_text("utf-8").splitlines() for file in files}  # nothing runs yet
    every = [moderate(broker, name, chat, HiddenMessages(tagger), patience) for name, chat in chats.items()]
    await asyncio.gather(*every)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", default=FILES)
    parser.add_argument("--broker", default="localhost:9092")
    parser.add_argument("--tagger", default="moderation")
    parser.add_argument("--patience", type=float, default=5.0, metavar="SECONDS")
    given = parser.parse_args()
    asyncio.run(_moderate_all(given.broker, given.files, given.tagger, given.patience))


if __name__ == "__main__":
    main()
