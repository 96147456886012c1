"""`hearken serve` as a process pinned to a core of its own, with its metrics and its resource usage."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from consumers.common.errors import OperationFailed
from consumers.kafka.brokers.apache_kafka import free_ports

SERVE = (sys.executable, "-m", "consumers.cli.main", "serve")
ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0
STOP_SECONDS = 60.0

Sample = tuple[str, tuple[tuple[str, str], ...]]
"""A series: its name and its labels, sorted."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Assignment of cores. Without a second core, service, broker, sender and reader share one."""

    service: int | None
    others: frozenset[int]

    @classmethod
    def divide(cls) -> "Cores":
        """Give the last available core to the service, the others to broker, sender and reader."""
        ours = sorted(os.sched_getaffinity(0))
        return cls(ours[-1], frozenset(ours[:-1])) if len(ours) > 1 else cls(None, frozenset(ours))


@dataclass(slots=True)
class Usage:
    """Resource usage of the process so far."""

    at: float
    cpu: float
    """Seconds of processor time, of all threads."""
    threads: dict[int, float]
    """Processor time by thread; the lowest id is the event loop's."""
    resident: int
    """Bytes."""
    core: float
    """Seconds that its core was busy, for any process; 0 where it has no core of its own."""


@dataclass(slots=True)
class MetricsReading:
    """One reading of /metrics."""

    values: dict[Sample, float] = field(default_factory=dict)

    def get(self, name: str, **labels: str) -> float:
        """Return one series; 0 if there is none."""
        return self.values.get((name, tuple(sorted(labels.items()))), 0.0)

    def since(self, before: "MetricsReading") -> "MetricsReading":
        """Return the difference to an earlier reading."""
        return MetricsReading({name: value - before.values.get(name, 0.0) for name, value in self.values.items()})


class ServiceProcess:
    """A running service.

    Args:
        process: of the service.
        port: of its HTTP server.
        core: that it is pinned to, if any.
        log: file with its standard error.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, core: int | None, log: Path) -> None:
        self._process = process
        self._port = port
        self._core = core
        self._log = log

    def wait(self) -> None:
        """Wait until it is ready.

        Raises:
            OperationFailed: it ended, or did not become ready in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None:
                raise OperationFailed(f"the service ended with {self._process.returncode}: {self._log_tail()}")
            if time.monotonic() > deadline:
                raise OperationFailed(f"the service was not ready in {READY_SECONDS:g} s: {self._log_tail()}")
            time.sleep(0.1)

    def metrics(self) -> MetricsReading:
        """Read its metrics."""
        read = MetricsReading()
        for family in text_string_to_metric_families(self._get("/metrics")[1]):
            for sample in family.samples:
                read.values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        return read

    def usage(self) -> Usage:
        """Read its resource usage."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        threads = {}
        for task in sorted(tasks.iterdir(), key=lambda x: int(x.name)):
            with suppress(OSError):  # it may end meanwhile
                threads[int(task.name)] = _cpu_seconds(task / "stat")
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        cpu = _cpu_seconds(Path(f"/proc/{self._process.pid}/stat"))
        return Usage(time.monotonic(), cpu, threads, pages * os.sysconf("SC_PAGE_SIZE"), _busy_seconds(self._core))

    def stop(self) -> None:
        """Stop it by SIGTERM.

        Raises:
            OperationFailed: it had to be killed or ended with an error.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code:
            raise OperationFailed(f"the service ended with {code}: {self._log_tail()}")

    def kill(self) -> None:
        """Kill it if it is running."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return self._get("/readyz")[0] == 200
        except (OSError, HTTPException):
            return False

    def _get(self, path: str) -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def _log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])


@contextmanager
def running_service(
    flags: Sequence[str], cores: Cores, folder: Path, command: Sequence[str] = SERVE
) -> Iterator[ServiceProcess]:
    """Run the service inside the block, pinned to its core.

    Raises:
        OperationFailed: it did not become ready, or did not stop cleanly.
    """
    (port,) = free_ports(1)
    log = folder / "service.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEARKEN_HTTP")}
    environment |= {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ours = os.sched_getaffinity(0)
    with log.open("wb") as out:
        if cores.service is not None:
            os.sched_setaffinity(0, {cores.service})  # inherited by the child
        try:
            process = subprocess.Popen(
                [*command, *flags, "--http-port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
            )
        finally:
            os.sched_setaffinity(0, ours)
    served = ServiceProcess(process, port, cores.service, log)
    try:
        served.wait()
        yield served
        served.stop()
    finally:
        served.kill()


def _cpu_seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _busy_seconds(core: int | None) -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if core is not None and name == f"cpu{core}":
            user, nice, system, _, _, *more = map(int, ticks[:8])  # not what it was idle, or waited for a disk
            return (user + nice + system + sum(more)) / os.sysconf("SC_CLK_TCK")
    return 0.0
