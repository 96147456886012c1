"""Which format a topic has, by its first messages; and what is none."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.formats.base import FormatContext, read_value
from consumers.formats.decode import BadInput
from consumers.formats.registry import FORMATS, Detector, recognise
from stream.messages.errors import InputError
from tests.consumers.formats.runs import FIXTURES, fixture


def around(session: str | None = "s") -> FormatContext:
    return FormatContext(session, 7, lambda _: {})


@pytest.mark.parametrize("name", FORMATS)
def test_every_value_of_a_fixture_is_of_its_own_format_or_of_no_other(name: str) -> None:
    seen, refused = [], []
    for value in fixture(name):
        try:
            seen.append(recognise(value).name)
        except BadInput as error:
            refused.append(error.reason)
    assert set(refused) <= {"unknown_format"}
    assert set(seen) == {name}
    unsure = 3 if name == "vosk" else 2  # its bare texts could be any program's
    assert len(seen) >= len(fixture(name)) - unsure, "what a vendor sends should mostly tell that it does"


@pytest.mark.parametrize("name", FORMATS)
def test_a_topic_is_decided_once(name: str) -> None:
    detector = Detector()
    for value in fixture(name):
        try:
            assert detector.find(value).name == name
        except BadInput:
            assert detector.decided is None
    assert detector.decided is FORMATS[name]
    # from then on even what looks like another format is read with it
    other = "vosk" if name != "vosk" else "azure"
    assert detector.find(fixture(other)[1]).name == name


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'{"hello": "world"}', "no format is known to look so: if it is one of those in docs/formats.md"),
        (b'{"text": "any program may write this"}', "no format is known to look so"),
        (b'{"words": [{"text": "We", "is_final": true}]}', "otherwise convert it to the normal form"),
        (b"just a line of text", "name it with --format"),
        (b"[1, 2]", "no format is known to look so"),
        (b"17", "no format is known to look so"),
        (b"x --> y", "no format is known to look so"),
    ],
)
def test_what_no_format_has_decides_nothing(value: bytes, said: str) -> None:
    detector = Detector()
    with pytest.raises(BadInput) as bad:
        detector.find(value)
    assert bad.value.reason == "unknown_format"
    assert said in bad.value.detail
    assert detector.decided is None


def test_what_several_formats_could_be_decides_nothing() -> None:
    both = {"partial": "hi"} | {"Text": "hi", "Offset": 0, "Duration": 0}
    assert recognise(json.dumps(both).encode()).name == "azure"  # Vosk sends nothing beside its own
    both = {"type": "update", "session": "s", "segment": "u", "result_index": 0}
    with pytest.raises(BadInput, match="could be normal or watson: name one with --format"):
        recognise(json.dumps(both).encode())


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"x" * (1 << 21)])
def test_what_is_no_text_at_all_is_said_so(value: bytes | None) -> None:
    with pytest.raises(BadInput) as bad:
        Detector().find(value)
    assert bad.value.reason in ("empty", "invalid_utf8", "too_large")


NAMES = ("type", "text", "start", "results", "alternatives", "is_final", "segments", "event", "payload", "d", "items")
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=12,
)


def read_or_refuse(name: str, value: bytes) -> None:
    with suppress(BadInput, InputError):
        read_value(FORMATS[name], value, around())


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=50)
@given(value=ANY)
def test_json_of_any_kind_is_read_or_refused(name: str, value: object) -> None:
    read_or_refuse(name, json.dumps(value).encode())


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=50)
@given(value=st.binary(max_size=60))
def test_bytes_of_any_kind_are_read_or_refused(name: str, value: bytes) -> None:
    read_or_refuse(name, value)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_nested_without_end_is_refused(name: str) -> None:
    deep = b"[" * 100_000
    for value in (
        deep,
        b'{"event": ' + deep,
        b'{"payload": {"event": ' + deep,
        b'{"op": 0, "t": "MESSAGE_CREATE", "d": ' + deep,
    ):
        with pytest.raises(BadInput):
            recognise(value)
        read_or_refuse(name, value)


@pytest.mark.parametrize("name", [x for x in FORMATS if next(FIXTURES.glob(f"{x}.*")).suffix == ".jsonl"])
@settings(max_examples=60)
@given(data=st.data())
def test_a_vendors_message_with_anything_in_a_field_is_read_or_refused(name: str, data: st.DataObject) -> None:
    value = json.loads(data.draw(st.sampled_from(fixture(name))))
    place = value
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(ANY | st.sampled_from([10**400, -1, 1e308, "nan", "1e400s", "\u0000", "\ud800"]))
    read_or_refuse(name, json.dumps(value).encode())


def test_text_that_cannot_be_used_is_refused_before_anything_is_applied() -> None:
    result = {"IsPartial": False, "ChannelId": "ch_0", "Alternatives": [{"Transcript": "fine"}]}
    poisoned = result | {"ChannelId": "ch_1", "Alternatives": [{"Transcript": "x" * 70_000}]}
    value = json.dumps({"Transcript": {"Results": [result, poisoned]}}).encode()
    with pytest.raises((InputError, BadInput)):
        read_value(FORMATS["aws-transcribe"], value, around())
    long = {"text": "x" * 70_000}
    with pytest.raises(InputError, match="text_too_long"):
        read_value(FORMATS["vosk"], json.dumps(long).encode(), around())


@pytest.mark.parametrize("value", [b"no times", b"1 2", b"-1 5 x", b"1.5 2 x", b"00:01.000 --> x\nhi", b"x --> y\nhi"])
def test_lines_that_are_none_are_refused(value: bytes) -> None:
    for name in ("whisper-streaming", "captions"):
        with pytest.raises(BadInput) as bad:
            read_value(FORMATS[name], value, around())
        assert bad.value.reason == "invalid_message"
        assert "hi" not in bad.value.detail
