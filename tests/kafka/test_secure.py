"""Every command on brokers with TLS and passwords: in with the right settings, and told what is wrong otherwise."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.demo.kafka_clients import open_clients
from consumers.kafka.client import topic_reader as topic
from consumers.kafka.client.security import variable_names
from tests.kafka.rig import Place, take
from tests.kafka.secure import PASSWORD, USER, SecureKafka
from tests.waiting import PATIENCE, run

ROOT = Path(__file__).parents[2]
SESSIONS = 6
WORDS = ["anna", "met", "bob", "in", "rome"]
WRONG = "battery-staple-9"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variable_names():
        monkeypatch.delenv(name, raising=False)


def login_of(secure: SecureKafka, folder: Path) -> dict[str, str]:
    """The password in a file, as a secret is mounted."""
    (folder / "password").write_text(PASSWORD + "\n")
    return {
        "HEARKEN_SECURITY_PROTOCOL": "SASL_SSL",
        "HEARKEN_SASL_MECHANISM": "SCRAM-SHA-512",
        "HEARKEN_SASL_USERNAME": USER,
        "HEARKEN_SASL_PASSWORD_FILE": str(folder / "password"),
        "HEARKEN_SSL_CAFILE": str(secure.folder / "authority.pem"),
    }


def set_all(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def write_recording(path: Path) -> int:
    """Sessions that grow word by word; returns how many messages they are."""
    lines = []
    for number in range(SESSIONS):
        for count in range(1, len(WORDS) + 1):
            said = {"text": " ".join(WORDS[:count]), "final": count == len(WORDS), "time": count / 10}
            lines.append(json.dumps({"type": "update", "session": f"call-{number}", "segment": "u1"} | said))
    path.write_text("\n".join(lines) + "\n")
    return len(lines)


def flags(place: Place, address: str) -> list[str]:
    """Of serve and of verify, for names of this test's own."""
    topics = {"input": place.topic, "output": place.output, "dead-letter": f"{place.run}.dead"}
    named = [x for name, topic in topics.items() for x in (f"--{name}-topic", topic)]
    return ["--broker", address, "--group", place.group, "--policy", "always", *named]


