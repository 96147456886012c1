"""The description is true: schemathesis asks what it says can be asked, and is answered as it says."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import BaseSchema, GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from starlette.routing import Route

from consumers.http.api.gateway import Gateway
from consumers.http.app import build_app
from consumers.http.guard.auth import BATCH_PATHS, DISCOVERY_PATHS
from consumers.http.live.model import LiveModel
from consumers.http.live.static_files import page_routes
from consumers.http.server import bind_socket, serve_http
from stream.engine.worker import Worker
from stream.messages.types import Delete, End, Update
from tests.consumers.fakes import fake_engine
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, asking, describe_context, make_context
from tests.consumers.http.sockets import connected
from tests.waiting import PATIENCE

PATHS = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/$discovery/rest",
    "/v1/label",
    "/v1/redact",
    "/v1/stream",
    "/v1/ticket",
    "/v1alpha1/comments:analyze",
    "/v1alpha1/comments:suggestscore",
]
FOR_PEOPLE = {"/login", *(x.path for x in page_routes() if isinstance(x, Route))}
"""The page, its files and its door."""


@contextlib.contextmanager
def site(*taggers: str, token: str | None = None) -> Iterator[str]:
    """A server on a socket, with its own loop in its own thread, as schemathesis asks without one."""
    started, addresses, stops = threading.Event(), [], []

    async def serve() -> None:
        stop = asyncio.Event()
        async with served(taggers=taggers) as here:
            context = make_context(worker=here.worker, gateway=here.desk, token=token)
            at = bind_socket(context.settings)
            assert at is not None
            async with serve_http(build_app(context), at, context.settings) as address:
                stops.append((asyncio.get_running_loop(), stop))
                addresses.append(address)
                started.set()
                await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(PATIENCE)
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
    if path.endswith(":analyze"):
        # no schema says which text is English, and what is not is read as leniently as Google does
        excluded += [positive_data_acceptance, negative_data_rejection]
    for operation in api[path].values():

        @given(operation.as_strategy(mode))
        @settings(max_examples=10, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(excluded_checks=excluded)

        try:
            ask()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # it takes nothing, so nothing is wrong


def test_all_that_can_be_asked_is_described() -> None:
    worker = Worker(fake_engine(["ner"], "", coalesce=True))
    context = make_context(worker=worker, gateway=Gateway(worker), live=LiveModel())
    told = describe_context(context)["paths"]
    app = build_app(context)
    asked = {(x.path, method.lower()) for x in app.routes if isinstance(x, Route) for method in x.methods or ()}
    missing = {(path, method) for path, method in asked if method != "head" and method not in told.get(path, {})}
    assert {path for path, _ in missing} == FOR_PEOPLE
    assert set(told) == {*PATHS, "/v1/comments:analyze", "/v1/comments:suggestscore", *BATCH_PATHS, *DISCOVERY_PATHS}


def test_a_token_is_asked_for_where_there_is_one() -> None:
    told = describe_context(make_context(token=TOKEN))
    assert told["security"] == [{"token": []}, {"cookie": []}]
    assert {"key": []} in told["paths"]["/v1alpha1/comments:analyze"]["post"]["security"]
    assert told["paths"]["/healthz"]["get"]["security"] == []
    open_to_all = describe_context(make_context())
    assert open_to_all["security"] == open_to_all["paths"]["/v1/comments:analyze"]["post"]["security"] == []


@pytest.mark.parametrize(
    ("path", "headers", "content", "status"),
    [
        ("/v1/label", {}, b"", 401),
        ("/v1/label", {"origin": "https://elsewhere.example"}, b"", 403),
        ("/v1/label", {"authorization": f"Bearer {TOKEN}"}, b"", 400),
        ("/v1/label", {"authorization": f"Bearer {TOKEN}"}, b"x" * 1001, 413),
        ("/v1/label", {"authorization": f"Bearer {TOKEN}"}, b"{}", 422),
        ("/v1alpha1/comments:analyze", {}, b"", 401),
        ("/v1alpha1/comments:analyze", {"authorization": f"Bearer {TOKEN}"}, b"", 400),
        ("/v1alpha1/comments:analyze", {"authorization": f"Bearer {TOKEN}"}, b"x" * 1001, 413),
    ],
)
async def test_refusals_are_as_described(path: str, headers: dict[str, str], content: bytes, status: int) -> None:
    async with served(taggers=["moderation"]) as here:
        limits = {"max_body_bytes": 1000}
        context = make_context(worker=here.worker, gateway=here.desk, token=TOKEN, limits=limits)
        async with asking(context) as client:
            response = await client.post(path, headers=headers, content=content)
        assert response.status_code == status
        check(describe_context(context), response.json(), path, "post", str(status))


async def test_frames_of_a_stream_are_as_described() -> None:
    async with served() as here:
        context = make_context(worker=here.worker, gateway=here.desk)
        told = describe_context(context)
        frames = told["paths"]["/v1/stream"]["get"]["x-frames"]
        script = [
            Update(session="a", segment="u", text="we met anna", speaker="2", time=3.0),
            Delete(session="a", segment="other"),
            Update(session="a", segment="v", text="poison"),
            End(session="a"),
        ]
        async with connected(build_app(context), "/v1/stream") as socket:
            for message in script:
                validate(told, frames["client"], msgspec.to_builtins(message))
                await socket.send(msgspec.json.encode(message))
            await socket.send({"type": "end"})
            answers, _ = await socket.rest()
        assert {x["type"] for x in answers} == {"revision", "error"}
        for answer in answers:
            validate(told, frames["server"], answer)


def check(told: dict[str, Any], body: Any, path: str, method: str, status: str) -> None:
    content = told["paths"][path][method]["responses"][status]["content"]
    validate(told, content["application/json"]["schema"], body)


def validate(told: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": told["components"]}).validate(value)
