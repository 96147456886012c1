"""The moderation example: its programs beside a service of word lists, over Kafka and over a WebSocket."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from consumers.kafka.brokers.embedded import EmbeddedBroker
from tests.waiting import PATIENCE, killed_after

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "moderation"
DONE = {
    "twitch": ["hide 4021 t2", "forget 4021 t2"],
    "discord": ["hide 9001 d1", "show 9001 d1"],
    "slack": ["hide C42 1772388004.000100", "show C42 1772388004.000100"],
}


@pytest.fixture
def events(tmp_path: Path) -> list[str]:
    """The events of the example, with words that word lists know: a name stands for an insult."""
    for name in DONE:
        (tmp_path / f"{name}.jsonl").write_text((EXAMPLE / f"{name}.jsonl").read_text().replace("stupid idiot", "anna"))
    return [str(tmp_path / f"{name}.jsonl") for name in DONE]


@contextmanager
def serving(event: str, *commands: list[str]) -> Iterator[list[dict[str, str]]]:
    """Services of word lists, started at the same time, once the log of each has an event."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        logs: list[queue.Queue[str]] = []
        for arguments in commands:
            command = [sys.executable, "-m", "tests.kafka.light_worker", *arguments]
            run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
            stack.enter_context(run)
            stack.enter_context(killed_after(run.kill))
            logs.append(queue.Queue())
            reader = threading.Thread(target=_follow, args=(run, logs[-1]), daemon=True)
            reader.start()
            stack.callback(reader.join, PATIENCE)  # before the pipe is closed
            stack.callback(run.terminate)
        yield [_wait_for(event, log) for log in logs]


def _follow(run: "subprocess.Popen[str]", log: "queue.Queue[str]") -> None:
    for line in run.stderr or ():
        log.put(line)


def _wait_for(event: str, log: "queue.Queue[str]") -> dict[str, str]:
    while True:
        said: dict[str, str] = json.loads(log.get(timeout=PATIENCE))
        if said["event"] == event:
            return said


def moderate(program: str, *arguments: str) -> dict[str, list[str]]:
    """What a program of the example says is to be done, by platform."""
    command = [sys.executable, str(EXAMPLE / program), *arguments, "--tagger", "ner"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        platform, _, act = line.partition(" ")
        found.setdefault(platform, []).append(act)
    return found


def test_messages_are_hidden_and_shown_again_over_a_websocket(events: list[str]) -> None:
    with serving("http_started", ["listen", "--http-port", "0"]) as (said,):
        assert moderate("over_websocket.py", *events, "--url", said["address"].replace("http", "ws")) == DONE


def test_messages_are_hidden_and_shown_again_through_kafka(events: list[str]) -> None:
    embedded = EmbeddedBroker()
    try:
        commands = []
        for name in DONE:
            topics = ["--input-topic", f"{name}.updates", "--output-topic", f"{name}.revisions"]
            topics += ["--dead-letter-topic", f"{name}.dead-letters", "--group", name]
            flags = ["--broker", embedded.address, "--format", name, "--http-port", "off"]
            commands.append(["serve", *flags, *topics])
        with serving("restored", *commands):
            assert moderate("over_kafka.py", *events, "--broker", embedded.address, "--patience", "3") == DONE
    finally:
        embedded.close()
