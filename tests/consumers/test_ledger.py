"""The books of the service, against a plain model of them."""

from dataclasses import dataclass

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.ledger import Ledger, Progress


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
    progress, offset, begun, done = Progress(), 0, [], set()
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
    assert gaps or progress.position is None


def test_answers_find_their_records_even_when_partitions_share_a_session() -> None:
    ledger = Ledger(10)
    first, second = ledger.begin(P0, Fake("t", 0, 5)), ledger.begin(P1, Fake("t", 1, 5))
    ledger.expect("a", first, 0.0)
    ledger.expect("a", second, 0.0)
    assert ledger.waiting("a", 5) is first
    assert [ledger.release("a", 5), ledger.release("a", 5), ledger.release("a", 5)] == [first, second, None]


def test_room_and_calm_follow_what_is_in_flight() -> None:
    ledger = Ledger(2)
    taken = [ledger.begin(P0, Fake("t", 0, offset)) for offset in range(2)]
    assert (ledger.room, ledger.calm.is_set()) == (0, False)
    ledger.finish(taken[1])
    assert (ledger.room, ledger.positions()) == (1, {P0: 0})
    ledger.finish(taken[0])
    assert (ledger.room, ledger.calm.is_set(), ledger.positions()) == (2, True, {P0: 2})


def test_a_dropped_partition_takes_its_sessions_and_debts_along() -> None:
    ledger = Ledger(10)
    kept, lost = ledger.begin(P0, Fake("t", 0, 0)), ledger.begin(P1, Fake("t", 1, 0))
    ledger.expect("kept", kept, 0.0)
    ledger.expect("lost", lost, 0.0)
    assert ledger.drop([P1]) == ["lost"]
    assert ledger.release("lost", 0) is None
    assert (ledger.room, ledger.partitions) == (9, {P0})
    ledger.finish(lost)  # its acknowledgement comes late, and counts no more
    assert ledger.room == 9
    again = ledger.begin(P1, Fake("t", 1, 0))
    ledger.finish(lost)
    assert ledger.positions() == {P0: 0, P1: 0}
    ledger.finish(again)
    ledger.finish(kept)
    assert ledger.calm.is_set()


def test_idle_and_ended_sessions_are_forgotten() -> None:
    ledger = Ledger(10)
    for offset, (session, now) in enumerate([("old", 1.0), ("new", 5.0), ("ended", 5.0)]):
        ledger.expect(session, ledger.begin(P0, Fake("t", 0, offset)), now)
    ledger.forget_idle(2.0)
    ledger.forget("ended")
    assert ledger.drop([P0]) == ["new"]
