"""The oracle finds what is wrong: each way in which a service can fail is done here once, to a stream that is right."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from confluent_kafka import Producer
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.cli.main import main
from consumers.common.settings import Topics
from consumers.kafka.brokers.embedded import EmbeddedBroker
from consumers.kafka.output.dead_letter import copy_record
from encoder.restart.policies import Always, Last
from stream.engine.engine import Engine
from tests.consumers.served import STREAM, TAGGERS, TOPIC, Record, Run, encode, good, keyed, read, serve, update
from tests.stream.fake_tagger import VOCABULARY, fake_labeller
from tests.stream.streams import ALL, messages, steps


@pytest.mark.parametrize("taggers", TAGGERS)
@pytest.mark.parametrize("exact", [True, False])
def test_a_stream_that_is_right_has_no_problems(exact: bool, taggers: Sequence[str]) -> None:
    run = good(exact, taggers)
    report = run.check()
    assert report.problems == []
    assert (report.messages, report.bad, report.letters, report.sessions) == (len(STREAM) + 5, 5, 5, 2)
    assert report.revisions == len(run.outputs)
    assert report.finals >= 5 * len(taggers)


@given(script=steps(VOCABULARY, ALL, most=40), taggers=st.sampled_from(TAGGERS))
@settings(max_examples=60)
def test_any_stream_that_is_right_has_no_problems(script: list[object], taggers: Sequence[str]) -> None:
    values = keyed(messages(script))  # type: ignore[arg-type]
    for policy, coalesce in ((Always(), False), (Last(2), True)):
        assert serve(values, policy, coalesce, taggers).check().problems == []


def lose(run: Run, session: str, rev: int) -> None:
    del run.outputs[run.find(session, rev)]


def lose_last(run: Run, session: str) -> None:
    del run.outputs[run.places(session)[-1]]


def double(run: Run, session: str, rev: int) -> None:
    run.outputs.append(run.outputs[run.find(session, rev)])


def swap(run: Run, session: str, rev: int) -> None:
    i, j = run.find(session, rev), run.find(session, rev + 1)
    run.outputs[i], run.outputs[j] = run.outputs[j], run.outputs[i]


def skip_rev(run: Run, session: str, rev: int) -> None:
    """As a service would that lost count: everything from here on has a rev too high."""
    for i in run.places(session):
        if read(run.outputs[i]).rev >= rev:
            run.change(i, rev=read(run.outputs[i]).rev + 1)


def start_anew(run: Run, session: str) -> None:
    """As a service would that restored nothing: revs begin again."""
    i = run.find(session, 3)
    run.change(i, rev=1)


def relabel(run: Run, session: str, rev: int) -> None:
    i = run.find(session, rev)
    first, *rest = read(run.outputs[i]).spans
    run.change(i, spans=(msgspec.structs.replace(first, label="event"), *rest))


def change_after_final(run: Run, session: str) -> None:
    told = [read(run.outputs[i]) for i in run.places(session)]
    last, closed = told[-1], next(x for x in told if x.final)
    run.outputs.append(encode(msgspec.structs.replace(closed, rev=last.rev + 1, offset=last.offset)))


def reopen(run: Run) -> None:
    """The edit of a's first segment is told of as if it were open."""
    i = next(i for i in run.places("a") if [s.text for s in read(run.outputs[i]).spans] == ["bob"])
    run.change(i, final=False)


def move_span(run: Run, session: str, rev: int) -> None:
    i = run.find(session, rev)
    first, *rest = read(run.outputs[i]).spans
    run.change(i, spans=(msgspec.structs.replace(first, start=0, end=len(first.text)), *rest))


def settle_a_part_of_a_span(run: Run, session: str, rev: int) -> None:
    i = run.find(session, rev)
    run.change(i, settled=read(run.outputs[i]).spans[0].end - 1)


def forget_a_change(run: Run, session: str) -> None:
    i = next(i for i in run.places(session) if read(run.outputs[i]).added)
    run.change(i, added=())


def other_key(run: Run) -> None:
    run.outputs[0] = replace(run.outputs[0], key=b"z")


def unreadable(run: Run) -> None:
    run.outputs[0] = replace(run.outputs[0], value=b"{")


def invent(run: Run) -> None:
    run.outputs.append(encode(msgspec.structs.replace(read(run.outputs[0]), session="nobody")))


def stability(run: Run, session: str, rev: int) -> None:
    i = run.find(session, rev)
    first, *rest = read(run.outputs[i]).spans
    run.change(i, spans=(msgspec.structs.replace(first, stability=0.1234), *rest))


