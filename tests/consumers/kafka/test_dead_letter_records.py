"""Dead letters written and read back, and the books of what is done with them."""

import random

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.kafka.dead_letters.records import MAX_METADATA, DeadLetter, DoneOffsets, TooScattered, read_letter
from consumers.kafka.output.dead_letter import (
    MAX_LETTER,
    DeadLetterRecord,
    Headers,
    copy_record,
    original_headers,
    read_replays,
)


def record(
    value: bytes | None, key: bytes | None = b"s", headers: object = (), topic: str = "in", offset: int = 7
) -> ConsumerRecord:
    return ConsumerRecord(topic, 2, offset, 5000, 0, key, value, None, 0, 0, headers)


def bury(original: ConsumerRecord, reason: str = "invalid_json", at_hand: bool = True) -> ConsumerRecord:
    return stored(copy_record(reason, "why", original, at_hand=at_hand))


def stored(letter: DeadLetterRecord) -> ConsumerRecord:
    return record(letter.value, letter.key, letter.headers, "dead", 40)


def read(original: ConsumerRecord) -> DeadLetter:
    letter = read_letter(bury(original))
    assert letter is not None
    return letter


def test_a_letter_says_what_it_is_and_where_it_comes_from() -> None:
    letter = read(record(b"{"))
    assert (letter.reason, letter.origin, letter.origin_offset) == ("invalid_json", TopicPartition("in", 2), 7)
    assert (letter.location, letter.offset, letter.time) == (TopicPartition("dead", 2), 40, 5.0)
    assert (letter.key, letter.value, letter.replays, letter.is_cut) == (b"s", b"{", 0, False)
    assert dict(letter.replay_headers()) == {
        "original_headers": b"0",
        "replays": b"1",
        "reason": b"invalid_json",
        "topic": b"in",
        "partition": b"2",
        "offset": b"7",
    }


def test_replays_are_counted_up_through_a_second_death() -> None:
    letter = read(record(b"{", headers=read(record(b"{")).replay_headers()))
    assert letter.replays == 1
    assert dict(letter.replay_headers())["replays"] == b"2"


@pytest.mark.parametrize("junk", [None, b"", b"-1", b"x", b"1" * 10, b"\xff", "¹".encode()])
def test_junk_in_a_header_counts_as_never_replayed(junk: bytes | None) -> None:
    assert read_replays([("replays", junk)]) == 0
    assert "replays" not in dict(split_own(record(b"", headers=[("replays", junk)])))


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"s", b"x" * (MAX_LETTER + 1)), (b"k" * (MAX_LETTER + 1), b"{"), (None, b"y" * (MAX_LETTER + 5))],
)
def test_a_cut_letter_knows_its_whole_record(key: bytes | None, value: bytes) -> None:
    letter = read(record(value, key))
    assert letter.is_cut
    assert letter.begins(key, value)
    assert not letter.begins(key, value + b"x")
    assert not letter.begins(b"z" + (key or b""), value)
    assert not letter.begins(key, b"z" + value[1:])


def test_a_letter_without_its_value_knows_that_it_had_one() -> None:
    letter = read_letter(bury(record(None), "revision_too_large", at_hand=False))
    assert letter is not None
    assert letter.is_cut
    assert letter.begins(b"s", b"whatever it was")
    assert not letter.begins(b"other", b"whatever it was")
    empty = read_letter(bury(record(None), "empty"))
    assert empty is not None
    assert not empty.is_cut


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["traceparent", "reason", "topic", "bytes", "original_headers", "replays", "x"]),
        st.none() | st.binary(max_size=6) | st.sampled_from([b"0", b"1", b"2", b"3"]),
    ),
    max_size=5,
)