@contextmanager
def serving(place: Place, address: str) -> Iterator["subprocess.Popen[str]"]:
    """A worker; ended by SIGTERM, which it obeys."""
    command = [sys.executable, "-m", "tests.kafka.light_worker", "serve", *flags(place, address), "--no-coalesce"]
    environment = os.environ | {"HEARKEN_HTTP_PORT": "off", "HEARKEN_OVERLOAD_SECONDS": "0"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, errors
            assert PASSWORD not in errors
        finally:
            process.kill()


async def read_finals(place: Place) -> None:
    """Wait until every session has its closing revision."""
    async with place.consumer(place.output) as reader:
        closed: set[str] = set()
        while len(closed) < SESSIONS:
            for record in await take(reader, 1):
                revision = json.loads(record.value or b"")
                closed |= {revision["session"]} if revision["final"] else set()


def test_the_whole_way_with_the_right_settings(
    secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topics made, updates sent, labelled, checked against one process, dead letters asked for."""
    address, place = secure.login, Place(secure.plain, f"secure-{uuid.uuid4().hex[:8]}")
    set_all(monkeypatch, login_of(secure, tmp_path))
    write_recording(tmp_path / "recording.jsonl")
    at = ["--broker", address]
    topics = [word for word in flags(place, address) if word not in ("--policy", "always")]
    letters = [*at, "--dead-letter-topic", f"{place.run}.dead"]
    assert main(["topics", "create", *topics, "--partitions", "2", "--connect-seconds", "20"]) == 0
    with serving(place, address):
        assert main(["replay", str(tmp_path / "recording.jsonl"), *at, "--input-topic", place.topic]) == 0
        asyncio.run(read_finals(place))
    checking = [sys.executable, "-m", "tests.kafka.light_worker", "verify", *flags(place, address)]
    done = run(checking, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert main(["dlq", "list", *letters]) == 0
    assert main(["dlq", "replay", *letters, "--group", place.group]) == 0


@pytest.mark.parametrize("by", ["PLAIN", "certificate"])
def test_other_ways_in_for_both_kinds_of_client(
    secure: SecureKafka, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka sends, librdkafka reads."""
    address, given = secure.login, login_of(secure, tmp_path) | {"HEARKEN_SASL_MECHANISM": by}
    if by == "certificate":
        address = secure.mutual
        given = {name: value for name, value in given.items() if "SASL" not in name} | {
            "HEARKEN_SECURITY_PROTOCOL": "SSL",
            "HEARKEN_SSL_CERTFILE": str(secure.folder / "worker.pem"),
            "HEARKEN_SSL_KEYFILE": str(secure.folder / "worker.key"),
        }
    set_all(monkeypatch, given)
    count, name = write_recording(tmp_path / "recording.jsonl"), f"by-{by}-{uuid.uuid4().hex[:8]}"
    asyncio.run(Place(secure.plain, name).make_topics(name))
    assert main(["replay", str(tmp_path / "recording.jsonl"), "--broker", address, "--input-topic", name]) == 0
    assert sum(topic.find_ends(address, name).values()) == count


async def test_the_demonstrations_own_clients_log_in_too(
    secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, login_of(secure, tmp_path))
    async with open_clients(secure.login) as rig:
        await rig.producer.send_and_wait(rig.settings.topics.output, b"seen")
        assert [record.value for record in await take(rig.consumer, 1)] == [b"seen"]


WRONGS = {
    "password": ({"HEARKEN_SASL_PASSWORD": WRONG}, "refuses the name and password: HEARKEN_SASL_USERNAME"),
    "user": ({"HEARKEN_SASL_USERNAME": "nobody"}, "refuses the name and password: HEARKEN_SASL_USERNAME"),
    "authority": ({"HEARKEN_SSL_CAFILE": "stranger.pem"}, "HEARKEN_SSL_CAFILE must hold the authority"),
    "mechanism": ({"HEARKEN_SASL_MECHANISM": "SCRAM-SHA-256"}, "does not take SCRAM-SHA-256 at this port"),
    "name": ({"address": "127.0.0.1"}, "is for another name"),
    "no certificate": ({"HEARKEN_SECURITY_PROTOCOL": "SSL"}, "HEARKEN_SSL_CERTFILE"),
}


def spoil(wrong: str, secure: SecureKafka, folder: Path) -> tuple[str, dict[str, str]]:
    """Right settings and an address, but for one thing."""
    address, given = secure.login, login_of(secure, folder)
    change = dict(WRONGS[wrong][0])
    if "HEARKEN_SASL_PASSWORD" in change:
        del given["HEARKEN_SASL_PASSWORD_FILE"]
    if wrong == "no certificate":
        address, given = secure.mutual, {x: y for x, y in given.items() if "SASL" not in x}
    if "HEARKEN_SSL_CAFILE" in change:
        change["HEARKEN_SSL_CAFILE"] = str(secure.folder / change["HEARKEN_SSL_CAFILE"])
    return address.replace("localhost", change.pop("address", "localhost")), given | change


@pytest.mark.parametrize("wrong", WRONGS)
def test_who_is_not_let_in_is_told_what_to_set(
    secure: SecureKafka,
    wrong: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without waiting as for a broker that is not there; and no password is in what is said."""
    address, given = spoil(wrong, secure, tmp_path)
    set_all(monkeypatch, given)
    write_recording(tmp_path / "recording.jsonl")
    assert main(["replay", str(tmp_path / "recording.jsonl"), "--broker", address, "--connect-seconds", "60"]) == 1
    told = capsys.readouterr().err
    last = told.splitlines()[-1]
    assert last.startswith(f"hearken: {address}: ")
    assert WRONGS[wrong][1] in last
    assert WRONG not in told
    assert PASSWORD not in told


def test_a_service_that_is_not_let_in_ends(
    secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address, given = spoil("password", secure, tmp_path)
    place = Place(secure.plain, f"secure-{uuid.uuid4().hex[:8]}")
    command = [sys.executable, "-m", "tests.kafka.light_worker", "serve", *flags(place, address)]
    environment = os.environ | given | {"HEARKEN_HTTP_PORT": "off", "HEARKEN_CONNECT_SECONDS": "60"}
    done = run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"hearken: {address}: the broker refuses the name and password")
    assert WRONG not in done.stderr
    set_all(monkeypatch, given)
    monkeypatch.setattr(topic, "PATIENCE", 2.0)
    capsys.readouterr()
    with pytest.raises(topic.AccessRefused, match="HEARKEN_SASL_PASSWORD"):
        topic.find_ends(address, place.topic)


@pytest.mark.parametrize("ours", ["PLAINTEXT", "SASL_SSL"])
def test_two_that_speak_different_protocols_cannot_know_it_but_the_setting_is_named(
    secure: SecureKafka,
    ours: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = secure.login
    if ours != "PLAINTEXT":
        address = secure.plain
        set_all(monkeypatch, login_of(secure, tmp_path))
    write_recording(tmp_path / "recording.jsonl")
    command = ["replay", str(tmp_path / "recording.jsonl"), "--broker", address, "--connect-seconds", "1"]
    assert main(command) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    said = f"hearken: no broker answers at {address} (waited 1 s; we speak {ours} (HEARKEN_SECURITY_PROTOCOL)): "
    assert last.startswith(said)
