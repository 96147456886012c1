"""Logs say where something happened, and never what somebody said unless that was asked for."""

import asyncio
import json
import logging

import pytest
import structlog

from consumers.common.logs import configure_logging
from consumers.kafka.service.service import Service
from stream.engine.worker import Worker
from tests.consumers.fake_kafka import IN, FakeKafka
from tests.consumers.fakes import fake_engine
from tests.consumers.kafka.test_service import FIRST, settings, update
from tests.waiting import PATIENCE

SECRET = "xyzzy-confidential"


async def serve(kafka: FakeKafka, **changes: object) -> None:
    """Everything that a stream of good, bad and poisoned records makes a service say."""
    stop = asyncio.Event()
    service = Service(settings(**changes), Worker(fake_engine(["ner"], "", coalesce=False)), kafka.clients())
    task = asyncio.create_task(service.run(stop))
    values = [
        update("call-1", f"anna {SECRET}"),
        update("call-1", f"anna {SECRET} poison"),  # labelling fails, and its error quotes the text
        update("call-1", f"{SECRET}\u0000"),
        update("call-1", f"{SECRET}", words=[]),
        update("call-1", SECRET * 10_000),
        f'{{"type": "{SECRET}"}}'.encode(),
        f"{{{SECRET}".encode(),
        SECRET.encode(),
        f'{{"type":"update","session":"call-1","segment":"s","text":["{SECRET}"]}}'.encode(),
        f'{{"type":"update","session":"call-1","segment":"s","text":"x","mode":"{SECRET}"}}'.encode(),
        f'{{"type":"delete","session":"call-1","segment":"{SECRET}"}}'.encode(),
        b'"' + SECRET.encode() + b'\xff"',
    ]
    for value in values:
        await kafka.append(IN, value, b"call-1")
    await kafka.until(lambda: kafka.committed.get(FIRST) == len(values))
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await task


async def test_at_debug_level_nothing_of_a_text_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    await serve(FakeKafka())
    told = capsys.readouterr()
    assert SECRET not in told.err + told.out
    lines = [json.loads(line) for line in told.err.splitlines()]
    failed = next(x for x in lines if x["event"] == "labelling_failed")
    assert (failed["session"], failed["partition"], failed["offset"]) == ("call-1", 0, 1)
    assert "fake_tagger.py" in failed["exception"]
    letters = [(x["session"], x["partition"], x["offset"]) for x in lines if x["event"] == "dead_letter_written"]
    assert sorted(letters) == [("call-1", 0, offset) for offset in (1, *range(3, 12))]  # 2 is labelled: NUL is cleaned


async def test_texts_are_logged_when_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", text=True)
    await serve(FakeKafka(), log_text=True)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    heard = next(x for x in lines if x["event"] == "message_received")
    assert (heard["session"], heard["partition"], heard["offset"]) == ("call-1", 0, 0)
    assert heard["text"] == f"anna {SECRET}"


@pytest.mark.parametrize("text", [True, False])
def test_errors_of_libraries_are_told_by_kind_and_place(text: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", text)
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        logging.getLogger("asyncio").exception("task failed")
        structlog.get_logger().error("ours", exc_info=True)
    told = capsys.readouterr().err
    assert (SECRET in told) == text
    theirs, ours = (json.loads(line) for line in told.splitlines())
    for line in (theirs, ours):
        assert "ValueError" in line["exception"]
        assert "RuntimeError" in line["exception"]
        assert "test_logs.py" in line["exception"]
    assert (theirs["event"], ours["event"]) == ("task failed", "ours")


def test_a_session_that_is_named_by_an_enemy_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger().info("x", session="a\x1b[2J\u202e")
    assert json.loads(capsys.readouterr().err)["session"] == r"'a\x1b[2J\u202e'"
