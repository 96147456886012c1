"""Values as the serialisers of other programs write them: read where they can mean one thing only, else named."""

import gzip
import json
import math
import re
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.common.json_wrapping import has_nan, mend_json, unwrap_json
from consumers.formats.base import FormatContext, read_value
from consumers.formats.decode import BadInput, decode_json, decode_message, make_closed_update
from consumers.formats.registry import FORMATS, recognise
from stream.messages.types import Update
from tests.consumers.formats.runs import FIXTURES, SESSION, Run

PLAIN = {"type": "update", "session": "s", "segment": "1", "text": "anna saw the sea", "final": True}
VALUE = json.dumps(PLAIN).encode()
ANYTHING: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()


def read(value: bytes) -> Update:
    message = decode_message(value)
    assert isinstance(message, Update)
    return message


def with_field(name: str, token: str) -> bytes:
    return VALUE[:-1] + f', "{name}": {token}}}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        b"\xef\xbb\xbf" + VALUE,
        b"\xef\xbb\xbf\xef\xbb\xbf \n" + VALUE,
        b"\x1e" + VALUE + b"\n",
        VALUE + b"\0",
        VALUE + b"\r\n\0\0",
        b"\0\x00\x00\x01\x99" + VALUE,
        b"\0" + bytes(7) + b"\x01" + VALUE,
        b"\x03\0" + bytes(range(0xF0, 0x100)) + VALUE,
        json.dumps(VALUE.decode()).encode(),
        json.dumps(json.dumps(VALUE.decode())).encode(),
        b'{"schema": {"type": "struct", "fields": []}, "payload": ' + VALUE + b"}",
        b'{"payload": ' + json.dumps(VALUE.decode()).encode() + b', "schema": null}',
        b"\0\0\0\0\x07" + b'{"schema": 1, "payload": ' + VALUE + b"}",
    ],
    ids=range(13),
)
def test_what_is_around_a_value_is_taken_off(value: bytes) -> None:
    assert read(value) == read(VALUE)
    vosk = value.replace(VALUE, b'{"text": "hi", "result": []}').replace(
        json.dumps(VALUE.decode())[1:-1].encode(), rb"{\"text\": \"hi\", \"result\": []}"
    )
    if b"anna" not in vosk:
        (message,) = read_value(FORMATS["vosk"], vosk, FormatContext("s", 0, lambda _: {})).messages
        assert isinstance(message, Update)
        assert message.text == "hi"
        assert recognise(vosk).name == "vosk"


@pytest.mark.parametrize(
    "value", [VALUE, b'{"schema": 1, "payload": 2, "more": 3}', b'"text in quotes" he said', b"12"]
)
def test_what_has_nothing_around_it_stays(value: bytes) -> None:
    assert unwrap_json(value) == value


def test_a_byte_order_mark_before_a_text_is_not_of_the_text() -> None:
    assert make_closed_update("s", "1", b"\xef\xbb\xbfanna \xef\xbb\xbf").text == "anna \ufeff"


@pytest.mark.parametrize("field", ["text", "speaker", "channel", "session", "segment"])
@pytest.mark.parametrize(
    ("escaped", "said"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\ude00b", "\ufffdb"),
        (r"a\uD83D b", "a\ufffd b"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83dx", "\\\ufffdx"),
        (r"\udbff\u0041", "\ufffdA"),
    ],
)
def test_half_a_surrogate_pair_is_one_replacement_character(field: str, escaped: str, said: str) -> None:
    value = VALUE[:-1] + f', "{field}": "{escaped}"}}'.encode()
    assert getattr(read(value), field) == said


def test_surrogates_that_were_encoded_one_by_one_are_joined() -> None:
    value = VALUE.replace(b"sea", "\ud83d\ude00 and \ude00".encode("utf-8", "surrogatepass"))
    assert read(value).text == "anna saw the \U0001f600 and \ufffd"


def test_control_characters_in_strings_are_read() -> None:
    assert read(VALUE.replace(b"saw", b"s\x07a\tw\x00")).text == "anna s\x07a\tw\x00 the sea"
    assert read(VALUE.replace(b"saw", rb"s\u0007a\u0000w")).text == "anna s\x07a\x00w the sea"


@pytest.mark.parametrize(
    "token",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        '[1, NaN, {"x": -Infinity}]',
        r'["\" NaN", NaN]',
        "1e999",
        '[-2.5E+400, {"x": 1e308}]',
        "[nan,-nan,+inf,-Inf, -nan(ind)]",
    ],
)
def test_nan_in_a_field_that_is_not_read_is_ignored(token: str) -> None:
    assert read(with_field("confidence", token)) == read(VALUE)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("time", "NaN"),
        ("time", "-Infinity"),
        ("text", "NaN"),
        ("speaker", "Infinity"),
        ("session", "NaN"),
        ("final", "NaN"),
        ("words", '[{"start": 1, "end": NaN}]'),
        ("words", "NaN"),
        ("time", "1e999"),
        ("time", "-nan"),
        ("text", "1e999"),
    ],
)
def test_nan_in_a_field_that_is_read_is_named(name: str, token: str) -> None:
    with pytest.raises(BadInput, match=r"invalid_message: .*NaN and Infinity are no JSON numbers"):
        read(with_field(name, token))


def test_nan_in_a_vendors_message() -> None:
    context = FormatContext("s", 0, lambda _: {})
    for number in (b"NaN", b"1e999", b"[-inf]"):
        (message,) = read_value(FORMATS["vosk"], b'{"text": "hi", "spk_frames": %b}' % number, context).messages
        assert isinstance(message, Update)
    with pytest.raises(BadInput, match="NaN"):
        read_value(FORMATS["vosk"], b'{"text": NaN}', context)


