"""Routes of the live page (docs/viewer.md) and its feed, the WebSocket `/v1/live`.

Texts and names are sent as JSON, the page inserts them as text only, and the content security policy allows no script,
style or address except the page's own files.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from consumers.formats.decode import BadInput, decode_json
from consumers.http.guard.websocket_protocol import TOO_LARGE
from consumers.http.live.model import LiveModel
from consumers.http.live.queue import QueueRequest
from consumers.http.live.rates import RateMeter
from consumers.http.live.static_files import page_routes
from consumers.http.live.subscriber import Subscriber, encode_frame
from stream.sessions.stats import EngineStats

if TYPE_CHECKING:
    from consumers.kafka.service.service import Service

STATS_SECONDS = 1.0
"""Interval of the statistics frames."""


class WatchRequest(msgspec.Struct, frozen=True, tag="watch"):
    """The frame by which a page says which session it shows."""

    session: str | None


def live_routes(live: LiveModel, stats: EngineStats, service: "Service | None") -> list[BaseRoute]:
    """Return the routes of the page, its files and its feed."""
    rates = RateMeter(stats)

    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        subscriber = live.subscribe()
        jobs = _receive_frames(socket, subscriber), _send_frames(socket, subscriber, live, rates, service)
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            live.unsubscribe(subscriber)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                raise result

    return [*page_routes(), WebSocketRoute("/v1/live", feed)]


async def _receive_frames(socket: WebSocket, subscriber: Subscriber) -> None:
    """Handle the frames that the page sends; one that is no request is answered, and the next one is read."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        try:
            if message.get(TOO_LARGE):
                raise BadInput("too_large", "this frame was skipped")
            text = message.get("text")
            value = message["bytes"] if text is None else text.encode("utf-8", "surrogatepass")
            request = decode_json(value, _REQUEST_DECODER)
            if isinstance(request, QueueRequest):
                subscriber.watch_queue(request)
            else:
                subscriber.watch(request.session)
        except BadInput as error:
            await socket.send_text(encode_frame({"type": "error", "reason": error.reason, "detail": error.detail}))
        await asyncio.sleep(0)  # others have their turn between two frames that arrived together


_REQUEST_DECODER: msgspec.json.Decoder[WatchRequest | QueueRequest] = msgspec.json.Decoder(WatchRequest | QueueRequest)


async def _send_frames(
    socket: WebSocket, subscriber: Subscriber, live: LiveModel, rates: RateMeter, service: "Service | None"
) -> None:
    """Send frames of the watched session as they come, and statistics and the session list once a second."""
    due, version = 0.0, -1
    while True:
        for frame in await subscriber.next_frames(due - time.monotonic()):
            await socket.send_text(frame)
        if time.monotonic() >= due:
            due = time.monotonic() + STATS_SECONDS
            await socket.send_text(encode_frame(_stats_frame(live, rates, service)))
            if version != live.version:
                version = live.version
                await socket.send_text(encode_frame({"type": "sessions", "sessions": live.sessions()}))


def _stats_frame(live: LiveModel, rates: RateMeter, service: "Service | None") -> dict[str, Any]:
    messages, seconds = _total_lag(service)
    labels = {tagger: list(x) for tagger, x in live.labels.items()}
    return {
        "type": "stats",
        "time": round(time.time(), 3),
        **rates.read(),
        "lag_messages": messages,
        "lag_seconds": seconds,
        "sessions": live.open_count,
        "taggers": list(labels),
        "labels": labels,
        "score_thresholds": live.thresholds,
    }


def _total_lag(service: "Service | None") -> tuple[int | None, float | None]:
    """Waiting records of all partitions, and the largest lag in seconds."""
    lags = service.lags() if service else []
    ages = [lag.seconds for lag in lags if lag.seconds is not None]
    return sum(lag.messages for lag in lags) if lags else None, round(max(ages), 3) if ages else None
