"""`python -m benchmarks kafka`: its speakers, its measurements, and a short run of all of it with word lists."""

import json
import re
import sys
import threading
from collections import defaultdict

import msgspec
import pytest

from benchmarks.__main__ import main
from benchmarks.harness.tables import save_json
from benchmarks.kafka.bench import KafkaBenchSettings, run_kafka
from benchmarks.kafka.load_generator import OutputReader, Sender
from benchmarks.kafka.report import KafkaRun, LatencySummary, kafka_tables, summarise, write_kafka_page
from benchmarks.kafka.run import _p99, _phases
from benchmarks.kafka.service_process import Cores, MetricsReading
from benchmarks.kafka.speakers import PlannedMessage, plan_ends, plan_speakers, session_partition
from consumers.kafka.brokers.embedded import OwnBroker
from consumers.runtime.capacity import LONGEST, SHORTEST, WORDS_A_SECOND
from stream.engine.engine import Engine
from stream.messages.types import End, Message, Update
from tests.consumers.fakes import fake_engine

LIGHT = (sys.executable, "-m", "tests.kafka.light_worker", "serve")


def decode(due: PlannedMessage) -> Message:
    return msgspec.json.decode(due.value, type=Message)


def test_talk_is_live_speech_that_an_engine_takes() -> None:
    plan = [*plan_speakers("a", 40, 60.0, 4, seed=1), *plan_ends("a", 40, 4)]
    assert plan == [*plan_speakers("a", 40, 60.0, 4, seed=1), *plan_ends("a", 40, 4)]
    assert plan[:-40] == sorted(plan[:-40], key=lambda x: x.at)
    engine: Engine = fake_engine(["ner"], "", coalesce=False)
    said: dict[tuple[str, str], str] = defaultdict(str)
    closed: dict[str, list[int]] = defaultdict(list)
    for offset, due in enumerate(plan):
        message = decode(due)
        engine.submit(message, offset)  # raises if it is bad
        assert (message.session, session_partition(message.session, 4)) == (due.session, due.partition)
        if not isinstance(message, Update):
            continue
        name = message.session, message.segment
        before, said[name] = said[name], message.text
        assert due.is_word == (not message.final)
        assert len(message.text.split()) == len(before.split()) + due.is_word
        assert message.text.startswith(before)
        if message.final:
            closed[message.session].append(len(message.text.split()))
    assert sum(x.is_word for x in plan) / 60 / 40 == pytest.approx(WORDS_A_SECOND, rel=0.1)
    lengths = [x for one in closed.values() for x in one[1:]]  # the first of each began before we listened
    assert min(lengths) >= SHORTEST
    assert max(lengths) <= LONGEST
    assert [type(decode(x)) for x in plan[-40:]] == [End] * 40
    assert {x.partition for x in plan} == {0, 1, 2, 3}


def test_spreads_are_of_all_that_is_given() -> None:
    assert summarise([]) == LatencySummary()
    assert summarise([0.001 * x for x in range(1, 101)]) == LatencySummary(100, 50.5, 51.0, 100.0, 100.0)


def test_answers_are_matched_with_what_was_due() -> None:
    sender = Sender.__new__(Sender)
    first, second = (PlannedMessage(at, 0, "a", b"", True) for at in (1.0, 2.0))
    sender.sent, sender.began, sender._slips, sender._acks = {("a", 7): first, ("a", 8): second}, 100.0, [0.5], [0.25]
    answers = [(101.5, ("a", 7)), (101.6, ("a", 7)), (103.0, ("a", 9)), (104.0, ("b", 7))]
    heard = sender.match(
        [(at, json.dumps({"session": x[0], "offset": x[1], "final": False}).encode()) for at, x in answers]
    )
    assert [(x.due, x.seconds) for x in heard.answers] == [(first, 0.5)]  # the first tagger's word counts
    assert heard.revisions == 2
    assert (heard.slips, heard.acks) == ([0.5], [0.25])


