"""What serialisers of other programs put around a message: a prefix to step over, and shapes to name in an error."""

from collections.abc import Mapping
from typing import Any

_MAGIC, _PREFIX_BYTES = b"\x00", 5
_CONNECT_FIELDS = {"schema", "payload"}


def step_over_prefix(value: bytes) -> bytes:
    """Return a JSON value without the prefix of serialisers for a schema registry: byte 0 and a schema id (4 bytes)."""
    if value.startswith(_MAGIC) and value[_PREFIX_BYTES : _PREFIX_BYTES + 1] in (b"{", b"["):
        return value[_PREFIX_BYTES:]
    return value


def describe_bytes(value: bytes) -> str | None:
    """Name the serialisation of a value that is not JSON; None if it is not known."""
    if value.startswith(_MAGIC) and len(value) > _PREFIX_BYTES:
        return "byte 0 and a schema id, as serialisers for a schema registry write: Avro and Protobuf are not read"
    return None


def describe_json(decoded: Any) -> str | None:
    """Name the envelope of decoded JSON that is not a message; None if it is not known."""
    if isinstance(decoded, str) and decoded.lstrip().startswith(("{", "[")):
        return "JSON in a JSON string: it was serialised twice"
    if isinstance(decoded, Mapping):
        if decoded.keys() == _CONNECT_FIELDS:
            return "a Kafka Connect envelope (schema, payload): set value.converter.schemas.enable=false"
        if isinstance(decoded.get("payload"), Mapping) and {"op", "source"} & decoded["payload"].keys():
            return "an envelope of change data capture: send its record"
    return None


def describe_key(key: bytes) -> str | None:
    """Name the serialisation of a key that is not a plain string; None if it looks like one."""
    if len(key) >= 2 and key[:1] == key[-1:] == b'"':
        return "the record's key is a JSON string in quotes: send the plain string"
    if key.startswith(_MAGIC) and len(key) in (4, 8):
        return f"the record's key is a binary number of {len(key)} bytes: send it as a string"
    if key.startswith(_MAGIC):
        return "the record's key begins with byte 0, as serialisers for a schema registry write: send a plain string"
    return None