NAMED = [
    (VALUE + VALUE, "another JSON value"),
    (VALUE + b"\xef\xbb\xbf" + VALUE, "byte order mark, and another JSON value"),
    (VALUE + b"]", "behind the JSON value, at byte"),
    (b"[" + VALUE + b"]", "send its objects one by one"),
    (VALUE[:-9], "cut off"),
    (gzip.compress(VALUE), "gzip"),
    (b"\x28\xb5\x2f\xfd" + bytes(9), "Zstandard"),
    (VALUE.decode().encode("utf-16"), "UTF-16"),
    (VALUE.decode().encode("utf-16-le"), "UTF-16"),
    (VALUE.decode().encode("utf-16-be"), "UTF-16"),
    (VALUE.decode().encode("utf-32"), "UTF-32"),
    (repr(PLAIN).encode(), "single quotes"),
    (b"{type: 1}", "not in double quotes"),
    (VALUE.replace(b"true", b"True"), "write true, false and null"),
    (b"\0\0\0\0\x2a\x02\x0cAvro", "schema id 42"),
    (b"\0\0\0\0\xff\0\x0a\x02", "schema id 255"),
    (b"\x0a\x05hello", "Protobuf"),
    (msgspec.msgpack.encode(PLAIN), "MessagePack"),
    (b"data: " + VALUE, "event stream"),
    (b"text=hello&final=1", "form"),
    (b"<speak>hi</speak>", "XML"),
    (b"just words", "text, no JSON"),
    (b" \n ", "white space"),
    (VALUE.replace(b"sea", b"s\xe9a"), "Latin-1"),
]
ENVELOPES = [
    ({"specversion": "1.0", "type": "x", "source": "y", "data": PLAIN}, "CloudEvents"),
    ({"before": None, "after": PLAIN, "op": "c"}, "change data capture"),
    ({"records": [{"value": PLAIN}]}, "REST proxy"),
    ({"schema": None, "payload": None, "more": 1}, "Kafka Connect"),
]


@pytest.mark.parametrize(("envelope", "name"), ENVELOPES, ids=[name for _, name in ENVELOPES])
def test_an_envelope_is_named(envelope: dict[str, Any], name: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_message(json.dumps(envelope).encode())
    assert name in caught.value.detail
    assert "anna" not in caught.value.detail


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("twilio", {"TranscriptionEvent": "transcription-content", "TranscriptionData": "anna"}, "TranscriptionData"),
        ("azure", {"privJson": "{'Text': 'anna'}"}, "privJson"),
    ],
)
def test_a_string_that_should_hold_json_is_named(name: str, value: Any, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_value(FORMATS[name], json.dumps(value).encode(), FormatContext("s", 0, lambda _: {}))
    assert caught.value.reason == "invalid_json"
    assert f"`$.{field}`" in caught.value.detail
    assert "anna" not in caught.value.detail


@pytest.mark.parametrize(("value", "name"), NAMED, ids=[name for _, name in NAMED])
def test_what_cannot_be_read_is_named(value: bytes, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_message(value)
    assert name in caught.value.detail
    assert "anna" not in caught.value.detail
    with pytest.raises(BadInput) as caught:
        read_value(FORMATS["vosk"], value, FormatContext("s", 0, lambda _: {}))
    assert name in caught.value.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


def without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "\ufdd0NaN"
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= x <= "\udfff" else x for x in value)
    if isinstance(value, list):
        return [without_nan(x) for x in value]
    return {without_nan(k): without_nan(x) for k, x in value.items()} if isinstance(value, dict) else value


@given(JSON)
def test_whatever_python_writes_is_read(value: Any) -> None:
    written = json.dumps({"x": value})
    read_back = json.loads(written)  # Python joins halves that are written one behind the other
    assert decode_json(written.encode(), ANYTHING) == without_nan(read_back)
    assert has_nan(written.encode()) == (json.dumps(without_nan(read_back)).count("\\ufdd0NaN") > 0)


@given(st.binary(max_size=80))
def test_mending_never_fails_and_mends_all_at_once(value: bytes) -> None:
    mended = mend_json(value)
    assert mend_json(mended) == mended


MARK = "\x07\ufffd"


def marked(value: Any) -> Any:
    """A vendor's message with a control character and half a surrogate pair inside of whatever is text."""
    if isinstance(value, str) and value.startswith("{"):  # JSON in a string, or a part of it
        with suppress(json.JSONDecodeError):
            return json.dumps(marked(json.loads(value)))
    if isinstance(value, str):
        return re.sub(r"^(\s*[A-Za-z])", "\\1\x07\ud83d", value) if " " in value.strip() else value
    if isinstance(value, list):
        return [marked(x) for x in value]
    return {key: marked(x) for key, x in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("name", [path.stem for path in sorted(FIXTURES.glob("*.jsonl"))])
def test_no_format_refuses_a_text_for_its_characters(name: str) -> None:
    lines = [json.loads(line) for line in (FIXTURES / f"{name}.jsonl").read_bytes().splitlines()]
    plain, nasty = (
        Run(name, session=None if name == "normal" else SESSION).tell([json.dumps(x).encode() for x in values])
        for values in (lines, [marked(x) for x in lines])
    )
    texts, found = (
        [x.text for messages in run.told for x in messages if isinstance(x, Update)] for run in (plain, nasty)
    )
    assert len(nasty.bad) == len(plain.bad)
    assert [x.replace(MARK, "") for x in found] == texts
    assert any(MARK in x for x in found)
