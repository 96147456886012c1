"""Records that nobody should send: what a fuzzer makes of good ones. Some happen to be good still; the oracle knows."""

import json
from collections.abc import Callable
from random import Random

import msgspec

from consumers.formats.decode import BadInput, decode_message

HUGE = 1 << 20
"""Bytes that are looked at."""
HUGE_SHARE = 0.0005
"""Huge records are rare among hostile ones: a million of them would not fit on a disk."""
Pair = tuple[bytes | None, bytes | None]
"""Key and value."""


def mangle(random: Random, key: bytes, value: bytes) -> Pair:
    """Spoil a record in one of many ways. Its session stays what it was wherever one can still be read."""
    spoilt = random.choices(_WAYS, _WEIGHTS)[0](random, key, value)
    # Without a key the message's own session counts. It must not slip into another one, which lives elsewhere.
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
    """About as large as what is looked at at most, and never larger than what a broker takes."""
    return key, value[:-1] + b',"pad":"' + b"x" * (random.choice([HUGE - 20_000, HUGE + 10_000])) + b'"}'


def _unheard(random: Random, key: bytes, value: bytes) -> Pair:
    """A delete of a segment, or the end of a session, that was never heard of."""
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
    _unheard: 6,
    _deep: 1,
    _long: 1,
}
_WAYS, _WEIGHTS = list(_WEIGHTED), list(_WEIGHTED.values())


def mangle_or_huge(random: Random, key: bytes, value: bytes) -> Pair:
    """As `mangle`, and now and then a record near the limit of a broker."""
    return _huge(random, key, value) if random.random() < HUGE_SHARE else mangle(random, key, value)
