"""What other programs put around a JSON value, or write in place of JSON: taken off, mended or named.

Taken off: byte order marks, the prefix of a schema registry, a record separator before and NUL bytes behind the value,
JSON in a JSON string, and the envelope of Kafka Connect. Mended: halves of surrogate pairs, control characters in
strings, and NaN, Infinity and numbers that no float holds, as long as nobody reads that field. Everything else is named
in one sentence.
"""

import math
import re
from contextlib import suppress

import msgspec

NOT_A_NUMBER = "\ufdd0NaN"
"""Stands for NaN and Infinity in a mended value: a string, so that no field that is a number accepts it."""
NAN_DETAIL = "NaN and Infinity are no JSON numbers, and 1e309 is too large; send null, or leave the field out"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_JSON_BEGINS = (b"{", b"[", b'"')
_REGISTRY_HEADERS = ((b"\0", 5), (b"\x03\0", 18), (b"\0", 9))
"""First bytes and length: Confluent's (4 bytes of schema id), AWS Glue's, Apicurio's (8 bytes of schema id)."""
_MAX_LAYERS = 4
_HALF_ESCAPE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_STRING_OR_NAN = re.compile(
    rb'"([^"\\]*(?:\\.[^"\\]*)*)"|(?<![\w$.])[+-]?(?:(?i:nan(?:\(ind\))?|inf(?:inity)?)|([0-9]+(?:\.[0-9]*)?[eE]\+?[0-9]{3,}))(?![\w$])',
    re.DOTALL,
)
"""Strings; NaN and Infinity as languages print them (`-nan(ind)`, `inf`); numbers that may be beyond a float."""
_CONTROL = re.compile(rb"[\x00-\x1f]")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")


class _ConnectEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    schema: msgspec.Raw
    payload: msgspec.Raw


_STRING = msgspec.json.Decoder(str)
_ENVELOPE = msgspec.json.Decoder(_ConnectEnvelope)


def unwrap_json(value: bytes) -> bytes:
    """Take off what is around a JSON value; other values are returned as they are."""
    for _ in range(_MAX_LAYERS):
        if value.startswith(b"{"):
            inner = _take_payload(value) if b'"payload"' in value and b'"schema"' in value else value
        else:
            inner = _take_inner(value)
        if inner == value:
            break
        value = inner
    return value


def _take_inner(value: bytes) -> bytes:
    """Take one layer off a value that does not begin with an object."""
    value = value.removeprefix(BYTE_ORDER_MARK)
    bare = value.lstrip(b"\x1e \t\r\n")
    if bare.startswith(b"{"):
        return bare
    if bare.startswith(b'"'):
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            inner = _STRING.decode(mend_json(bare)).encode()
            return inner if inner.lstrip()[:1] in _JSON_BEGINS else value
    for begin, length in _REGISTRY_HEADERS:
        if value.startswith(begin) and value[length : length + 1] in _JSON_BEGINS:
            return value[length:]
    return value


