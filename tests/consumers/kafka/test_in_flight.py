"""The books of the service, against a plain model of them."""

from dataclasses import dataclass

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.kafka.in_flight import InFlightRecords, OffsetTracker


@dataclass(frozen=True)
class Fake:
    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    value: bytes | None = None


P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


@given(st.lists(st.integers(0, 3), max_size=20), st.randoms(use_true_random=False))
def test_a_commit_never_passes_an_offset_that_is_not_done(gaps: list[int], random: object) -> None:
    progress, offset, begun, done = OffsetTracker(), 0, [], set()
    for gap in gaps:
        offset += gap + 1
        progress.begin(offset)
        begun.append(offset)
        waiting = [x for x in begun if x not in done]
        for x in random.sample(waiting, random.randint(0, len(waiting))):  # type: ignore[attr-defined]
            progress.finish(x)
            done.add(x)
        waiting = [x for x in begun if x not in done]
        assert progress.position == (waiting[0] if waiting else begun[-1] + 1)
        assert progress.unfinished == len(waiting)
        assert progress.beyond == {x for x in done if x > progress.position}
    assert gaps or progress.position == 0


def test_answers_find_their_records() -> None:
    ledger, progress = InFlightRecords(10), OffsetTracker()
    first, second = (ledger.begin(progress, Fake("t", 0, offset)) for offset in (5, 6))
    ledger.expect("a", first)
    ledger.expect("a", second)
    assert ledger.waiting("a", 5) is first
    assert [ledger.release("a", 6), ledger.release("a", 5), ledger.release("a", 5)] == [second, first, None]
    assert ledger.home("a") == P0


def test_room_and_calm_follow_what_is_in_flight() -> None:
    ledger, progress = InFlightRecords(2), OffsetTracker()
    taken = [ledger.begin(progress, Fake("t", 0, offset)) for offset in range(2)]
    assert (ledger.room, ledger.calm.is_set()) == (0, False)
    assert ledger.deliver(taken[1])
    assert (ledger.room, ledger.calm.is_set()) == (1, False)
    assert ledger.deliver(taken[0])
    assert (ledger.room, ledger.calm.is_set()) == (2, True)


def test_a_dropped_partition_takes_its_sessions_and_debts_along() -> None:
    ledger, first, second = InFlightRecords(10), OffsetTracker(), OffsetTracker()
    kept, lost = ledger.begin(first, Fake("t", 0, 0)), ledger.begin(second, Fake("t", 1, 0))
    ledger.expect("stays", kept)
    ledger.expect("goes", lost)
    ledger.live_at("restored", P1)
    assert sorted(ledger.drop(P1, second)) == ["goes", "restored"]
    assert (ledger.room, ledger.calm.is_set()) == (9, False)
    assert ledger.release("goes", 0) is None
    assert not ledger.deliver(lost)
    assert ledger.release("stays", 0) is kept
    assert ledger.deliver(kept)
    assert ledger.calm.is_set()


def test_a_session_keeps_its_home_until_it_is_forgotten() -> None:
    ledger = InFlightRecords(10)
    ledger.live_at("a", P0)
    ledger.live_at("a", P1)
    assert ledger.home("a") == P0
    ledger.forget("a")
    assert ledger.home("a") is None
