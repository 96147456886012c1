"""The broker that tests and the demonstration start, and what is said when there is none."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.common.errors import OperationFailed
from consumers.kafka.brokers.apache_kafka import ApacheKafka, find_jars, find_missing
from tests.kafka.rig import new_place, take
from tests.waiting import PATIENCE, killed_after, run, wait_until

ROOT = Path(__file__).parents[2]


async def test_a_killed_broker_comes_back_with_its_records_on_its_port(mortal_kafka: ApacheKafka) -> None:
    broker = mortal_kafka
    place = new_place(broker.address, "killed")
    await place.make_topics()
    await place.produce([b"before"])
    broker.kill()
    broker.start()
    await place.produce([b"after"])
    async with place.consumer(place.topic) as consumer:
        assert [record.value for record in await take(consumer, 2)] == [b"before", b"after"]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")
@pytest.mark.usefixtures("mortal_kafka")
def test_a_broker_and_its_folder_go_with_the_process_that_started_them() -> None:
    script = """
import os, sys
from consumers.kafka.brokers.apache_kafka import apache_kafka
with apache_kafka() as broker:
    print(broker.pid, broker.folder, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdout is not None
        with killed_after(process.kill):
            pid, folder = process.stdout.readline().split()
        broker = os.pidfd_open(int(pid))
        process.send_signal(signal.SIGKILL)
    try:
        assert select.select([broker], [], [], PATIENCE)[0], "the broker still runs"
    finally:
        os.close(broker)
    wait_until(lambda: not Path(folder).exists(), "the end of its folder")


@pytest.mark.usefixtures("mortal_kafka")
def test_what_it_died_of_is_told(tmp_path: Path) -> None:
    libs = find_jars()
    assert libs is not None
    broker = ApacheKafka(libs, tmp_path / "broken")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "server.properties").write_text("process.roles=nonsense\n")
    with pytest.raises(OperationFailed, match=r"(?s)ended with 1: .*process.roles"):
        broker.start()
    assert broker.pid is None


@pytest.mark.parametrize("required", ["0", "1"])
def test_without_jars_the_last_lines_say_what_did_not_run(required: str, tmp_path: Path) -> None:
    environment = os.environ | {"HEARKEN_KAFKA_JARS": str(tmp_path), "HEARKEN_REQUIRE_KAFKA": required}
    environment.pop("KAFKA_BOOTSTRAP", None)
    test = "tests/kafka/test_apache_kafka.py::test_what_it_died_of_is_told"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == int(required), done.stdout
    if required == "1":
        assert "HEARKEN_REQUIRE_KAFKA=1, but " in done.stdout
    else:
        assert "NOT RUN: 1 test on Apache Kafka, because " in done.stdout.splitlines()[-2]
        said = run(
            [sys.executable, "-m", "tests.kafka"], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
        )
        assert "NOT RUN: the tests on Apache Kafka, because " in said.stdout


def test_what_is_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEARKEN_KAFKA_JARS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "JAVA_HOME" in (find_missing() or "")
