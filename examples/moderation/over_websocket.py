"""Moderates recorded events of chats over the WebSocket of `hearken listen` or `hearken serve`.

python examples/moderation/over_websocket.py [FILE ...] [--url ws://localhost:8477] [--tagger NAME]

A file is named by its format, such as slack.jsonl. An application opens one stream for each platform, as here, and
sends what the platform sends it.
"""

import argparse
import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import websockets
from hidden_messages import HiddenMessages

FILES = [Path(__file__).with_name(f"{name}.jsonl") for name in ("twitch", "discord", "slack")]


async def moderate(url: str, platform: str, events: Iterable[str], hidden: HiddenMessages) -> None:
    """Send events of a platform as they come, and print what is to be done."""
    async with websockets.connect(f"{url}/v1/stream?format={platform}") as stream:
        reading = asyncio.create_task(_read(stream, platform, hidden))
        for event in events:
            await stream.send(event)
            # A chat has pauses. Without one, an edit can take the place of the message that waits to be labelled.
            await asyncio.sleep(0.2)
        await stream.send('{"type": "end"}')
        await reading


async def _read(stream: websockets.ClientConnection, platform: str, hidden: HiddenMessages) -> None:
    async for frame in stream:
        answer = json.loads(frame)
        if answer["type"] == "error":
            print("error", answer["reason"], answer["detail"], flush=True)
            continue
        for act, session, segment in hidden.apply(answer):
            print(platform, act, session, segment, flush=True)


async def _moderate_all(url: str, files: list[Path], tagger: str) -> None:
    chats = {file.stem: file.read_text("utf-8").splitlines() for file in files}  # nothing runs yet
    await asyncio.gather(*(moderate(url, name, chat, HiddenMessages(tagger)) for name, chat in chats.items()))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", default=FILES)
    parser.add_argument("--url", default="ws://localhost:8477")
    parser.add_argument("--tagger", default="moderation")
    given = parser.parse_args()
    asyncio.run(_moderate_all(given.url, given.files, given.tagger))


if __name__ == "__main__":
    main()
