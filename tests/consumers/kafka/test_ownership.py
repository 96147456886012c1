"""Ownership of a changelog partition: what a former owner wrote late never counts, even after a compaction."""

from collections.abc import Iterable
from random import Random

import pytest

from consumers.kafka.output.changelog import (
    PARTITION_KEY,
    KeyValue,
    encode_entry,
    encode_partition_record,
    read_changelog,
)
from consumers.kafka.output.ownership import LatestRecords, epoch_headers, read_epoch
from stream.sessions.snapshot import Entry, restore_sessions
from tests.consumers.kafka.test_changelog import segment, session

CLAIM = encode_partition_record("g", "t", claim=True)
Record = tuple[int, bytes, bytes | None, list[tuple[str, bytes]]]


def state(name: str, seq: int) -> KeyValue:
    return encode_entry(Entry("a", name, segment(seq, f"text {seq}")))


def read(log: Iterable[Record]) -> LatestRecords:
    latest = LatestRecords()
    for record in log:
        latest.add(*record)
    return latest


def write(log: list[Record], pair: KeyValue, epoch: int | None) -> int:
    offset = log[-1][0] + 1 if log else 0
    log.append((offset, *pair, [] if epoch is None else epoch_headers(epoch)))
    return offset


def test_an_epoch_is_read_as_written_and_other_headers_are_none() -> None:
    assert read_epoch(epoch_headers(7)) == 7
    assert read_epoch([("epoch", None), ("epoch", b"seven"), ("other", b"12345678")]) is None


def test_a_late_state_of_a_former_owner_does_not_count_and_is_overwritten() -> None:
    log: list[Record] = []
    first = write(log, CLAIM, None)
    write(log, state("s", 1), first)
    second = write(log, CLAIM, None)
    right = state("s", 3)
    write(log, right, second)
    write(log, state("s", 2), first)  # held in the network
    write(log, state("t", 2), first)
    latest = read(log)
    assert (latest.stale, latest.epoch) == (2, second)
    assert dict(pair for _, pair in latest.records())[right[0]] == right[1]
    assert latest.repairs() == [right, (state("t", 2)[0], None)]
    third = write(log, CLAIM, None)
    for pair in latest.repairs():
        write(log, pair, third)
    assert read(log).repairs() == []


def test_a_late_claim_of_a_former_owner_makes_the_owner_claim_again() -> None:
    log: list[Record] = []
    first = write(log, CLAIM, None)
    write(log, CLAIM, None)  # of a member that the group has expelled
    write(log, state("s", 1), first)
    assert read(log).stale == 1, "its writer sees the gap, and does not publish what follows from it"


def test_a_lower_seq_of_the_same_owner_does_not_count_unless_the_key_was_removed() -> None:
    log: list[Record] = []
    epoch = write(log, CLAIM, None)
    for seq in (9, 5):
        write(log, state("s", seq), epoch)
    latest = read(log)
    assert latest.repairs() == [state("s", 9)]
    write(log, (state("s", 9)[0], None), epoch)
    write(log, state("s", 1), epoch)
    assert read(log).records()[-1][1] == state("s", 1)


@pytest.mark.parametrize("name", ['","', "\\", '\\","\\', ""])
def test_keys_of_sessions_and_segments_are_told_apart(name: str) -> None:
    log: list[Record] = []
    for seq in (9, 5):
        write(log, encode_entry(Entry(name, None, session(seq))), None)
        write(log, encode_entry(Entry(name, name, segment(seq))), None)
    assert read(log).stale == 2


def test_restored_sessions_keep_the_higher_seq() -> None:
    entries = [Entry("a", "s", segment(9)), Entry("a", None, session(9))]
    late = [Entry("a", "s", segment(5)), Entry("a", None, session(5))]
    assert restore_sessions([*entries, *late]) == restore_sessions(entries)
    removed = [Entry("a", "s", None), Entry("a", None, None)]
    assert restore_sessions([*entries, *removed, *late]) == restore_sessions(late)


