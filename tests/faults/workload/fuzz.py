"""Fuzzed records: mutations of valid ones. Some are still valid, which the oracle recognises."""

import json
from collections.abc import Callable
from random import Random

import msgspec

from consumers.formats.decode import BadInput, decode_message

HUGE = 1 << 20
"""Largest record that is read, in bytes."""
HUGE_SHARE = 0.0005
"""Share of huge records: a million of them would not fit on a disk."""
Pair = tuple[bytes | None, bytes | None]
"""Key and value."""


def _mutate(random: Random, key: bytes, value: bytes) -> Pair:
    """Mutate a record in one of many ways; its session stays the same wherever one can be read."""
    spoilt = random.choices(_WAYS, _WEIGHTS)[0](random, key, value)
    # Without a key the message's own session counts. It must not become one of another partition.
    return (key, spoilt[1]) if spoilt[0] is None and _session(spoilt[1]) not in (None, key) else spoilt


def _session(value: bytes | None) -> bytes | None:
    try:
        return decode_message(value).session.encode("utf-8", "surrogatepass")
    except BadInput:
        return None


def _flip(random: Random, key: bytes, value: bytes) -> Pair:
    spoilt = bytearray(value)
    for _ in range(random.randint(1, 4)):
        spoilt[random.randrange(len(spoilt))] = random.randrange(256)
    return random.choice([key, None]), bytes(spoilt)


def _truncate(random: Random, key: bytes, value: bytes) -> Pair:
    return key, value[: random.randrange(len(value))]


def _insert(random: Random, key: bytes, value: bytes) -> Pair:
    at = random.randrange(len(value))
    return key, value[:at] + random.choice(_BYTES) * random.randint(1, 3) + value[at:]


def _other_type(random: Random, key: bytes, value: bytes) -> Pair:
    fields = json.loads(value)
    fields[random.choice(_FIELDS)] = random.choice(_VALUES)
    return key, json.dumps(fields).encode("utf-8", "surrogatepass")


def _drop_field(random: Random, key: bytes, value: bytes) -> Pair:
    fields = json.loads(value)
    fields.pop(random.choice(list(fields)))
    return key, json.dumps(fields).encode()


def _wrong_key(random: Random, key: bytes, value: bytes) -> Pair:
    return random.choice([b"", b"\xff\x00", key + b"x", random.randbytes(20), b"k" * 3000]), value


def _nothing(random: Random, key: bytes, value: bytes) -> Pair:
    return key, random.choice([None, b"", b" ", b"null", b"[]", b"0", b'"x"', b"{}"])


def _noise(random: Random, key: bytes, value: bytes) -> Pair:
    return random.choice([key, None]), random.randbytes(random.randint(1, 300))


def _deep(random: Random, key: bytes, value: bytes) -> Pair:
    depth = random.choice([100, 5000])
    return key, value[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"


def _long(random: Random, key: bytes, value: bytes) -> Pair:
    fields = json.loads(value)
    fields["text"] = random.choice(["a ", "é", "word "]) * random.choice([40_000, 70_000])
    return key, json.dumps(fields).encode()


def _huge(random: Random, key: bytes, value: bytes) -> Pair:
    """Make a record about as large as the largest that is read, and smaller than a broker's limit."""
    return key, value[:-1] + b',"pad":"' + b"x" * (random.choice([HUGE - 20_000, HUGE + 10_000])) + b'"}'


def _unknown_target(random: Random, key: bytes, value: bytes) -> Pair:
    """Make a delete of an unknown segment, or an end of an unknown session."""
    if random.random() < 0.5:
        return key, msgspec.json.encode({"type": "delete", "session": key.decode(), "segment": "nobody"})
    stranger = b"stranger-" + random.randbytes(4).hex().encode()
    return stranger, msgspec.json.encode({"type": "end", "session": stranger.decode()})


_FIELDS = ("type", "session", "segment", "text", "mode", "final", "time", "words")
_BYTES = (b"\x00", b"\xff", b"\xed\xa0\x80", b'"', b"{", b"}", b"\\", b"\\u0000", b"\\ud800", b"\xf0\x9f\x98\x80")
_VALUES: tuple[object, ...] = (
    None, True, 0, -1, 1e400, "", "x" * 300, "\x00", "\ud800", [], {}, ["a"], "final", "update", 1 << 70, "é" * 256,
)  # fmt: skip
_WEIGHTED: dict[Callable[[Random, bytes, bytes], Pair], int] = {
    _flip: 20,
    _truncate: 15,
    _insert: 15,
    _other_type: 20,
    _drop_field: 6,
    _wrong_key: 8,
    _nothing: 8,
    _noise: 8,
    _unknown_target: 6,
    _deep: 1,
    _long: 1,
}
_WAYS, _WEIGHTS = list(_WEIGHTED), list(_WEIGHTED.values())


def mutate_record(random: Random, key: bytes, value: bytes) -> Pair:
    """Mutate a record, rarely to one near the broker's size limit."""
    return _huge(random, key, value) if random.random() < HUGE_SHARE else _mutate(random, key, value)
