"""Keys of records: what is not the name of a session is described, never shortened and never quoted."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.decode import BadInput
from consumers.formats.keys import describe_key
from consumers.formats.readers import NormalReader, make_reader

VALUE = {"type": "update", "session": "room-9", "segment": "1", "text": "so it goes"}


def refusal(key: bytes, session: str = "room-9", format: str = "normal") -> str:
    value = json.dumps(VALUE | {"session": session}).encode()
    if format != "normal":
        value = json.dumps({"text": "so it goes"}).encode()
    with pytest.raises(BadInput) as refused:
        make_reader(format, lambda name: {}).read(value, key, 0)
    assert refused.value.reason == "key_mismatch"
    return refused.value.detail


@pytest.mark.parametrize(
    ("key", "session", "said"),
    [
        (b'"room-9"', "room-9", "in JSON quotes"),
        (b'"ro\\u00e9m"', "roém", "in JSON quotes"),
        (b'{"id": "room-9"}', "room-9", "a JSON object"),
        (b'["room-9"]', "room-9", "a JSON array"),
        (struct.pack(">q", 9), "9", "a number of 8 bytes"),
        (struct.pack(">q", 0x4142434445464748), str(0x4142434445464748), "a number of 8 bytes"),
        (struct.pack(">i", -2), "-2", "a number of 4 bytes"),
        (b"\0\0\0\0\x07room-9", "room-9", "the prefix of a schema registry"),
        (b'\0\0\0\0\x07"room-9"', "room-9", "the prefix of a schema registry"),
        (b"\0\0\0\0\x07\x0croom-9", "room-9", "the prefix of a schema registry"),
        (b"\xef\xbb\xbfroom-9", "room-9", "a byte order mark"),
        ("room-9".encode("utf-16-le"), "room-9", "UTF-16"),
        ("roém".encode("latin-1"), "roém", "not UTF-8 (byte 2 of 4)"),
        (b"room-9\n", "room-9", "control characters"),
        (b"room-9 ", "room-9", "white space"),
        (b"Room-9", "room-9", "upper and lower case"),
        (b"", "room-9", "empty, not null"),
        (b"room-8", "room-9", "is not the message's session"),
        (b"room", "room-9", "is not the message's session"),
    ],
)
def test_a_key_of_another_serializer_is_named(key: bytes, session: str, said: str) -> None:
    detail = refusal(key, session)
    assert said in detail
    assert session not in detail or session.lstrip("-").isdigit()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (struct.pack(">q", 9), "a number of 8 bytes"),
        (struct.pack(">q", -9), "a number of 8 bytes"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\0\0\0\0\x07room-9", "the prefix of a schema registry"),
        (b"", "empty"),
    ],
)
def test_a_key_that_alone_names_the_session_is_looked_at_too(key: bytes, said: str) -> None:
    assert said in refusal(key, format="vosk")


def test_a_key_of_text_is_used_in_full() -> None:
    for key in ('"k2"', "k" * 256, "ö" * 200, "{x}", " a "):
        [message] = make_reader("vosk", lambda name: {}).read(b'{"text": "so it goes"}', key.encode(), 0)
        assert message.session == key


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12))
def test_every_name_is_its_own_key(session: str) -> None:
    value = json.dumps(VALUE | {"session": session}).encode()
    assert [x.session for x in NormalReader().read(value, session.encode(), 0)] == [session]


@given(st.binary(max_size=20), st.text(max_size=8))
def test_no_key_ends_the_reader(key: bytes, session: str) -> None:
    describe_key(key)
    if key != session.encode("utf-8", "surrogatepass"):
        assert describe_key(key, session)
