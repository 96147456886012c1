import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from consumers.common.settings import ServiceSettings
from consumers.http.settings import HttpSettings
from consumers.runtime import listen, serve, serve_many, warm
from consumers.runtime.warm import _sample, warm_engine
from encoder.restart.policies import Always
from stream.engine.engine import Engine
from stream.messages.types import Update
from stream.overload.governor import Governor
from tests.consumers.fakes import fake_engine
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import drain
from tests.stream.hybrid import shared_tagger


def test_what_fills_the_cache_is_labelled_in_slices_too():
    engine = Engine(FakeLabeller(), Always())
    for offset, message in enumerate(_sample()):
        engine.submit(message, offset)
    drain(engine)
    assert engine.sliced.slices > 0


def revisions(engine: Engine) -> list[Any]:
    for offset, text in enumerate(["anna", "anna met", "anna met bob", "anna met bob in rome"]):
        engine.submit(Update(session="u1", segment="a", text=text, final=offset == 3), offset)
    return [revision for result in drain(engine) for revision in result.revisions]


def test_a_warmed_engine_goes_on_as_if_it_had_not_been_and_keeps_no_memory_of_it():
    fresh, warmed = (Engine(FakeLabeller(), Always(), governor=Governor(1.0)) for _ in range(2))
    warm_engine(warmed)
    assert warmed.stats.messages == warmed.pending == warmed.pricing.shortened == 0
    assert revisions(warmed) == revisions(fresh)
    assert warmed.stats == fresh.stats


def test_a_warmed_tagger_holds_nothing_of_the_sample_in_its_cache():
    engine = Engine(shared_tagger(), Always())
    before = engine.labeller.counters()
    warm_engine(engine)
    after = engine.labeller.counters()
    assert after.flops > before.flops
    assert after.pages_used == before.pages_used


def test_a_failure_is_left_to_the_first_updates(capsys: pytest.CaptureFixture[str]):
    warm_engine(Engine(FakeLabeller(poison=["the"]), Always()))
    assert "warm_up_failed" in capsys.readouterr().out


def test_a_stop_ends_it():
    asked = iter([False, False])
    labelled: list[object] = []
    engine = Engine(FakeLabeller(), Always())
    decode = engine.labeller.decode
    engine.labeller.decode = lambda plans: labelled.extend(plans) or decode(plans)  # type: ignore[method-assign]
    warm_engine(engine, lambda: next(asked, True))
    assert 0 < len(labelled) <= 8


class Began(Exception):
    pass


@pytest.mark.parametrize("door", ["serve", "listen", "serve_many"])
def test_each_door_warms_its_engine_and_tunes_the_interpreter_before_it_takes_anything(
    door: str, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []
    engine = fake_engine(["ner"], coalesce=True)
    monkeypatch.setattr(warm, "warm_engine", lambda given, *_: order.append("warmed" if given is engine else "other"))
    for module in (serve, listen, serve_many):
        monkeypatch.setattr(module, "tune_interpreter", lambda: order.append("tuned"))

    def begin(*_: object, **__: object) -> None:
        order.append("began")
        raise Began

    http = HttpSettings(port=0)
    monkeypatch.setattr("consumers.kafka.service.service.Service.run", begin)
    monkeypatch.setattr("consumers.http.frontend.HttpFrontend.serve", begin)
    monkeypatch.setattr(serve_many, "Supervisor", begin)
    starts: dict[str, Callable[[], object]] = {
        "serve": lambda: asyncio.run(serve.serve_until_signal(ServiceSettings(), lambda: engine)),
        "listen": lambda: asyncio.run(listen.listen_until_signal(http, lambda: engine)),
        "serve_many": lambda: serve_many.serve_many(
            2, ServiceSettings(), lambda: engine, None, "normal", lambda worker: None
        ),
    }
    with pytest.raises(Began):
        starts[door]()
    assert order == ["warmed", "tuned", "began"]