def no_letter(run: Run) -> None:
    del run.letters[2]


def two_letters(run: Run) -> None:
    run.letters.append(run.letters[2])


def other_reason(run: Run) -> None:
    headers = [*run.letters[2].headers, ("reason", b"too_large")]
    run.letters[2] = replace(run.letters[2], headers=headers)


def other_copy(run: Run) -> None:
    run.letters[2] = replace(run.letters[2], value=b"?")


def other_header(run: Run) -> None:
    run.letters[2] = replace(run.letters[2], headers=[("traceparent", b"00-22"), *run.letters[2].headers[1:]])


def no_tombstone(run: Run) -> None:
    [number] = [i for i, x in enumerate(run.letters) if x.value is None]
    run.letters[number] = replace(run.letters[number], value=b"")


def bury_a_good_one(run: Run) -> None:
    record = next(x for x in run.inputs if x.key == b"a" and (x.value or b"").startswith(b'{"type":"update"'))
    run.letters.append(replace(record, headers=copy_record("invalid_json", "x", record).headers))


def no_headers(run: Run) -> None:
    run.letters[2] = replace(run.letters[2], headers=())


Fault = Callable[[Run], None]
IN_EVERY_MODE: list[tuple[Fault, str]] = [
    (partial(lose, session="a", rev=2), "order"),
    (partial(lose_last, session="a"), "lost"),
    (partial(double, session="a", rev=2), "doubled"),
    (partial(swap, session="a", rev=2), "order"),
    (partial(skip_rev, session="a", rev=3), "order"),
    (partial(start_anew, session="a"), "doubled"),
    (partial(change_after_final, session="a"), "after_final"),
    (reopen, "after_final"),
    (partial(move_span, session="a", rev=1), "altered"),
    (partial(settle_a_part_of_a_span, session="a", rev=1), "altered"),
    (partial(forget_a_change, session="a"), "altered"),
    (other_key, "altered"),
    (unreadable, "stray"),
    (invent, "stray"),
    (no_letter, "lost"),
    (two_letters, "doubled"),
    (other_reason, "altered"),
    (other_copy, "altered"),
    (bury_a_good_one, "stray"),
    (no_headers, "lost"),
]
ONLY_EXACT: list[tuple[Fault, str]] = [
    (partial(lose_last, session="b"), "lost"),
    (partial(relabel, session="a", rev=1), "altered"),
    (partial(stability, session="a", rev=1), "altered"),
]


def name(fault: object) -> str:
    return getattr(fault, "__name__", None) or fault.func.__name__ if callable(fault) else str(fault)  # type: ignore[attr-defined]


@pytest.mark.parametrize("taggers", TAGGERS)
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("fault", "kind"), IN_EVERY_MODE, ids=name)
def test_each_fault_is_found(fault: Fault, kind: str, exact: bool, taggers: Sequence[str]) -> None:
    run = good(exact, taggers)
    fault(run)
    report = run.check()
    assert report.counts[kind], report.problems  # type: ignore[index]
    assert not report.ok


@pytest.mark.parametrize(("fault", "kind"), ONLY_EXACT, ids=name)
def test_each_altered_interim_is_found_when_exact(fault: Fault, kind: str) -> None:
    run = good()
    fault(run)
    assert run.check().counts[kind]  # type: ignore[index]


def test_the_last_digits_of_a_stability_are_not_held_against_it() -> None:
    run = good()
    i = run.find("a", 1)
    first, *rest = read(run.outputs[i]).spans
    run.change(i, spans=(msgspec.structs.replace(first, stability=first.stability - 0.0004), *rest))
    report = run.check()
    assert (report.ok, report.rounded) == (True, 1)
    assert good().check().rounded == 0


def test_another_final_label_is_found_in_every_mode() -> None:
    for exact in (True, False):
        run = good(exact)
        i = next(i for i, x in enumerate(run.outputs) if read(x).final and read(x).spans)
        first, *rest = read(run.outputs[i]).spans
        run.change(i, spans=(msgspec.structs.replace(first, label="event"), *rest))
        assert run.check().counts["altered"]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("by", "found"), [(0.01, True), (0.0004, False)])
