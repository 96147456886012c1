"""Records of the changelog: what is written can be read, and what is not ours is refused in words that help."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kafka.output.changelog import (
    PARTITION_KEY,
    ChangelogError,
    KeyValue,
    encode_entry,
    encode_partition_record,
    from_ranges,
    read_changelog,
    to_ranges,
)
from consumers.kafka.output.encoded_output import (
    EncodedOutput,
    EncodedRevision,
    encode_newest,
    encode_with_outbox,
    find_gravestones,
)
from stream.sessions.snapshot import Entry, LabelState, SegmentState, SessionState

NAMES = st.text(min_size=1, max_size=5)


def segment(seq: int, text: str = "anna") -> SegmentState:
    return SegmentState(text=text, order=seq, seq=seq, counters={"ner": (seq, 1)}, offset=seq, applied=seq)


def session(seq: int, **fields: object) -> SessionState:
    return SessionState(seq=seq, counters={"ner": (seq, 1)}, offset=seq, **fields)  # type: ignore[arg-type]


def read(*pairs: KeyValue, group: str = "g", topic: str = "t"):  # type: ignore[no-untyped-def]
    return read_changelog(enumerate(pairs), group, topic, "topic t.state, partition 0")


@given(NAMES, NAMES, st.lists(st.binary(), max_size=3))
def test_what_is_written_is_read(name: str, part: str, outbox: list[bytes]) -> None:
    restored = read(encode_entry(Entry(name, part, segment(7)), outbox), encode_partition_record("g", "t"))
    assert list(restored.sessions) == [name]
    assert restored.sessions[name].segments == {part: segment(7)}
    assert restored.outbox == ({name: tuple(outbox)} if outbox else {})


def with_labels(labels: LabelState) -> SegmentState:
    return msgspec.structs.replace(segment(7), labels={"ner": labels})


class OlderLabels(msgspec.Struct, array_like=True):
    """Labels as a version reads them that knows neither number formats, text scores nor settled text."""

    published: bool = False
    spans: tuple[object, ...] = ()
    words: bytes = b""


def test_fields_of_labels_that_came_later_are_read_and_older_records_and_readers_do_without() -> None:
    state = with_labels(LabelState(True, (), b"w", "int8/bfloat16", {"rude": 0.5}, 9, 7))
    inline = session(7, closing={"s": state})
    for entry in (Entry("a", "s", state), Entry("a", None, inline)):
        key, value = encode_entry(entry, [b"out"])
        assert value is not None
        restored = read((key, value))
        assert restored.sessions["a"].segments == {"s": state}
        place = SegmentState.__struct_fields__.index("labels")
        raw = msgspec.msgpack.decode(value)
        stored = raw[1] if entry.segment else raw[1][SessionState.__struct_fields__.index("closing")]["s"]
        assert msgspec.convert(stored[place]["ner"], OlderLabels) == OlderLabels(True, (), b"w")
        known: tuple[object, ...] = (True, (), b"w", "int8/bfloat16", {"rude": 0.5}, 9)
        for count in (6, 5, 4, 3):
            older = LabelState(*known[:count])  # type: ignore[arg-type]
            stored[place]["ner"].pop()
            before = read((key, msgspec.msgpack.encode(raw)))
            assert before.sessions["a"].segments == {"s": with_labels(older)}
            assert before.outbox == restored.outbox == {"a": (b"out",)}


def test_the_newest_record_of_a_session_has_its_outbox() -> None:
    first = encode_entry(Entry("a", "s", segment(1)), [b"one"])
    second = encode_entry(Entry("a", "t", segment(2)), [b"two"])
    clean = encode_entry(Entry("a", None, session(3, ended=True)))
    assert read(first, second).outbox == {"a": (b"two",)}
    assert read(first, second, clean).outbox == {}


def test_what_is_done_beyond_the_position_is_known() -> None:
    assert list(from_ranges(read(encode_partition_record("g", "t", ((5, 7), (9, 10)))).done)) == [5, 6, 9]


@given(st.sets(st.integers(0, 40)))
def test_ranges_are_the_same_offsets(offsets: set[int]) -> None:
    ranges = to_ranges(offsets)
    assert list(from_ranges(ranges)) == sorted(offsets)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))


NEWER = msgspec.msgpack.encode([3, {"whatever": 1}, 3])
OLDER = msgspec.msgpack.encode([1, ["anna", 1, 1, 1, 1, 0, 0], []])


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((b"not json", b"x"), "no key of ours"),
        ((b'["a","s","t","u"]', b"x"), "no key of ours"),
        ((b'["a"]', b"\xc1"), "no state of ours"),
        ((b'["a","s"]', b"plain text"), "no state of ours"),
        ((b'["a","s"]', NEWER), "newer Hearken (schema 3, this one knows 2)"),
        ((b'["a"]', NEWER), "newer Hearken"),
        ((PARTITION_KEY, NEWER), "newer Hearken"),
        ((b'["ner","a","s"]', OLDER), "older Hearken (schema 1, this one knows 2)"),
        ((b'["ner","a"]', OLDER), "older Hearken (schema 1"),
        ((b'["ner","a","s"]', None), "older Hearken"),
        (encode_partition_record("other", "t"), "of group 'other' on topic 't'"),
        (encode_partition_record("g", "other"), "of group 'g' on topic 'other'"),
    ],
)
def test_foreign_and_newer_records_are_refused(pair: KeyValue, words: str) -> None:
    with pytest.raises(ChangelogError) as refused:
        read(encode_partition_record("g", "t"), pair)
    assert words in str(refused.value)
    assert "topic t.state, partition 0" in str(refused.value)
    assert "--state-topic" in str(refused.value)


def outgoing(*entries: Entry, told: tuple[tuple[str, bytes], ...] = ()) -> EncodedOutput:
    return EncodedOutput(list(entries), [], [EncodedRevision(*x) for x in told])


def test_a_newer_entry_replaces_an_older_one_and_carries_its_revisions() -> None:
    group = [
        outgoing(Entry("a", "s", segment(1)), told=(("a", b"1"),)),
        outgoing(Entry("b", "s", segment(1)), told=(("b", b"1"),)),
        outgoing(Entry("a", "s", segment(2)), told=(("a", b"2"),)),
    ]
    assert encode_with_outbox(group) == [
        encode_entry(Entry("b", "s", segment(1)), [b"1"]),
        encode_entry(Entry("a", "s", segment(2)), [b"1", b"2"]),
    ]
    assert encode_newest(group) == [
        encode_entry(Entry("b", "s", segment(1))),
        encode_entry(Entry("a", "s", segment(2))),
    ]


def test_only_neighbours_give_way() -> None:
    """Cut behind the entry of `t`, whose numbers say that message 1 is in the state, `s` must have it."""
    group = [outgoing(Entry("a", name, segment(seq))) for seq, name in enumerate("stss", 1)]
    assert [key for key, _ in encode_with_outbox(group)] == [b'["a","s"]', b'["a","t"]', b'["a","s"]']
    assert encode_with_outbox(group)[-1] == encode_entry(Entry("a", "s", segment(4)))


def test_only_the_last_gravestone_is_written_clean() -> None:
    grave, gone = Entry("a", None, session(2, ended=True)), Entry("a", "s", None)
    assert find_gravestones([outgoing(grave, gone)]) == [grave]
    assert find_gravestones([outgoing(grave, gone), outgoing(Entry("a", "s", segment(3)))]) == []
    assert find_gravestones([outgoing(grave, gone), outgoing(Entry("a", None, None))]) == []


def test_around_a_sessions_own_entry_all_are_written_in_order() -> None:
    """Cut after any of them, a session must be as before or after some operation."""
    closing = Entry("a", None, session(2, closing={"s": segment(2)}))
    group = [
        outgoing(Entry("a", "s", segment(1)), told=(("a", b"1"),)),
        outgoing(closing, Entry("a", "s", segment(2)), told=(("a", b"2"),)),
        outgoing(Entry("a", "t", segment(3))),
        outgoing(Entry("a", "t", segment(4))),
    ]
    records = encode_with_outbox(group)
    assert [key for key, _ in records] == [
        b'["a","s"]',
        b'["a"]',
        b'["a","s"]',
        b'["a","t"]',
    ]
    assert records[1] == encode_entry(closing, [b"1", b"2"])
