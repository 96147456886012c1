"""A desk over an engine without a model, as `hearken listen` has one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumers.http.api.gateway import Gateway
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.engine.worker import Worker
from tests.stream.fake_tagger import FakeLabeller
from tests.waiting import PATIENCE


@dataclass
class Served:
    worker: Worker
    desk: Gateway

    @property
    def engine(self) -> Engine:
        return self.worker.engine


@asynccontextmanager
async def served(
    labeller: FakeLabeller | None = None, *, taggers: Sequence[str] = ("fake",), in_flight: int = 256, **engine: object
) -> AsyncIterator[Served]:
    labeller = labeller or FakeLabeller(poison=["poison"], names=taggers)
    worker = Worker(Engine(labeller, Last(3), coalesce=True, **engine))  # type: ignore[arg-type]
    desk = Gateway(worker, in_flight=in_flight)
    reading = asyncio.create_task(read(worker, desk))
    try:
        yield Served(worker, desk)
    finally:
        await worker.close()
        await reading


async def read(worker: Worker, desk: Gateway) -> None:
    async for batch in worker.results():
        desk.on_step(batch)
    desk.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
