"""Ownership of a changelog partition: which of its records count, when members of the group have written concurrently.

A member that opens a partition at least once writes a *claim* first (the partition's own record, `encode_claim`). The
offset of the claim is the member's *epoch*, and every later state that it writes carries it in a header. A record of
an older epoch after a newer claim is *stale*: its writer had lost the partition, and the record was still in a client's
queue or in the network. Stale records do not count, whatever their offset. Exactly once, the fenced producer needs no
claim, and the end of the changelog at the restore is the epoch.

That is a fence without help of the brokers (no transactions, no additional connection or round trip for a state):

- A new owner reads everything up to its claim. What a former owner wrote before it, the new owner restores.
- A former owner sees the claim as a gap in the offsets of its own acknowledged states, and publishes no revision that
  follows from a stale state (`AtLeastOnce.write_states`).
- The owner sees a stale record as a gap too, opens the partition again and writes the records that count once more
  (`LatestRecords.repairs`), so that compaction keeps them.

Records without an epoch, of versions before it, count as those of the owner at the time.
"""

import struct
from collections.abc import Sequence

import msgspec

from consumers.kafka.output.changelog import PARTITION_KEY, SCHEMA, KeyValue, is_claim

EPOCH_HEADER = "epoch"
_EPOCH = struct.Struct(">q")


def epoch_headers(epoch: int) -> list[tuple[str, bytes]]:
    """Headers of a state that the owner of this epoch writes."""
    return [(EPOCH_HEADER, _EPOCH.pack(epoch))]


def read_epoch(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """Epoch of a state; None if it has none."""
    for name, value in headers:
        if name == EPOCH_HEADER and value is not None and len(value) == _EPOCH.size:
            return int(_EPOCH.unpack(value)[0])
    return None


class LatestRecords:
    """The record of each key that counts, of a changelog partition that is read in order.

    Of records of one epoch, one with a lower `seq` does not replace one with a higher: it is a copy that a client sent
    again on another connection, and that arrived late.
    """

    def __init__(self) -> None:
        self._latest: dict[bytes, tuple[int, bytes | None, int]] = {}
        """By key: offset, value, epoch."""
        self._overwritten: dict[bytes, None] = {}
        """Keys whose last record in the log is stale: compaction would keep that one."""
        self.epoch = -1
        """Of the newest owner."""
        self.stale = 0
        """Number of stale records."""
        self.states = 0
        """Number of records that count, without those of the partition itself."""

    def add(self, offset: int, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> None:
        """Add the next record of the log."""
        if key == PARTITION_KEY and is_claim(value):
            epoch: int | None = offset
        else:
            epoch = read_epoch(headers)
            self.states += key != PARTITION_KEY
        epoch = self.epoch if epoch is None else epoch
        if epoch < self.epoch or self._is_older(key, value, epoch):
            self.stale += 1
            self._overwritten[key] = None
            return
        self.epoch = epoch
        self._overwritten.pop(key, None)
        self._latest.pop(key, None)
        self._latest[key] = offset, value, epoch

    def _is_older(self, key: bytes, value: bytes | None, epoch: int) -> bool:
        _, known, known_epoch = self._latest.get(key, (0, None, epoch))
        if known is None or value is None or known_epoch != epoch:
            return False
        before, seq = _read_seq(key, known), _read_seq(key, value)
        return before is not None and seq is not None and seq < before

    def records(self) -> list[tuple[int, KeyValue]]:
        """Offset, key and value of the records that count, in the order of the log."""
        return [(offset, (key, value)) for key, (offset, value, _) in self._latest.items()]

    def repairs(self) -> list[KeyValue]:
        """Records to write again, in the order of the log: stale records of the same keys have followed them.

        Keys that have no record that counts get a tombstone.
        """
        never = [(key, None) for key in self._overwritten if key not in self._latest]
        again = [(key, value) for key, (_, value, _) in self._latest.items() if key in self._overwritten]
        return [x for x in (*again, *never) if x[0] != PARTITION_KEY]


class _SegmentSeq(msgspec.Struct, array_like=True):
    text: msgspec.Raw
    order: msgspec.Raw
    seq: int


class _SessionSeq(msgspec.Struct, array_like=True):
    seq: int


class _SegmentValue(msgspec.Struct, array_like=True):
    schema: int
    state: _SegmentSeq


class _SessionValue(msgspec.Struct, array_like=True):
    schema: int
    state: _SessionSeq


_SEGMENT = msgspec.msgpack.Decoder(_SegmentValue)
_SESSION = msgspec.msgpack.Decoder(_SessionValue)
_TWO_NAMES = b'","'
"""In the key of a segment, and in no other: quotes inside of a name are escaped."""


def _read_seq(key: bytes, value: bytes) -> int | None:
    """Read `seq` of a state without decoding the rest; None if it is no state of this schema."""
    try:
        record = (_SEGMENT if _TWO_NAMES in key else _SESSION).decode(value)
    except msgspec.MsgspecError:
        return None
    return record.state.seq if record.schema == SCHEMA else None
