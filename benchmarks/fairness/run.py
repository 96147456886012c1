"""`python -m benchmarks fairness`: a few words behind long texts, and 200 sockets beyond capacity, over WebSockets."""

import asyncio
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from benchmarks.fairness.client import Answer, connect
from benchmarks.fairness.overload import NAMES, Overload, percentile, run_overload
from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table, format_number, format_ratio, make_table
from consumers.common.errors import OperationFailed
from consumers.kafka.brokers.apache_kafka import free_ports
from stream.messages.types import Update

PAUSE_SECONDS = 0.02


"""Between two updates of the caller whose waiting is measured."""


TARGET_RATIO = 5.0


_READY_SECONDS = 120.0


class Wait(msgspec.Struct):
    """How long the updates of one caller waited, in seconds, while another had something long to label."""

    behind: str
    usual_median: float
    usual_p99: float
    median: float
    p99: float
    most: float
    seconds: float
    """Duration of the long work."""

    @property
    def ratio(self) -> float:
        """Median waiting time, compared with the usual one."""
        return self.median / self.usual_median


class FairnessReport(msgspec.Struct):
    """Result of the bench."""

    waits: list[Wait]
    overload: Overload | None


def run_fairness(
    taggers: Sequence[str], sockets: int, load: float, seconds: float, progress: ReportProgress, quick: bool = False
) -> FairnessReport:
    """Start `hearken listen` and measure.

    Args:
        taggers: of the service.
        sockets: that send updates beyond capacity.
        load: updates sent, as a multiple of the capacity.
        seconds: duration of that.
        progress: told of each part.
        quick: short texts, to see that it works.

    Raises:
        OperationFailed: the service does not start, or ended.
    """
    return asyncio.run(_run(taggers, sockets, load, seconds, progress, quick))


def fairness_tables(report: FairnessReport) -> list[Table]:
    """Lay out a report."""
    waits = make_table(
        "Four words of one caller behind another caller's long texts (ms)",
        report.waits,
        {
            "behind": lambda x: x.behind,
            "usual median": lambda x: format_number(1000 * x.usual_median),
            "usual p99": lambda x: format_number(1000 * x.usual_p99),
            "median": lambda x: format_number(1000 * x.median),
            "p99": lambda x: format_number(1000 * x.p99),
            "most": lambda x: format_number(1000 * x.most),
            "of usual": lambda x: format_ratio(x.ratio),
            "long work (s)": lambda x: format_number(x.seconds),
        },
    )
    tables = [waits]
    if report.overload is not None:
        title = f"{report.overload.sockets} sockets beyond capacity for {report.overload.seconds:g} s"
        columns: dict[str, Callable[[Overload], str]] = {
            "capacity (updates/s)": lambda x: format_number(x.capacity),
            "sent (updates/s)": lambda x: format_number(x.sent),
            "median (s)": lambda x: format_number(x.median),
            "p99 (s)": lambda x: format_number(x.p99),
            "most (s)": lambda x: format_number(x.most),
            "closed segments": lambda x: format_number(x.finals),
            "not the newest text": lambda x: format_number(x.wrong_finals),
        }
        tables.append(make_table(title, [report.overload], columns, left=0))
    return tables


async def _run(
    taggers: Sequence[str], sockets: int, load: float, seconds: float, progress: ReportProgress, quick: bool
) -> FairnessReport:
    async with _listening(taggers) as port:
        waits = []
        victim = _Victim(port, len(taggers))
        await victim.start()
        await victim.measure(asyncio.sleep(3.0))  # kernels are compiled or loaded
        works = _long_works(port, len(taggers), quick)
        for number, (name, work) in enumerate(works):
            progress(name, number / (len(works) + 1))
            await work()  # once unmeasured: kernels of long texts are compiled or loaded
            usual = await victim.measure(asyncio.sleep(1.0 if quick else 5.0))
            began = time.perf_counter()
            behind = await victim.measure(work())
            duration = time.perf_counter() - began
            waits.append(
                Wait(
                    name,
                    percentile(usual, 50),
                    percentile(usual, 99),
                    percentile(behind, 50),
                    percentile(behind, 99),
                    max(behind),
                    duration,
                )
            )
        await victim.stop()
        overload = await run_overload(port, sockets, load, seconds, progress) if sockets else None
    return FairnessReport(waits, overload)


