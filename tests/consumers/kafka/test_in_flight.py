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
    tracker, offset, begun, done = OffsetTracker(), 0, [], set()
    for gap in gaps:
        offset += gap + 1
        tracker.begin(offset)
        begun.append(offset)
        waiting = [x for x in begun if x not in done]
        for x in random.sample(waiting, random.randint(0, len(waiting))):  # type: ignore[attr-defined]
            tracker.finish(x)
            done.add(x)
        waiting = [x for x in begun if x not in done]
        assert tracker.position == (waiting[0] if waiting else begun[-1] + 1)
        assert tracker.unfinished == len(waiting)
        assert tracker.finished_beyond == {x for x in done if x > tracker.position}
    assert gaps or tracker.position == 0


def test_answers_find_their_records() -> None:
    in_flight, tracker = InFlightRecords(10), OffsetTracker()
    first, second = (in_flight.begin(tracker, Fake("t", 0, offset)) for offset in (5, 6))
    in_flight.add_pending("a", first)
    in_flight.add_pending("a", second)
    assert in_flight.find_pending("a", 5) is first
    assert [in_flight.complete("a", 6), in_flight.complete("a", 5), in_flight.complete("a", 5)] == [second, first, None]
    assert in_flight.partition_of("a") == P0


def test_room_and_calm_follow_what_is_in_flight() -> None:
    in_flight, tracker = InFlightRecords(2), OffsetTracker()
    taken = [in_flight.begin(tracker, Fake("t", 0, offset)) for offset in range(2)]
    assert (in_flight.capacity, in_flight.idle.is_set()) == (0, False)
    assert in_flight.mark_delivered([taken[1]])
    assert (in_flight.capacity, in_flight.idle.is_set()) == (1, False)
    assert in_flight.mark_delivered([taken[0]])
    assert (in_flight.capacity, in_flight.idle.is_set()) == (2, True)


def test_a_dropped_partition_takes_its_sessions_and_debts_along() -> None:
    in_flight, first, second = InFlightRecords(10), OffsetTracker(), OffsetTracker()
    kept, lost = in_flight.begin(first, Fake("t", 0, 0)), in_flight.begin(second, Fake("t", 1, 0))
    in_flight.add_pending("stays", kept)
    in_flight.add_pending("goes", lost)
    in_flight.assign_session("restored", P1)
    assert sorted(in_flight.drop_partition(P1, second)) == ["goes", "restored"]
    assert (in_flight.capacity, in_flight.idle.is_set()) == (9, False)
    assert in_flight.complete("goes", 0) is None
    assert not in_flight.mark_delivered([lost])
    assert in_flight.complete("stays", 0) is kept
    assert in_flight.mark_delivered([kept])
    assert in_flight.idle.is_set()


def test_a_session_keeps_its_home_until_it_is_forgotten() -> None:
    in_flight = InFlightRecords(10)
    in_flight.assign_session("a", P0)
    in_flight.assign_session("a", P1)
    assert in_flight.partition_of("a") == P0
    in_flight.forget_session("a")
    assert in_flight.partition_of("a") is None
