"""The live page (docs/viewer.md) and what feeds it: the WebSocket `/v1/live`.

Text and markup never meet: texts and names are sent as JSON, the page sets them as text only, and the content policy
allows no script, style or address but the page's own files.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from consumers.http.live.model import LiveModel
from consumers.http.live.rates import RateMeter
from consumers.http.live.static_files import page_routes
from consumers.http.live.subscriber import Subscriber, encode_frame
from stream.sessions.stats import EngineStats

if TYPE_CHECKING:
    from consumers.kafka.service.service import Service

FRAME_SECONDS = 1.0
"""Between two frames of figures."""

Lag = Callable[[], tuple[int | None, float | None]]
"""Says how many records wait in the topic, and how old the last one taken was; None where nobody knows."""


class WatchRequest(msgspec.Struct, frozen=True, tag="watch"):
    """The one thing that a page says: which session it shows."""

    session: str | None


def live_routes(live: LiveModel, stats: EngineStats, service: "Service | None") -> list[BaseRoute]:
    """Return the routes of `/`, of its files, and of the feed."""
    return [*page_routes(), feed_route(live, RateMeter(stats), lambda: _lag_of(service))]


def feed_route(live: LiveModel, figures: RateMeter, lag: Lag) -> BaseRoute:
    """The WebSocket that feeds a page."""

    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        watcher = live.subscribe()
        jobs = _listen(socket, watcher), _speak(socket, watcher, live, figures, lag)
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            live.unsubscribe(watcher)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(results[0], _BadFrame):
            with suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(1003, "not understood")
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | _BadFrame):
                raise result

    return WebSocketRoute("/v1/live", feed)


class _BadFrame(Exception):
    """A frame that is no `WatchRequest`."""


async def _listen(socket: WebSocket, watcher: Subscriber) -> None:
    """What the page says."""
    while True:
        try:
            said = msgspec.json.decode(await socket.receive_text(), type=WatchRequest)
        except (msgspec.DecodeError, KeyError) as error:  # starlette's way to say that a frame is binary
            raise _BadFrame from error
        watcher.watch(said.session)


async def _speak(socket: WebSocket, watcher: Subscriber, live: LiveModel, figures: RateMeter, lag: Lag) -> None:
    """What the page is told: frames of its session as they come, figures and the list of sessions once a second."""
    due, version = 0.0, -1
    while True:
        for frame in await watcher.take(due - time.monotonic()):
            await socket.send_text(frame)
        if time.monotonic() >= due:
            due = time.monotonic() + FRAME_SECONDS
            await socket.send_text(encode_frame(_stats_frame(live, figures, lag)))
            if version != live.version:
                version = live.version
                await socket.send_text(encode_frame({"type": "sessions", "sessions": live.sessions()}))


def _stats_frame(live: LiveModel, figures: RateMeter, lag: Lag) -> dict[str, Any]:
    messages, seconds = lag()
    labels = {tagger: list(x) for tagger, x in live.labels.items()}
    return {
        "type": "stats",
        "time": round(time.time(), 3),
        **figures.look(),
        "lag_messages": messages,
        "lag_seconds": seconds,
        "sessions": live.open_count,
        "taggers": list(labels),
        "labels": labels,
    }


def _lag_of(service: "Service | None") -> tuple[int | None, float | None]:
    """Of all partitions together, and of the one that is furthest behind."""
    lags = service.lags() if service else []
    ages = [lag.seconds for lag in lags if lag.seconds is not None]
    return sum(lag.messages for lag in lags) if lags else None, round(max(ages), 3) if ages else None