def test_another_final_text_score_is_found_in_every_mode(exact: bool, by: float, found: bool) -> None:
    run = good(exact, TAGGERS[-1])
    i = next(i for i, x in enumerate(run.outputs) if read(x).final and read(x).scores)
    run.change(i, scores={name: x + by for name, x in (read(run.outputs[i]).scores or {}).items()})
    report = run.check()
    assert report.counts["altered"] == found
    assert report.ok != found
    lost = good(exact, TAGGERS[-1])
    lost.change(i, scores=msgspec.UNSET)
    assert lost.check().counts["altered"]


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("exact", [True, False])
def test_where_the_oracle_pauses_makes_no_difference(exact: bool, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = good(exact)
    monkeypatch.setattr("consumers.verify.oracle.CHUNK", chunk)
    assert run.check().problems == []
    # an early rev that answers a late offset, and a late one that answers an early offset
    last = read(run.outputs[-1]).offset
    run.change(run.find("a", 1), offset=last)
    run.change(run.find("a", 3), offset=0)
    assert run.check().counts["order"]
    assert run.check().counts["altered"] or run.check().counts["lost"]


def test_at_least_once_allows_repeats_of_the_same_bytes_only() -> None:
    run = good()
    again = run.outputs[run.find("a", 2) :]
    run.outputs += again
    two_letters(run)
    report = run.check("at_least_once")
    assert report.problems == []
    assert report.repeats == len(again)
    run.change(len(run.outputs) - 1, offset=0)
    assert run.check("at_least_once").counts["doubled"] == 1


def test_input_that_comes_later_is_not_compared() -> None:
    run = good()
    until = {x.partition: 0 for x in run.inputs} | {1: 4}
    assert next(x.partition for x in run.inputs if x.key == b"a") == 1
    report = run.check(until=until)
    assert report.problems == []
    assert report.messages == 4
    # and what was compared is still missed
    lose(run, "a", 1)
    assert run.check(until=until).counts["lost"] == 1


def test_a_session_in_two_partitions_is_counted_and_not_compared() -> None:
    run = good()
    extra = msgspec.json.encode(update("a", "z", "anna"))
    run.inputs.append(Record(5, 0, None, extra))
    lose_last(run, "a")
    report = run.check()
    assert report.scattered == 1
    assert report.problems == []


def test_a_text_that_fails_belongs_into_the_dead_letters() -> None:
    values = keyed([update("a", "s", "anna"), update("a", "s", "anna poison"), update("a", "s", "bob", True)])
    run = serve(values, Always(), coalesce=False)
    assert run.check().problems == []
    assert run.check().bad == 1
    run.letters.clear()
    assert run.check().counts["lost"] == 1


def test_a_tagger_that_is_not_asked_for_is_left_alone_and_one_that_is_is_missed() -> None:
    run = good(taggers=("fake", "speech"))
    run.taggers = ("fake",)
    assert run.check().problems == []
    run = good()
    run.taggers = ("fake", "speech")
    assert {str(x).split(", rev")[0] for x in run.check().problems} == {
        "lost: session a, tagger speech",
        "lost: session b, tagger speech",
    }


def test_problems_say_where_and_hold_no_text() -> None:
    run = good()
    relabel(run, "a", 1)
    (problem, *_) = run.check().problems
    assert "session a, " in str(problem)
    assert "anna" not in str(problem)
    assert run.check().figures()["counts"] == {"altered": len(run.check().problems)}


def test_a_service_is_verified_over_a_broker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = EmbeddedBroker(partitions=2)
    make = lambda *_, **__: Engine(fake_labeller("fake", poison=["poison"]), Always())  # noqa: E731
    monkeypatch.setattr("consumers.runtime.engine_factory.build_engine", make)
    run = good()
    command = ["verify", "--broker", broker.address, "--input-topic", TOPIC, "--policy", "always", "--until", "end"]
    fill(broker.address, run)
    assert main(command) == 0
    assert "one process" in capsys.readouterr().out
    # whoever reads more input finds that its answers are missing
    unanswered = Record(1, 99, b"a", msgspec.json.encode(update("a", "late", "rome", True)))
    fill(broker.address, replace(run, inputs=[unanswered], outputs=[], letters=[]))
    assert main(command) == 1
    assert "lost: session a, " in capsys.readouterr().err
    assert main([*command[:-1], "committed"]) == 0
    assert main([*command, "--guarantee", "twice"]) == 2
    capsys.readouterr()
    assert main([*command[:4], f"{TOPIC}s", *command[5:]]) == 1
    assert capsys.readouterr().err.endswith(f"; did you mean {TOPIC!r}?\n")
    broker.close()


def fill(broker: str, run: Run) -> None:
    topics = Topics(input=TOPIC)
    producer = Producer({"bootstrap.servers": broker})
    for topic, records in ((topics.input, run.inputs), (topics.output, run.outputs), (topics.dead_letter, run.letters)):
        for record in records:
            producer.produce(topic, record.value, record.key, record.partition, headers=list(record.headers))
    assert producer.flush(30) == 0
