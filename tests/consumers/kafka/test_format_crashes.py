"""Formats whose records are several messages, or name no segments: the service dies anywhere, and goes on as if not."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import count

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from consumers.formats.base import Format, FormatContext
from encoder.restart.policies import Always, Last
from stream.engine.engine import Engine
from stream.messages.types import Delete, Message, Revision, Update
from stream.sessions.snapshot import restore_sessions
from tests.consumers.fake_kafka import DEAD, IN, FakeKafka
from tests.consumers.kafka.test_crashes import (
    DEATHS,
    GUARANTEES,
    OPEN,
    WITHOUT_FIXTURES,
    Guarantee,
    by_session,
    engine,
    live,
    read,
)
from tests.stream.fake_tagger import VOCABULARY


class _Window(msgspec.Struct):
    """A rolling window of segments, sent again and again: texts by number, and whether they are complete."""

    segments: list[tuple[int, str, bool]]
    gone: list[int] = []


class _Said(msgspec.Struct):
    """What has no name: it stands in place of all since the last final."""

    text: str
    final: bool = False
    side: str = "a"


def _read_window(window: _Window, around: FormatContext) -> Iterable[Message]:
    session = around.session_name()
    standing = around.segments(session)
    for number in window.gone:
        if f"w{number}" in standing:
            yield Delete(session=session, segment=f"w{number}")
    for number, text, final in window.segments:
        yield Update(session=session, segment=f"w{number}", text=text, final=final)


def _read_said(said: _Said, around: FormatContext) -> Iterable[Message]:
    session = around.session_name()
    yield Update(session=session, segment=around.open_segment(session, said.side), text=said.text, final=said.final)


WINDOW = Format("window", _read_window, lambda value: "segments" in value, _Window)
SAID = Format("said", _read_said, lambda value: "side" in value, _Said)

# "there" is labelled by what closed before, which coalescing may change.
TEXTS = st.lists(st.sampled_from([x for x in VOCABULARY if x != "there"]), max_size=5).map(" ".join)


@st.composite
def windows(draw: st.DrawFn) -> _Window:
    numbers = draw(st.lists(st.integers(0, 4), unique=True, max_size=4))
    segments = [(number, draw(TEXTS), draw(st.booleans())) for number in numbers]
    gone = draw(st.lists(st.integers(0, 4).filter(lambda x: x not in numbers), unique=True, max_size=2))
    return _Window(segments, gone)


SAIDS = st.builds(_Said, TEXTS, st.booleans(), st.sampled_from(["a", "b"]))


async def crash(
    records: Sequence[tuple[int, bytes]], deaths: Sequence[int], guarantee: Guarantee, coalesce: bool, format: Format
) -> FakeKafka:
    kafka = FakeKafka(2)
    for session, value in records:
        await kafka.append(IN, value, f"s{session}".encode(), session % 2)
    for death in deaths:
        end = sum(len(log) for log in kafka.logs.values()) + death
        await live(kafka, guarantee, Always(), coalesce, end, format=format)
    await live(kafka, guarantee, Always(), coalesce, None, format=format)
    return kafka


def expect(records: Sequence[tuple[int, bytes]], format: Format) -> list[Revision]:
    """What one process says that never dies, each message a step of its own."""
    alone = engine(Always(), False)
    offsets = [count(), count()]
    said = []
    for session, value in records:
        offset = next(offsets[session % 2])
        around = FormatContext(f"s{session}", offset, alone.intake.segments)
        for message in list(format.read(msgspec.json.decode(value, type=format.type), around)):
            alone.submit(message, offset)
        while alone.pending:
            said += alone.step().revisions
    return said


def scripts(values: st.SearchStrategy[_Window | _Said]) -> st.SearchStrategy[list[tuple[int, bytes]]]:
    """Sessions, and their records in order."""
    return st.lists(st.tuples(st.integers(0, 2), values.map(msgspec.json.encode)), max_size=15)


SCRIPTS = [pytest.param(WINDOW, scripts(windows()), id="window"), pytest.param(SAID, scripts(SAIDS), id="said")]


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize(("format", "scripts"), SCRIPTS)
@given(data=st.data(), deaths=DEATHS)
@settings(max_examples=15, suppress_health_check=WITHOUT_FIXTURES)
def test_every_revision_is_as_if_nothing_had_happened(
    guarantee: Guarantee,
    format: Format,
    scripts: st.SearchStrategy[list[tuple[int, bytes]]],
    data: st.DataObject,
    deaths: list[int],
) -> None:
    records = data.draw(scripts)
    kafka = asyncio.run(crash(records, deaths, guarantee, False, format))
    assert by_session(read(kafka, guarantee)) == by_session(expect(records, format))
    assert not kafka.records(DEAD)


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize(("format", "scripts"), SCRIPTS)
@given(data=st.data(), deaths=DEATHS)
@settings(max_examples=15, suppress_health_check=WITHOUT_FIXTURES)
def test_whatever_is_coalesced_readers_end_with_the_same(
    guarantee: Guarantee,
    format: Format,
    scripts: st.SearchStrategy[list[tuple[int, bytes]]],
    data: st.DataObject,
    deaths: list[int],
) -> None:
    records = data.draw(scripts)
    kafka = asyncio.run(crash(records, deaths, guarantee, True, format))
    found, wanted = {}, {}
    for revision in read(kafka, guarantee):
        found[revision.session, revision.segment] = [(x.start, x.end, x.label) for x in revision.spans]
    for revision in expect(records, format):
        wanted[revision.session, revision.segment] = [(x.start, x.end, x.label) for x in revision.spans]
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in wanted.items() if v}


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("death", [None, 1, 3, 5, 8])
async def test_a_record_that_opens_too_many_segments_closes_the_oldest(guarantee: Guarantee, death: int | None) -> None:
    window = _Window([(i, "anna", False) for i in range(12)])
    kafka = await crash([(0, msgspec.json.encode(window))], [death] if death else [], guarantee, False, WINDOW)
    told = {(r.segment, r.final, r.closed_by) for r in read(kafka, guarantee)}
    first = len(window.segments) - OPEN
    assert {x for x in told if x[1]} == {(f"w{i}", True, "open_segments") for i in range(first)}
    assert {x for x in told if not x[1]} == {(f"w{i}", False, UNSET) for i in range(len(window.segments))}
    assert not kafka.records(DEAD)


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_records_that_are_refused_whole_or_say_nothing_do_not_hold_the_partition_up(guarantee: Guarantee) -> None:
    long = "x" * 70_000
    values = [_Window([(0, long, False), (1, long, False)]), _Window([]), _Window([(0, "anna", True)])]
    kafka = await crash([(0, msgspec.json.encode(x)) for x in values], [], guarantee, False, WINDOW)
    assert [(r.segment, r.offset) for r in read(kafka, guarantee)] == [("w0", 2)]
    assert len(kafka.records(DEAD)) == 1


def test_a_segment_that_was_closed_ahead_of_another_is_not_opened_anew() -> None:
    """One side's final can be kept while an earlier update of the other side, overtaken, still waits."""
    records = [_Said("anna"), _Said("rome", side="b"), _Said("anna met", final=True), _Said("rome and", side="b")]
    first = engine(Last(3), True)

    def tell(to: Engine, offset: int) -> None:
        for message in _read_said(records[offset], FormatContext("s", offset, to.intake.segments)):
            to.submit(message, offset)

    tell(first, 0)
    entries = list(first.step().entries)
    for offset in (1, 2, 3):
        tell(first, offset)
    entries += first.step().entries  # of the final alone
    saved = restore_sessions(entries)["s"]
    assert saved.offset == 0
    second = engine(Last(3), True)
    second.restore(saved, "s")
    for offset in (1, 2, 3):
        tell(second, offset)
    while second.pending:
        second.step()
    assert {k: (v.text, v.closed) for k, v in second.intake.segments("s").items()} == {
        "a:0": ("anna met", True),
        "b:1": ("rome and", False),
    }
