"""Redaction in a pipeline: a function of the text alone, in bounded time, and never a failure of the pipeline."""

import asyncio

import pytest

import hearken
from hearken.model import Model
from hearken.voice.model_source import ModelSource
from hearken.voice.redactor import HIDDEN, PAUSE_SECONDS, REMEMBERED, TextRedactor
from hearken.voice.sources import make_source
from stream.redaction.policy import RedactionPolicy
from tests.consumers.fakes import fake_engine
from tests.hearken.voice.sources import FakeSource


class Errors(list[Exception]):
    async def tell(self, error: Exception) -> None:
        self.append(error)


async def test_a_text_has_one_redaction_and_is_asked_for_once() -> None:
    source, errors = FakeSource(), Errors()
    redactor = TextRedactor(source, errors.tell)
    assert source.opened == 0
    assert [await redactor.redact(x) for x in ("call anna", "call anna", "", " ")] == ["call [person]"] * 2 + ["", " "]
    assert source.redacted == ["call anna"]
    assert source.opened == 1
    for number in range(REMEMBERED):
        await redactor.redact(str(number))
    await redactor.redact("call anna")
    assert source.redacted.count("call anna") == 2


@pytest.mark.parametrize(("choice", "shown"), [("hide", HIDDEN), ("pass", "call anna")])
async def test_a_source_that_is_away_holds_no_text_for_long(choice: str, shown: str) -> None:
    now = 100.0
    source, errors = FakeSource(hold=asyncio.Event()), Errors()
    redactor = TextRedactor(source, errors.tell, seconds=0.01, on_failure=choice, clock=lambda: now)  # type: ignore[arg-type]
    assert [await redactor.redact("call anna") for _ in range(5)] == [shown] * 5
    assert len(source.redacted) == 1  # the others did not wait
    now += PAUSE_SECONDS
    assert source.hold is not None
    source.hold.set()
    redactor._seconds = 5.0
    assert await redactor.redact("call anna") == "call [person]"
    assert [type(x) for x in errors] == [TimeoutError]


async def test_a_text_that_cannot_be_redacted_does_not_harm_the_next() -> None:
    bad = [ValueError("bad text")]
    source, errors = FakeSource(fails=lambda: bad.pop() if bad else None), Errors()
    redactor = TextRedactor(source, errors.tell)
    assert await redactor.redact("x") == HIDDEN
    assert await redactor.redact("anna") == "[person]"
    assert len(errors) == 1


async def test_taggers_of_this_process_label_and_redact() -> None:
    model = Model(fake_engine(["ner"], "", coalesce=False, redaction=RedactionPolicy()))
    source = make_source(model, redact=True)
    assert isinstance(source, ModelSource)
    said: list[hearken.Revision] = []

    async def take(revision: hearken.Revision) -> None:
        said.append(revision)

    for text, final in (("we met", False), ("we met anna", False), ("we met anna", True)):
        await source.send(hearken.Update(session="s", segment="1", text=text, final=final), take)
    assert [(x.start, x.end, x.label) for x in said[-1].spans] == [(7, 11, "person")]
    assert said[-1].final
    redacted = {await source.redact("we met anna") for _ in range(3)}
    assert len(redacted) == 1
    assert "anna" not in redacted.pop()
    await source.end("s")
    await source.close()
    await source.close()
    with pytest.raises(RuntimeError):
        await source.redact("anna")


def test_a_model_that_does_not_redact_is_refused() -> None:
    with pytest.raises(ValueError, match="redacts nothing"):
        make_source(Model(fake_engine(["ner"], "", coalesce=False)), redact=True)