def test_records_without_an_epoch_count_as_those_of_the_owner() -> None:
    """A version before epochs has had the partition in between."""
    log: list[Record] = []
    epoch = write(log, CLAIM, None)
    write(log, state("s", 1), epoch)
    write(log, state("s", 2), None)
    assert read(log).records()[-1][1] == state("s", 2)


def test_a_claim_keeps_what_is_done_beyond_the_position() -> None:
    value = encode_partition_record("g", "t", ((3, 4),), claim=True)
    assert read_changelog([(0, value)], "g", "t", "here").done == ((3, 4),)


class Group:
    """Members that own one partition in turn; each knows what it owned, and what it has sent may arrive late."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.log: list[Record] = []
        self.truth: dict[bytes, bytes | None] = {}
        """What a process would have that owned the partition all the time."""
        self.epoch, self.end, self.seq = -1, 0, 0
        self.late: list[tuple[KeyValue, int]] = []

    def take_over(self) -> None:
        """A member restores, claims, reads on to its claim, and writes again what must not be lost."""
        read(self.log)
        if self.late and self.random.random() < 0.3:
            self.arrive()
        self.epoch = write(self.log, CLAIM, None)
        if self.late and self.random.random() < 0.3:
            self.arrive()
        latest = read(self.log)
        known = {key: value for _, (key, value) in latest.records() if key != PARTITION_KEY and value is not None}
        # What arrived before the claim is as if its writer had never lost the partition.
        assert all(known.get(key) == value or key not in self.truth for key, value in self.truth.items() if value)
        self.truth = dict(known)
        self.end = self.log[-1][0] + 1
        for pair in latest.repairs():
            self.append(pair)
        assert read(self.log).repairs() == []

    def append(self, pair: KeyValue) -> bool:
        """Write as the owner; False if there is a gap in its offsets."""
        offset = write(self.log, pair, self.epoch)
        if offset != self.end:
            return False
        self.end += 1
        return True

    def work(self) -> None:
        self.seq += 1
        pair = state(self.random.choice("stu"), self.seq)
        if self.random.random() < 0.15:
            pair = pair[0], None
        if self.random.random() < 0.1:  # the network holds it, and its writer loses the partition before it arrives
            self.late.append((pair, self.epoch))
            return self.take_over()
        if self.append(pair):
            self.truth[pair[0]] = pair[1]
        else:
            # Not acknowledged to the engine: the owner opens the partition again. Its own states count all the same.
            self.truth[pair[0]] = pair[1]
            self.take_over()

    def arrive(self) -> None:
        pair, epoch = self.late.pop(self.random.randrange(len(self.late)))
        write(self.log, pair, epoch)
        if epoch == self.epoch:
            self.truth[pair[0]] = pair[1]

    def compact(self) -> None:
        """As brokers do, up to a random offset; not before an owner has noticed and repaired what is stale."""
        if read(self.log).repairs() or (self.log and self.log[-1][0] + 1 != self.end):
            return
        until = self.random.choice(self.log)[0] + 1 if self.log else 0
        last = {key: offset for offset, key, *_ in self.log if offset < until}
        self.log = [record for record in self.log if record[0] >= until or last[record[1]] == record[0]]


def test_whatever_arrives_late_and_is_compacted_the_states_are_those_of_the_owners() -> None:
    for seed in range(400):
        run(seed)


def run(seed: int) -> None:
    group = Group(Random(seed))
    group.take_over()
    for _ in range(60):
        dice = group.random.random()
        if dice < 0.75:
            group.work()
        elif dice < 0.85 and group.late:
            group.arrive()
        elif dice < 0.95:
            group.compact()
        else:
            group.take_over()
        known = {key: value for _, (key, value) in read(group.log).records() if key != PARTITION_KEY and value}
        assert known == {key: value for key, value in group.truth.items() if value}, f"seed {seed}"
