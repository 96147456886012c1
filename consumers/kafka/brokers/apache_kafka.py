"""A one-node Apache Kafka (KRaft) started from its jars: for tests, and for demonstrations without Docker.

`make kafka` fetches the jars; they need Java 17 or newer. The broker never outlives the process that started it.
"""

import base64
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from consumers.common.errors import OperationFailed
from consumers.kafka.brokers.apache_kafka_config import JVM, PROPERTIES, WATCHED

CACHE = Path(__file__).resolve().parents[3] / ".cache" / "kafka"
OLDEST_JAVA = 17
START_SECONDS = 90.0
STOP_SECONDS = 20.0

_PORTS = range(20_000, 32_000)
"""Below the range of ephemeral ports: an outgoing connection could otherwise take the port while the broker is down,
and a client that connects to a closed local port could even be connected to itself.
"""


def find_java() -> Path | None:
    """Return Java 17 or newer from `JAVA_HOME` or the path; None if there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    java = found or shutil.which("java")
    if java is None:
        return None
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', output)
    return Path(java) if match and int(match[1]) >= OLDEST_JAVA else None


def find_jars() -> Path | None:
    """Return the folder with Kafka's jars: `HEARKEN_KAFKA_JARS`, or the newest of `make kafka`; None if missing."""
    given = os.environ.get("HEARKEN_KAFKA_JARS")
    folders = [Path(given)] if given else sorted(CACHE.glob("[0-9]*"), key=_version, reverse=True)
    return next((folder.resolve() for folder in folders if any(folder.glob("kafka_2.13-*.jar"))), None)


def find_missing() -> str | None:
    """Return one line that says what Apache Kafka needs to run here; None if nothing is missing."""
    if find_java() is None:
        return f"Java {OLDEST_JAVA} or newer is missing (set JAVA_HOME, or apt install default-jre-headless)"
    if find_jars() is None:
        return "its jars are missing (make kafka fetches them with Maven)"
    return None


class ApacheKafka:
    """A broker that can be killed and started again with the same data and ports. All calls block.

    Args:
        libs: the folder with Kafka's jars.
        folder: for its data and log; created if missing.
        partitions: of automatically created topics.
        ephemeral: remove the folder at `stop`, and also if this process is killed.
        properties: additional configuration lines, which take precedence; {port} and {controller} are replaced.
        format_options: additional arguments of the storage formatting tool (such as users with passwords).

    Attributes:
        address: HOST:PORT for clients.
        log: log file of the broker.
    """

    def __init__(
        self,
        libs: Path,
        folder: Path,
        *,
        partitions: int = 4,
        ephemeral: bool = False,
        properties: str = "",
        format_options: Sequence[str] = (),
    ) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "broker.log"
        self._libs = libs
        self._partitions = partitions
        self._ephemeral = ephemeral
        self._properties = properties
        self._format_options = format_options
        self._port, self._controller = free_ports(2)
        self.address = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._java: Path | None = None

    def start(self) -> None:
        """Start the broker; returns when it answers and every existing partition has a leader.

        Raises:
            OperationFailed: there is no Java, or the broker did not start.
        """
        assert self._process is None, "the broker is already running"
        self._java = self._java or find_java()
        if self._java is None:
            raise OperationFailed(f"Apache Kafka needs Java {OLDEST_JAVA} or newer; set JAVA_HOME")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.properties"
        if not config.exists():
            self._format(config)
        with self.log.open("ab") as log:
            watched = ["sh", "-c", WATCHED, str(self.folder) if self._ephemeral else ""]
            self._process = subprocess.Popen(
                [*watched, *self._command("kafka.Kafka"), str(config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C must reach this process only, which stops the broker itself
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the broker (SIGKILL) as a power failure would; its data stay. No effect if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._reap(self._process)

    def stop(self) -> None:
        """Stop the broker, by force after `STOP_SECONDS`. No effect if it is not running."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self.kill()
        if self._ephemeral:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Process id while the broker runs: for tests that suspend it."""
        return self._process.pid if self._process else None

    def _reap(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        process.communicate(b"done\n")  # ends the watchdog
        self._process = None

    def _format(self, config: Path) -> None:
        text = (PROPERTIES + self._properties).format(
            port=self._port, controller=self._controller, data=self.folder / "data", partitions=self._partitions
        )
        draft = config.with_suffix(".draft")
        draft.write_text(text)
        (self.folder / "tmp").mkdir(exist_ok=True)
        cluster = base64.urlsafe_b64encode(random.randbytes(16)).decode().rstrip("=")
        # A cluster id that begins with "-" would be parsed as an option.
        command = [*self._command("kafka.tools.StorageTool"), "format", "-t", "H" + cluster[1:], "-c", str(draft)]
        command += self._format_options
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode:
            raise OperationFailed(
                f"Apache Kafka's storage could not be formatted: {(done.stdout + done.stderr).strip()}"
            )
        draft.rename(config)

    def _command(self, main: str) -> list[str]:
        temporary = f"-Djava.io.tmpdir={self.folder / 'tmp'}"
        return [str(self._java), *JVM, temporary, "-cp", f"{self._libs.resolve()}/*", main]

    def _wait(self) -> None:
        """Wait until the broker answers and all partitions have leaders."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._process.poll() is not None:
                raise OperationFailed(f"Apache Kafka ended with {self._process.returncode}: {self._tail()}")
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise OperationFailed(f"Apache Kafka did not answer within {START_SECONDS:g} s: {self._tail()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", self._port)):
                return False
        try:
            found = AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=2)
        except KafkaException:
            return False
        partitions = [p for topic in found.topics.values() for p in topic.partitions.values()]
        return bool(found.brokers) and all(p.leader >= 0 for p in partitions)

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return f"the end of {self.log}:\n" + "\n".join(lines[-20:])


@contextmanager
def apache_kafka(*, partitions: int = 4) -> Iterator[ApacheKafka]:
    """Run a broker with empty storage for the block; removes all its files.

    Raises:
        OperationFailed: Apache Kafka cannot run here, or did not start.
    """
    missing = find_missing()
    libs = find_jars()
    if missing or libs is None:
        raise OperationFailed(f"Apache Kafka cannot run: {missing}")
    folder = Path(tempfile.mkdtemp(prefix="hearken-kafka-"))
    broker = ApacheKafka(libs, folder, partitions=partitions, ephemeral=True)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def free_ports(count: int) -> list[int]:
    """Return unused ports on loopback.

    Raises:
        OperationFailed: there are not enough.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        if len(found) == count:
            return found
    raise OperationFailed(f"there are fewer than {count} free ports between {_PORTS.start} and {_PORTS.stop}")


def _version(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.name)]
