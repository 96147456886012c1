"""Sources of labels for tests: they find Anna and Rome, take their time, and fail when told to."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from hearken.messages import Revision, Span, Update
from hearken.voice.label_source import Deliver

NAMES = {"anna": "person", "rome": "place"}
COVERED = re.compile(r"\b(anna|rome)\b", re.IGNORECASE)


def cover(text: str) -> str:
    """What the fake source redacts a text to."""
    return COVERED.sub(lambda found: f"[{NAMES[found[0].lower()]}]", text)


@dataclass
class FakeSource:
    sent: list[Update] = field(default_factory=list)
    redacted: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Time that labels and redactions take."""
    fails: Callable[[], Exception | None] = lambda: None
    hold: asyncio.Event | None = None
    """Awaited before every answer."""
    closed: int = 0

    opened: int = 0

    async def open(self) -> None:
        self.opened += 1

    async def _wait(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        await asyncio.sleep(self.seconds)
        if error := self.fails():
            raise error

    async def send(self, message: Update, deliver: Deliver) -> None:
        self.sent.append(message)
        await self._wait()
        spans = tuple(
            Span(id=x.start(), start=x.start(), end=x.end(), label=NAMES[x[0].lower()], text=x[0], stability=1.0)
            for x in COVERED.finditer(message.text)
        )
        await deliver(
            Revision(
                tagger="ner",
                session=message.session,
                segment=message.segment,
                rev=len(self.sent),
                offset=len(self.sent) - 1,
                final=message.final,
                spans=spans,
            )
        )

    async def redact(self, text: str) -> str:
        self.redacted.append(text)
        await self._wait()
        return cover(text)

    async def flush(self) -> None: ...

    async def end(self, session: str) -> None:
        self.ended.append(session)

    async def close(self) -> None:
        self.closed += 1
