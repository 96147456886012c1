"""Server-sent events around the JSON of language models: recordings have the JSON alone, or lines as they were sent.

A value may be one line (`data: {...}`) or a whole event (`event:` and `data:` lines). Lines without data are ignored by
name, and so is `[DONE]`, which is no JSON.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from consumers.formats.base import Ignored
from consumers.formats.decode import BadInput

_FIELD = re.compile(rb"(data|event|id|retry)?:[ ]?(.*)|(data|event|id|retry)", re.DOTALL)
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LINE = "hearken:event_stream"
"""Field of the object that stands for a value without JSON; its value says what it was."""
DONE = "done"


def unwrap_event(value: bytes) -> bytes:
    """Return the JSON of an event; an object that `event_stream_line` knows if it has none. Others are left.

    Raises:
        BadInput: there are several events in the value.
    """
    if _FIELD.match(value) is None:
        return value
    fields: list[tuple[bytes, bytes]] = []
    for line in _LINE_END.split(value.strip(b"\r\n")):
        found = _FIELD.fullmatch(line)
        if found is None:
            if line.strip():
                return value  # no event: the reader says what is wrong with it
            raise BadInput("invalid_message", "several events in one value; send them one by one")
        fields.append((found[1] or found[3] or b"", found[2] or b""))
    data = b"\n".join(x for name, x in fields if name == b"data").strip()
    if data == b"[DONE]":
        return _line(DONE)
    if data:
        return data
    return _line("field" if any(name for name, _ in fields) else "comment")


def _line(kind: str) -> bytes:
    return msgspec.json.encode({_LINE: kind})


def has_no_data(value: bytes | None) -> bool:
    """Whether a value is a line of an event stream that has no data, such as `event: ping` or a comment."""
    try:
        return bool(value) and unwrap_event(value or b"") in (_line("field"), _line("comment"))
    except BadInput:
        return False


def event_stream_line(value: Mapping[str, Any], end: Callable[[], list[Any]]) -> list[Any] | None:
    """Return what a value without JSON gives; None if it has JSON.

    Args:
        value: the decoded value.
        end: called at the end of a stream (`[DONE]`); returns what closes then.
    """
    kind = value.get(_LINE)
    if kind is None:
        return None
    if kind == DONE:
        return end() or [Ignored("metadata")]
    return [Ignored("keep_alive" if kind == "comment" else "metadata")]
