"""More sockets than the service has capacity for: how long updates wait, and whether the newest text is labelled."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from benchmarks.fairness.client import Answer, StreamSocket, connect
from benchmarks.harness.progress import ReportProgress
from consumers.common.errors import OperationFailed
from stream.messages.types import Update

NAMES = [
    "anna",
    "robert",
    "maria",
    "peter",
    "susan",
    "james",
    "linda",
    "david",
    "karen",
    "thomas",
    "nancy",
    "daniel",
    "betty",
    "steven",
    "helen",
    "mark",
]


INTERIMS = 19


"""Updates of a segment before its final one, as recognisers send them."""


UPDATES_A_NAME = 4


"""Updates after which a segment's text is a name longer; in between its last name changes."""


TARGET_P99 = 2.0


class Overload(msgspec.Struct):
    """Many sockets that send more updates than are labelled.

    Times are seconds from sending a text until a revision of it, or of a newer text of its segment, is here.
    """

    sockets: int
    seconds: float
    capacity: float
    """Updates a second that all sockets together get answered while each waits for its answer."""
    sent: float
    """Updates a second that were sent."""
    median: float
    p99: float
    most: float
    finals: int
    """Closed segments."""
    wrong_finals: int
    """Of them, those whose final revision is missing, or is not that of the text that closed them."""


@dataclass(eq=False)
class Speaker:
    """One socket with one live segment at a time, whose last name changes with each update."""

    number: int
    waits: list[float] = field(default_factory=list)
    finals: dict[str, str] = field(default_factory=dict)
    """Closing text by segment."""
    found: dict[str, list[str]] = field(default_factory=dict)
    """Texts of the spans of the final revision, by segment."""
    socket: StreamSocket | None = None
    refused: str = ""
    """The last error."""
    _waiting: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    _segment: int = 0
    _updates: int = 0
    _names: list[str] = field(default_factory=list)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self) -> None:
        """Send the next update."""
        assert self.socket is not None
        name = NAMES[(self.number + self._segment + self._updates * 5) % len(NAMES)]
        if self._updates % UPDATES_A_NAME:
            self._names.pop()
        self._names.append(name)
        text, final = "we met " + " and then ".join(self._names), self._updates >= INTERIMS
        self._updates += 1
        name = str(self._segment)
        frame = self.socket.send(Update(session="live", segment=name, text=text, final=final))
        self._waiting.setdefault(name, []).append((frame, time.perf_counter()))
        if final:
            self.finals[name] = text
            self._segment += 1
            self._names, self._updates = [], 0

    async def converse(self, until: float) -> int:
        """Send an update whenever the one before is answered; returns their number."""
        count = 0
        while time.perf_counter() < until:
            self._answered.clear()
            self.send()
            with suppress(TimeoutError):  # it may have changed no span
                async with asyncio.timeout(2.0):
                    await self._answered.wait()
            count += 1
        return count

    def take(self, answer: Answer) -> None:
        """Take a revision: it answers all updates of its segment up to its offset."""
        now = time.perf_counter()
        if answer.type != "revision":
            self.refused = f"{answer.reason} {answer.detail}"
            return
        waiting = self._waiting.get(answer.segment, [])
        answered = [x for x in waiting if x[0] <= answer.offset]
        self.waits += [now - at for _, at in answered]
        self._waiting[answer.segment] = waiting[len(answered) :]
        if answer.final:
            self._waiting.pop(answer.segment, None)
            self.found.setdefault(answer.segment, []).extend(str(x["text"]) for x in answer.spans)
        self._answered.set()

    def close(self) -> None:
        """Close the socket.

        Raises:
            OperationFailed: an update was refused, or the service has closed the connection.
        """
        assert self.socket is not None
        if self.refused or self.socket.closed:
            raise OperationFailed(f"socket {self.number}: {self.refused or 'the service has closed the connection'}")
        self.socket.close()

    @property
    def wrong_finals(self) -> int:
        """Closed segments whose final revision is missing, or has no span from the last name on."""
        return sum(
            segment not in self.found or not any(text.endswith(x) for x in self.found[segment])
            for segment, text in self.finals.items()
        )


async def run_overload(port: int, sockets: int, load: float, seconds: float, progress: ReportProgress) -> Overload:
    """Measure the capacity of so many sockets, then send `load` times as much for `seconds`."""
    speakers = [Speaker(number) for number in range(sockets)]
    for speaker in speakers:
        speaker.socket = await connect(port, speaker.take)
    until = time.perf_counter() + 2.0
    await asyncio.gather(*(x.converse(until) for x in speakers))
    began = time.perf_counter()
    until = began + min(10.0, seconds)
    counts = await asyncio.gather(*(x.converse(until) for x in speakers))
    capacity = sum(counts) / (time.perf_counter() - began)
    progress(f"{capacity:.0f} updates/s are labelled; {load:g} times as many are sent", 0.9)
    for speaker in speakers:
        speaker.waits.clear()
    sent, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        due = int((now - began) * capacity * load)
        while sent < due:
            speakers[sent % sockets].send()
            sent += 1
        await asyncio.sleep(0.002)
    duration = time.perf_counter() - began
    until = time.perf_counter() + 60.0
    while time.perf_counter() < until and any(x.finals.keys() - x.found.keys() for x in speakers):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    for speaker in speakers:
        speaker.close()
    waits = [x for speaker in speakers for x in speaker.waits]
    return Overload(
        sockets,
        seconds,
        capacity,
        sent / duration,
        percentile(waits, 50),
        percentile(waits, 99),
        max(waits),
        sum(len(x.finals) for x in speakers),
        sum(x.wrong_finals for x in speakers),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value that `percent` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
