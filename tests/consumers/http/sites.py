"""Applications around the engine without a model, asked without a socket."""

from typing import Any

import httpx

from consumers.http.api.openapi import describe_api
from consumers.http.api.perspective import offered_attributes
from consumers.http.app import HttpContext, build_app
from consumers.http.settings import HttpSettings
from stream.engine.worker import Worker
from tests.consumers.fakes import fake_engine

TOKEN = "a-token-of-24-characters"


def make_context(
    *taggers: str, token: str | None = None, limits: dict[str, Any] | None = None, **parts: Any
) -> HttpContext:
    settings = HttpSettings(port=0, token=token, **(limits or {}))
    worker = parts.pop("worker", None) or Worker(fake_engine(taggers or ["ner"], "", coalesce=True))
    return HttpContext(settings=settings, worker=worker, **parts)


def asking(context: HttpContext, host: str = "localhost") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_app(context))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def describe_context(context: HttpContext) -> dict[str, Any]:
    engine = context.worker.engine
    offered = offered_attributes(engine.tagger_names, engine.labeller.text_scores)
    return describe_api(context.settings, engine.tagger_names, tuple(offered), engine)
