"""What the fault tests send, and how they read what they measured."""

from collections import Counter
from random import Random

import msgspec
import pytest

from consumers.formats.decode import BadInput, check_key, decode_message
from encoder.restart.policies import Never
from stream.engine.engine import Engine
from stream.messages.types import Delete, End, Update
from tests.faults.measurements import (
    AnsweredMessage,
    first_answers,
    memory_by_minute,
    memory_growth,
    pauses,
    percentile,
)
from tests.faults.options import FaultResult
from tests.faults.report import results_table
from tests.faults.rig.worker_processes import Event, as_flags
from tests.faults.workload.fuzz import mutate_record
from tests.faults.workload.sessions import SyntheticSessions
from tests.stream.fake_tagger import FakeLabeller


@pytest.mark.parametrize("reuse_names", [True, False])
def test_speech_is_good_in_its_order_and_has_everything(reuse_names: bool) -> None:
    source = SyntheticSessions(3, 20, reuse_names=reuse_names)
    engine = Engine(FakeLabeller(), Never())
    messages = [source.next_message() for _ in range(8000)]
    messages += source.close_segments()
    for offset, message in enumerate(messages):
        engine.submit(message, offset)  # raises if it is bad
        if offset % 500 == 0:
            while engine.pending:
                engine.step()
    kinds = Counter(type(x) for x in messages)
    assert all(kinds[x] > 5 for x in (Update, Delete, End))
    updates = [x for x in messages if isinstance(x, Update)]
    assert {x.mode for x in updates} == {"replace", "append"}
    assert any(x.words for x in updates)
    assert sum(x.final for x in updates) > 500
    said: dict[tuple[str, str], str] = {}
    shrunk = repeated = 0
    for x in updates:
        before = said.get((x.session, x.segment), "")
        said[x.session, x.segment] = before + x.text if x.mode == "append" else x.text
        shrunk += x.mode == "replace" and len(x.text) < len(before)
        repeated += x.text == before
    assert shrunk > 50
    assert repeated > 50


def test_speech_is_the_same_for_the_same_seed_only() -> None:
    one, same, other = (SyntheticSessions(seed, 5) for seed in (1, 1, 2))
    first = [one.next_message() for _ in range(50)]
    assert first == [same.next_message() for _ in range(50)]
    assert first != [other.next_message() for _ in range(50)]


def test_hostile_records_are_bad_in_every_way_and_never_slip_into_another_session() -> None:
    random, source = Random(1), SyntheticSessions(1, 10)
    reasons: Counter[str] = Counter()
    for _ in range(6000):
        message = source.next_message()
        own = message.session.encode()
        key, value = mutate_record(random, own, msgspec.json.encode(message))
        try:
            decoded = decode_message(value)
            check_key(key, decoded)
        except BadInput as error:
            reasons[error.reason] += 1
        else:
            reasons["good"] += 1
            assert decoded.session == message.session or decoded.session.startswith("stranger-")
    assert set(reasons) == {
        "good", "empty", "too_large", "invalid_utf8", "invalid_json", "invalid_message", "key_mismatch",
    }  # fmt: skip
    assert reasons["good"] < 2500


def assigned(worker: str, at: float, *partitions: int, life: int = 1) -> Event:
    return Event(worker, life, at, {"event": "assigned", "partitions": list(partitions)})


def test_pauses_tell_kept_partitions_from_moved_ones() -> None:
    times = {0: [0.0, 1.0, 9.5, 10.5, 20.0], 1: [0.0, 1.0, 8.0, 13.0, 20.0]}
    answers = [AnsweredMessage(p, "s", t, t) for p, each in times.items() for t in each]
    answers.sort(key=lambda x: x.answered)
    events = [assigned("w1", -5.0, 0, 1), assigned("w2", 10.0, 1), assigned("w1", 10.0, 0)]
    assert pauses(answers, events, 1.0) == {"kept": [9.5], "moved": [5.0]}


def test_first_answers_count_from_the_assignment_or_from_when_it_was_sent() -> None:
    answers = [AnsweredMessage(0, "a", 1.0, 5.5), AnsweredMessage(0, "b", 6.0, 6.25), AnsweredMessage(0, "a", 7.0, 7.5)]
    partitions, sessions = first_answers(answers, [assigned("w1", 5.0, 0)])
    assert partitions == [0.5]
    assert sessions == [0.5, 0.25]


def test_memory_is_summed_over_workers_and_its_growth_found() -> None:
    mib = 1 << 20
    memory = [(float(t), name, (100 + t) * mib) for t in range(8) for name in ("w1", "w2")]
    assert memory_by_minute(memory, 4.0) == [203.0, 211.0]
    assert memory_growth(memory, 0.0) == 7.0  # from the mean of seconds 2 and 3 to second 6
    assert memory_growth([], 0.0) is None
    assert (percentile([3, 1, 2], 0.5), percentile([], 0.5)) == (2, None)


def test_flags_and_verdicts() -> None:
    assert as_flags({"commit_seconds": 0.1, "coalesce": False}) == ["--commit-seconds", "0.1", "--no-coalesce"]
    good = FaultResult("kill", "exactly_once", "always", True)
    assert good.ok
    bad = [
        FaultResult("kill", "exactly_once", "always", True, **x)  # type: ignore[arg-type]
        for x in ({"counts": {"lost": 1}}, {"stuck": True}, {"died": 1}, {"bad_ends": 1})
    ]
    assert not any(x.ok for x in bad)
    assert results_table([good, *bad]).row_count == 5