@asynccontextmanager
async def _listening(taggers: Sequence[str]) -> AsyncIterator[int]:
    """Run `hearken listen` inside the block; yields its port."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "consumers.cli.main", "listen", "--http-port", str(port)]
    command += ["--stability", "low"]  # every update whose labels change is answered at once
    command += [x for tagger in taggers for x in ("--tagger", tagger)]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _READY_SECONDS
        while not await asyncio.to_thread(_is_ready, port):
            if process.returncode is not None or time.monotonic() > until:
                raise OperationFailed("`hearken listen` does not start: try it by hand")
            await asyncio.sleep(0.2)
        yield port
        if process.returncode is not None:
            raise OperationFailed("`hearken listen` has ended")
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _is_ready(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


class _Victim:
    """A caller with four words at a time; it measures how long each waits for the revisions of all taggers."""

    def __init__(self, port: int, taggers: int) -> None:
        self._port = port
        self._taggers = taggers
        self._waits: list[float] = []
        self._missing = 0
        self._answered = asyncio.Event()

    async def start(self) -> None:
        self._socket = await connect(self._port, self._take)
        self._speaking = asyncio.create_task(self._speak())

    async def measure(self, meanwhile: Awaitable[object]) -> list[float]:
        """Return the waiting times of the updates that were answered while something else went on."""
        first = len(self._waits)
        await meanwhile
        until = time.monotonic() + 60.0
        while len(self._waits) <= first and time.monotonic() < until and not self._speaking.done():  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)
        if self._speaking.done():
            await self._speaking
        return self._waits[first:]

    async def stop(self) -> None:
        self._speaking.cancel()
        self._socket.close()

    def _take(self, answer: Answer) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._answered.set()

    async def _speak(self) -> None:
        number = 0
        while True:
            self._missing = self._taggers
            self._answered.clear()
            began = time.perf_counter()
            name = NAMES[number % len(NAMES)]
            self._socket.send(Update(session="few", segment=str(number), text=f"we met {name} rice", final=True))
            async with asyncio.timeout(120):
                await self._answered.wait()
            self._waits.append(time.perf_counter() - began)
            number += 1
            await asyncio.sleep(PAUSE_SECONDS)


def _long_works(port: int, taggers: int, quick: bool) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    size = 5_000 if quick else 60_000

    def stream(*texts: str, sessions: int = 1) -> Callable[[], Awaitable[object]]:
        return lambda: _send_all(port, [(f"long{i % sessions}", text) for i, text in enumerate(texts)], taggers)

    def label(text: str) -> Callable[[], Awaitable[object]]:
        return lambda: asyncio.to_thread(_label, port, text)

    english, signs = "we met anna rice in rome ", "https://e.com/a/b-c_d?e=f&g "
    works = [
        (f"{size:,} characters of English", stream((english * size)[:size])),
        (f"{size:,} characters of Japanese", stream(("東京で会いました" * size)[:size])),
        (f"{size:,} characters of signs", stream((signs * size)[:size])),
        (f"{size // 3:,} characters in /v1/label", label((english * size)[: size // 3])),
        (
            f"100 texts of {size // 10:,} characters, 20 sessions",
            stream(*[(f"{i} " + english * size)[: size // 10] for i in range(100)], sessions=20),
        ),
    ]
    return works[:1] + works[3:4] if quick else works


async def _send_all(port: int, texts: Sequence[tuple[str, str]], taggers: int) -> None:
    """Send closed segments over one socket, and wait for all of their revisions."""
    missing, answered = len(texts) * taggers, asyncio.Event()

    def take(answer: Answer) -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            answered.set()

    socket = await connect(port, take)
    for number, (session, text) in enumerate(texts):
        socket.send(Update(session=session, segment=str(number), text=text, final=True))
    async with asyncio.timeout(600):
        await answered.wait()
    socket.close()


def _label(port: int, text: str) -> None:
    body = msgspec.json.encode({"text": text})
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/label", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()
