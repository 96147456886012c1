"""The description is true: schemathesis asks what it says can be asked, and nothing is answered that it does not say."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import BaseSchema, GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from starlette.routing import Route

from consumers.http.app import build_app
from consumers.http.openapi import describe
from consumers.http.server import bind, serving
from stream.messages import Delete, End, Update
from tests.consumers.http.desks import served
from tests.consumers.http.sites import TOKEN, make_context
from tests.consumers.http.sockets import connected

PATHS = [
    "/healthz",
    "/openapi.json",
    "/v1/label",
    "/v1/stream",
    "/v1alpha1/comments:analyze",
    "/v1/comments:analyze",
]
UNTOLD = {"/login", "/"}
"""For people: the page and its door."""


@contextlib.contextmanager
def site(*taggers: str, token: str | None = None) -> Iterator[str]:
    """A server on a socket, with its own loop in its own thread, as schemathesis asks without one."""
    started, addresses, stops = threading.Event(), [], []

    async def serve() -> None:
        stop = asyncio.Event()
        async with served(taggers=taggers) as here:
            context = make_context(worker=here.worker, desk=here.desk, token=token)
            at = bind(context.settings)
            assert at is not None
            async with serving(build_app(context), at, context.settings) as address:
                stops.append((asyncio.get_running_loop(), stop))
                addresses.append(address)
                started.set()
                await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(30)
        yield addresses[0]
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


@pytest.fixture(scope="module")
def api() -> Iterator[BaseSchema]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with site("moderation", "speech", token=TOKEN) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json", headers=headers)
        schema.config.headers = headers
        yield schema


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_as_described(api: BaseSchema, path: str, mode: GenerationMode) -> None:
    excluded = [ignored_auth]  # it does not know that the token is sent to all
    if path == "/v1/stream":
        excluded += [positive_data_acceptance, negative_data_rejection]  # it does not ask for a WebSocket
    for operation in api[path].values():

        @given(operation.as_strategy(mode))
        @settings(max_examples=10, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(excluded_checks=excluded)

        try:
            ask()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # it takes nothing, so nothing is wrong