def _take_payload(value: bytes) -> bytes:
    try:
        return bytes(_ENVELOPE.decode(value).payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value


def mend_json(value: bytes) -> bytes:
    """Mend what is not JSON but can mean one thing only.

    Half a surrogate pair becomes U+FFFD: one character for one, so offsets do not change. A control character in a
    string is escaped. NaN, Infinity and numbers beyond a float become `NOT_A_NUMBER`.
    """
    value = value.rstrip(b"\0")
    value = _HALF_ESCAPE.sub(lambda found: found[1] + (found[2] or rb"\ufffd"), value)
    return _STRING_OR_NAN.sub(_mend_token, value)


def _mend_token(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return _NAN_TOKEN if _is_no_number(found) else found[0]
    return _CONTROL.sub(lambda control: b"\\u%04x" % ord(control[0]), found[0])


def _is_no_number(found: re.Match[bytes]) -> bool:
    return found[1] is None and (found[2] is None or math.isinf(float(found[2])))


_NAN_TOKEN = msgspec.json.encode(NOT_A_NUMBER)


def join_surrogates(value: bytes) -> bytes:
    """Return UTF-8 in which surrogates were encoded one by one (CESU-8) as UTF-8; a half becomes U+FFFD.

    Raises:
        UnicodeDecodeError: other bytes are not UTF-8 either.
    """
    text = value.decode("utf-8", "surrogatepass")
    text = _PAIR.sub(lambda found: found[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _HALF.sub("\ufffd", text).encode()


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


def has_nan(value: bytes) -> bool:
    """Tell whether NaN, Infinity or a number beyond a float stands outside of the strings of a JSON value."""
    return any(_is_no_number(found) for found in _STRING_OR_NAN.finditer(value))


_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\xff\x06\x00\x00sNaPpY", "Snappy"),
    (b"\x82SNAPPY\x00", "Snappy"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
)
_CONTROLS = tuple(bytes([code]) for code in range(0x20) if code not in b"\x1b\x1e")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{", b"[\0", b"\0[")


def name_bytes(value: bytes) -> str | None:
    """Name a kind of bytes that is neither JSON nor text, and say what to do; None if none is recognised."""
    for begin, kind in _KINDS:
        if value.startswith(begin):
            return f"compressed bytes ({kind}); send the value itself, and let the client of Kafka or HTTP compress it"
    if value.startswith(_UTF_16):
        return "UTF-16 (or UTF-32); convert it to UTF-8"
    if value.startswith(b"\0") and len(value) > 5:
        number = int.from_bytes(value[1:5])
        after = "Avro or Protobuf; send JSON, with a JSON serializer"
        return f"the prefix of a schema registry (byte 0 and schema id {number}), then no JSON: perhaps {after}"
    if value.startswith(b"\x03\0") and len(value) > 18:
        return "the prefix of AWS Glue's schema registry, then no JSON: perhaps Avro or Protobuf; send JSON"
    if value.startswith((b"Obj\x01", b"\xc3\x01")):
        return "Avro; send JSON"
    if value.startswith(b"\xac\xed\0\x05"):
        return "an object serialised by Java; send JSON, with a JSON serializer"
    if value.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "an object pickled by Python; send JSON (json.dumps)"
    if value[:1] and (0x80 <= value[0] <= 0x8F or value[0] in (0xDE, 0xDF)) and value[1:2] >= b"\xa0":
        return "MessagePack; send JSON"
    if value.lstrip()[:1] in _CONTROLS:
        return "binary, perhaps Protobuf or Avro; send JSON"
    return None


def name_envelope(value: bytes) -> str | None:
    """Name the envelope of a JSON object that is no message; None if none is recognised."""
    try:
        fields = _FIELDS.decode(value).keys()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return next((name for wanted, name in _ENVELOPES if wanted <= fields), None)


_FIELDS: "msgspec.json.Decoder[dict[str, msgspec.Raw]]" = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENVELOPES = (
    ({"specversion", "type", "source"}, "an envelope of CloudEvents; send its `data`"),
    ({"op", "before", "after"}, "an envelope of change data capture; send the record in `after`"),
    ({"op", "after", "source"}, "an envelope of change data capture; send the record in `after`"),
    ({"schema", "payload"}, "an envelope of Kafka Connect with no message in it"),
    ({"records"}, "a request of a REST proxy; send the `value` of each record"),
    ({"messages"}, "several messages in one; send them one by one"),
)


def explain_json_error(value: bytes, error: str) -> str:
    """Say in one sentence why a value is no JSON; `error` is the decoder's."""
    text = value.lstrip()
    known = name_bytes(value)
    if known is not None:
        return f"this is {known}"
    if "truncated" in error:
        return "the JSON ends in the middle: the value was cut off" if text else "there is only white space"
    if (trailing := _TRAILING.search(error)) is not None:
        at = int(trailing[1]) - 1
        rest = value[at:].lstrip()
        mark = "a byte order mark, and " if rest.startswith(BYTE_ORDER_MARK) else ""
        more = "another JSON value" if rest.removeprefix(BYTE_ORDER_MARK)[:1] in _JSON_BEGINS else "more"
        return f"behind the JSON value, at byte {at}, there is {mark}{more}; send one value a message or line"
    if BYTE_ORDER_MARK in value and error.endswith(f"(byte {value.find(BYTE_ORDER_MARK)})"):
        return "there is a byte order mark in the middle of the JSON; two files were put together"
    if re.match(rb"[{\[(]\s*'", text):
        return "the strings are in single quotes, as Python prints them; write JSON with json.dumps"
    if re.match(rb"\{\s*[A-Za-z_$]", text):
        return "the keys are not in double quotes, so this is no JSON"
    if re.match(rb"(data|event|id|retry):", text) or text.startswith(b":"):
        return "this is a line of an event stream (Server-Sent Events); send what is behind `data:`"
    if text.startswith(b"<"):
        return "this is XML or HTML, no JSON"
    if re.match(rb"[\w.%+-]+=[^{]*", text):
        return "this is a form (key=value), no JSON"
    if not text.startswith((b"{", b"[", b'"')):
        return "this is text, no JSON (a JSON object begins with a brace)"
    if re.search(rb"[:\[,]\s*(True|False|None|undefined)\b", text):
        return "True, False, None and undefined are no JSON; write true, false and null"
    return error
