"""A log that is closed or full ends nothing; results that cannot be written are an error of one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.common.standard_streams import LogStream
from tests.waiting import run

ROOT = Path(__file__).parents[3]
HEARKEN = f"{sys.executable} -m consumers.cli.main"
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(ROOT), "HEARKEN_HTTP_PORT": "off"}
    return run(["bash", "-c", command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)


@pytest.mark.parametrize("log", ["2>/dev/full", "2>&-"])
def test_a_command_without_a_log_works(log: str) -> None:
    done = shell(f"{HEARKEN} help serve {log}")
    assert done.returncode == 0
    assert "Kafka" in done.stdout
    failed = shell(f"{HEARKEN} topics check --broker 127.0.0.1:1 --connect-seconds 0.1 {log}")
    assert (failed.returncode, failed.stderr) == (1, "")


@pytest.mark.parametrize("log", ["2>/dev/full", "2>&-", "2>/dev/full >/dev/full", "2>&- >&- <&-"])
def test_a_service_without_a_log_serves(log: str, tmp_path: Path) -> None:
    """On the embedded broker, until it is told to stop."""
    program = tmp_path / "serve.py"
    program.write_text(SERVE)
    done = shell(f"{sys.executable} {program} {tmp_path / 'done'} {log}")
    assert (tmp_path / "done").read_text() == "0 1"
    assert done.returncode == 0


SERVE = """
import json, os, signal, sys, threading, time
sys.argv[1:], result = ["serve", "--broker", "x"], sys.argv[1]
from tests.kafka.light_worker import make_light, light_engine
make_light()
import consumers.runtime.engine_factory as factory
factory.build_engine, factory.check_engine = light_engine, lambda _: None
from confluent_kafka import Consumer, Producer
from consumers.cli import main as cli
from consumers.kafka.brokers.embedded import EmbeddedBroker
broker = EmbeddedBroker()
sys.argv[3] = broker.address
revisions = 0
def ask():
    global revisions
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce("hearken.updates", json.dumps(
        {"type": "update", "session": "a", "segment": "s", "text": "anna met bob"}), key="a")
    producer.flush(20)
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "r", "auto.offset.reset": "earliest"})
    consumer.subscribe(["hearken.revisions"])
    end = time.monotonic() + 60
    while not revisions and time.monotonic() < end:
        message = consumer.poll(0.2)
        revisions += message is not None and not message.error()
    consumer.close()
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=ask, daemon=True).start()
code = cli.main()
open(result, "w").write(f"{code} {revisions}")
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("output", "said"), [(">/dev/full", "No space left on device"), (">&-", "standard output is closed")]
)
def test_results_that_cannot_be_written_are_one_line(output: str, said: str) -> None:
    for command in ("help serve", "config"):
        done = shell(f"{HEARKEN} {command} {output}")
        assert done.returncode == 1, done.stderr
        assert done.stderr == f"hearken: standard output cannot be written: {said}\n"


def test_a_reader_that_has_read_enough_is_no_error_to_report() -> None:
    done = shell(f"set -o pipefail; {HEARKEN} config | true")
    assert done.stderr == ""


def test_lines_that_were_lost_are_counted_and_reported_once() -> None:
    inward, outward = os.pipe()
    stream = LogStream(os.open(FULL, os.O_WRONLY))
    print("lost", file=stream)  # two writes: the text and the line break
    assert stream.lost == 2
    os.dup2(outward, stream.fileno())
    stream.write("written\n")
    stream.write("too\n")
    assert os.read(inward, 1000) == b'{"event": "log_lines_lost", "level": "warning", "count": 2}\nwritten\ntoo\n'
    assert stream.lost == 2