def test_phases_are_means_of_what_the_service_booked_meanwhile() -> None:
    def read(scale: float) -> MetricsReading:
        series = {
            ("hearken_record_seconds_sum", (("phase", "step"),)): 0.5 * scale,
            ("hearken_record_seconds_count", (("phase", "step"),)): 10 * scale,
            ("hearken_produce_to_revision_seconds_sum", ()): 0.2 * scale,
            ("hearken_produce_to_revision_seconds_count", ()): 4 * scale,
            ("hearken_taken_to_done_seconds_bucket", (("le", "0.05"),)): 98 * scale,
            ("hearken_taken_to_done_seconds_bucket", (("le", "0.1"),)): 100 * scale,
            ("hearken_taken_to_done_seconds_bucket", (("le", "+Inf"),)): 100 * scale,
        }
        return MetricsReading(series)

    counted = read(3).since(read(1))
    assert _phases(counted, 1.0, 60.0) == {"sender": 1.0, "step": 50.0, "out": 9.0}
    assert _p99(counted) == 100.0
    assert _p99(MetricsReading()) is None


def light(**more: object) -> KafkaBenchSettings:
    given = {
        "broker": OwnBroker.EMBEDDED,
        "taggers": ("ner",),
        "policy": "last:3",
        "guarantees": ("at_least_once",),
        "sessions": (12,),
        "search": False,
        "most": 16,
        "seconds": 2.0,
        "warm_up": 0.5,
        "target_ms": 60_000.0,
        "partitions": 2,
        "commit_seconds": 0.1,
        "command": LIGHT,
    }
    return KafkaBenchSettings(**(given | more))  # type: ignore[arg-type]


def test_a_short_bench_of_a_service_that_is_a_process_of_its_own(tmp_path, capsys) -> None:
    told: list[str] = []
    shown: list[KafkaRun] = []
    threads = threading.active_count()
    report = run_kafka(light(search=True), told.append, shown.append)
    assert report.carried == {"at_least_once": 16}
    assert [x.sessions for x in report.runs] == [12, 16] == [x.sessions for x in shown]
    for run in report.runs:
        assert 0 < run.answered.p50_ms <= run.answered.p99_ms <= run.answered.max_ms
        assert run.answered.count == run.words.count + run.closings.count > 0
        assert run.words_per_second > 0
        assert {"sender", "broker", "queue", "step", "handover", "state", "publish", "out"} == set(run.phases)
        assert run.served_p99_ms
        assert min(run.resident_mib) > 10
    assert any("12 speakers" in line for line in told)
    assert threading.active_count() == threads
    assert len(kafka_tables(report)) == 3
    save_json(tmp_path / "out", "kafka", report)
    write_kafka_page(report, tmp_path / "out")
    assert msgspec.json.decode((tmp_path / "out" / "kafka.json").read_bytes())["carried"] == {"at_least_once": 16}
    page = (tmp_path / "out" / "kafka.md").read_text()
    assert "carries **16** live speakers" in page
    for sheet in page.split("\n*")[:3]:
        lines = re.findall(r"^\|.*\|$", sheet, re.M)
        assert len(lines) == 4  # heads, a rule, two runs
        assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("--sessions many", "--sessions"),
        ("--sessions 0", "--sessions"),
        ("--guarantee exactly_once", "--guarantee"),
        ("--guarantee both", "--guarantee"),
        ("--broker localhost:1 --apache-kafka", "--broker"),
        ("--broker nowhere", "--broker"),
    ],
)
def test_wrong_settings_are_named(arguments: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kafka", *arguments.split()]) == 2
    assert word in capsys.readouterr().err


def test_the_service_has_a_core_of_its_own_where_there_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5, 2, 3})
    assert Cores.divide() == Cores(5, frozenset({2, 3}))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {2})
    assert Cores.divide() == Cores(None, frozenset({2}))


def test_a_reader_that_fails_says_so() -> None:
    reader = OutputReader.__new__(OutputReader)
    reader._error = "gone"  # type: ignore[assignment]
    with pytest.raises(Exception, match="gone"):
        reader.take()
