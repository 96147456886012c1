"""`python -m benchmarks soak`: its load, its verdict, and a short run of all of it with word lists."""

import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from benchmarks.soak.load import speakers_and_hostile
from benchmarks.soak.offline import compare_finals
from benchmarks.soak.report import SoakReport, SoakWindow, plot_soak, soak_tables
from benchmarks.soak.run import SoakSettings, run_soak
from consumers.formats.decode import BadInput, decode_message
from consumers.kafka.brokers.embedded import OwnBroker
from stream.messages.errors import InputError
from stream.messages.types import End, Update
from tests.consumers.fakes import fake_engine

LIGHT = (sys.executable, "-m", "tests.kafka.light_worker", "serve")


def test_speakers_come_and_go_and_hostile_records_are_among_theirs() -> None:
    load = list(speakers_and_hostile(20, 300.0, 4, 0.05, seed=1))
    assert load == list(speakers_and_hostile(20, 300.0, 4, 0.05, seed=1))
    assert all(a.at <= b.at for a, b in pairwise(load))
    good = [x for x in load if x.session]
    assert 1 - len(good) / len(load) == pytest.approx(0.05, rel=0.2)
    sessions = {x.session for x in good}
    assert len(sessions) > 40, "each stays for two minutes or so"
    assert sum(type(decode_message(x.value)) is End for x in good) == len(sessions)
    engine = fake_engine(["ner"], "", coalesce=False)
    texts: dict[tuple[str, str], str] = {}
    for x in good:
        message = decode_message(x.value)
        engine.submit(message, 0)  # raises if it is bad
        if isinstance(message, Update):
            texts[message.session, message.segment] = message.text
        if x.closes:
            assert texts.pop((x.session, x.closes[0])) == x.closes[1]
    assert not texts, "every segment is closed, by its final text or by the end of its session"


def test_hostile_records_are_of_many_kinds() -> None:
    kinds = set()
    for x in speakers_and_hostile(10, 600.0, 4, 0.5, seed=2):
        if x.session:
            continue
        engine = fake_engine(["ner"], "", coalesce=False)
        try:
            engine.submit(decode_message(x.value), 0)
            kinds.add("taken")
        except (BadInput, InputError) as error:
            kinds.add(str(error)[:20])
    assert len(kinds) >= 6
    assert "taken" in kinds


def test_a_final_that_differs_or_is_missing_is_found() -> None:
    said = {"good-1": [("s0", "anna rice in rome"), ("s1", "nothing here")], "good-2": [("s0", "rome")]}
    finals: dict[tuple[str, str, str], tuple[tuple[int, int, str], ...]] = {}

    def compare() -> tuple[int, list[str]]:
        return compare_finals(fake_engine(["ner"], "", coalesce=False), said, finals, lambda _: None)

    finals |= _offline(said)
    assert compare() == (3, [])
    place = next(place for place, spans in finals.items() if spans)
    finals[place] = ()
    assert len(compare()[1]) == 1
    del finals[place]
    assert len(compare()[1]) == 1


def _offline(said: dict[str, list[tuple[str, str]]]) -> dict[tuple[str, str, str], tuple[tuple[int, int, str], ...]]:
    engine = fake_engine(["ner"], "", coalesce=False)
    for session, segments in said.items():
        for segment, text in segments:
            engine.submit(Update(session=session, segment=segment, text=text, final=True), 0)
    found = {}
    while engine.pending:
        for x in engine.step().revisions:
            found[x.session, x.segment, x.tagger] = tuple((s.start, s.end, s.label) for s in x.spans)
    return found


def report_of(memory: list[float], p99: list[float], **fields: object) -> SoakReport:
    windows = tuple(
        SoakWindow(at=60.0 * (i + 1), answered=9, p50_ms=1.0, p99_ms=p, resident_mib=m, core_share=0.7)
        for i, (m, p) in enumerate(zip(memory, p99, strict=True))
    )
    known = SoakReport(
        seconds=60.0 * len(windows), speakers=9, capacity=0, good=95, hostile=5, dead_letters=3, finals=10, wrong=(),
        differences=0, coalesced=0, shortened=0, processor="", windows=windows,
    )  # fmt: skip
    return msgspec.structs.replace(known, **fields)


def test_the_verdict_is_of_memory_latency_and_labels() -> None:
    flat = [100.0] * 60
    grows = [100.0 + i for i in range(60)]
    early = [50.0] * 9 + [100.0] * 51
    assert report_of(flat, flat).passed
    assert report_of(early, flat).passed, "the first ten minutes may grow"
    assert not report_of(grows, flat).passed
    assert not report_of(flat, [10.0 * (1 + i) for i in range(60)]).passed
    assert not report_of(flat, flat, differences=1).passed
    assert not report_of(flat, flat, finals=0).passed
    assert report_of(grows, flat).memory_growth > 1.3


def test_a_short_run_of_all_of_it(tmp_path: Path) -> None:
    settings = SoakSettings(
        broker=OwnBroker.EMBEDDED, taggers=("ner",), policy="last:3", seconds=8.0, speakers=30, share=0.7,
        hostile_share=0.2, window_seconds=2.0, command=LIGHT,
    )  # fmt: skip
    lines: list[str] = []
    report = run_soak(settings, lambda: fake_engine(["ner"], "last:3", coalesce=False), lines.append)
    assert report.finals > 30
    assert (report.differences, report.wrong) == (0, ())
    assert report.good > 100
    assert report.hostile > 10
    assert report.dead_letters > 0
    assert len(report.windows) >= 3
    assert any("MiB" in line for line in lines)
    assert "finals" in "".join(str(table.markdown()) for table in soak_tables(report))
    assert plot_soak(report, tmp_path / "soak.png").stat().st_size > 10_000