@given(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=40), HEADERS, st.integers(0, 3))
def test_a_record_comes_back_as_it_was_whatever_its_headers_are(
    value: bytes | None, key: bytes | None, headers: Headers, deaths: int
) -> None:
    """Also with headers that have the names of ours, and after several deaths. Those of a replay do not pile up."""
    headers = [("mine", b""), *headers]  # an ordinary record: no copy of a letter
    if original_headers(headers) != headers:
        return
    now = record(value, key, headers)
    for death in range(deaths + 1):
        letter = read_letter(bury(now))
        assert letter is not None
        assert (letter.value, letter.key, letter.headers) == (value, key, headers)
        assert (letter.reason, letter.origin_offset, letter.is_cut) == ("invalid_json", 7, False)
        assert letter.replays == death + read_replays(headers)
        now = record(letter.value, letter.key, letter.replay_headers())
        assert original_headers(now.headers) == headers


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 30), st.integers(600, 4000))
def test_a_letter_keeps_to_its_limit_and_says_what_it_lacks(
    value_size: int, key_size: int, header_count: int, limit: int
) -> None:
    original = record(b"v" * value_size, b"k" * key_size, [("h", b"x" * 50)] * header_count)
    copied = copy_record("too_large", "why", original, limit=limit)
    assert copied.size <= limit
    letter = read_letter(stored(copied))
    assert letter is not None
    assert letter.begins(original.key, original.value)
    whole = (copied.key, copied.value, letter.headers) == (original.key, original.value, original.headers)
    assert letter.is_cut != whole
    assert (letter.size, letter.key_size) == (value_size, key_size)


def test_a_tombstone_is_no_empty_value() -> None:
    """Nor a value that is not at hand."""
    letters = [read(record(None)), read(record(b"")), read_letter(bury(record(None), at_hand=False))]
    assert [(x.value, x.is_cut) for x in letters if x] == [(None, False), (b"", False), (None, True)]


def test_what_an_older_version_has_replayed_or_buried_is_read() -> None:
    headers = [("replays", b"2"), ("reason", b"empty"), ("topic", b"in"), ("partition", b"0"), ("offset", b"1")]
    letter = read_letter(bury(record(b"{", headers=headers)))
    assert letter is not None
    assert (letter.headers, letter.replays) == ([], 2)
    older = read_letter(record(b"{", headers=[*headers[1:], ("error", b"why"), ("bytes", b"9")]))
    assert older is not None
    assert (older.headers, older.size, older.is_cut) == ([], 9, True)


def split_own(original: ConsumerRecord) -> Headers:
    """Our headers of a record's letter."""
    return copy_record("empty", "", original).headers[len(original.headers) :]


def test_a_letter_shows_no_text() -> None:
    assert "secret" not in repr(read(record(b"secret", b"secret")))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("reason", b"empty")],
        [("reason", b"empty"), ("topic", b"in"), ("partition", b"x"), ("offset", b"1")],
        [("reason", b"\xff"), ("topic", b"in"), ("partition", b"0"), ("offset", b"1")],
        [("reason", None), ("topic", b"in"), ("partition", b"0"), ("offset", b"1")],
        [("reason", b"empty"), ("topic", b"in"), ("partition", b"0"), ("offset", b"1"), ("bytes", b"many")],
    ],
)
def test_what_the_service_did_not_write_is_no_letter(headers: object) -> None:
    assert read_letter(record(b"x", headers=headers)) is None


@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), max_size=30))
def test_done_is_a_set_of_offsets(position: int, stretches: list[tuple[int, int]]) -> None:
    done, model = DoneOffsets(position), set(range(position))
    for start, length in stretches:
        done.add(start, start + length)
        model |= set(range(start, start + length))
        assert [x in done for x in range(80)] == [x in model for x in range(80)]
        assert done.position == next(x for x in range(80) if x not in model)
        assert all(a[1] < b[0] for a, b in zip(done.beyond, done.beyond[1:], strict=False))
    again = DoneOffsets.parse(done.position, done.metadata())
    assert (again.position, again.beyond) == (done.position, done.beyond)
    assert done.copy().beyond == done.beyond


def test_large_offsets_and_many_even_stretches_fit_into_a_commit() -> None:
    done = DoneOffsets(10**12)
    for i in range(20_000):
        done.add(10**12 + 3 * i + 1, 10**12 + 3 * i + 3)
    assert len(done.metadata()) <= MAX_METADATA
    assert DoneOffsets.parse(done.position, done.metadata()).beyond == done.beyond


def test_too_many_uneven_stretches_are_refused() -> None:
    rng, done, at = random.Random(1), DoneOffsets(), 5
    for _ in range(5000):
        at += rng.randint(2, 10_000)
        done.add(at, at + 1)
    with pytest.raises(TooScattered, match="5000"):
        done.metadata()


@pytest.mark.parametrize("metadata", ["?", "aGVsbG8=", "hello", "é"])
def test_foreign_metadata_is_nothing_done_beyond(metadata: str) -> None:
    done = DoneOffsets.parse(-1, metadata)
    assert (done.position, done.beyond) == (0, [])
