"""The normal form as a format (docs/messages.md)."""

from collections.abc import Iterable
from typing import Any

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.convert import convert
from consumers.formats.decode import BadInput, check_key
from stream.messages.types import Message

_STRINGS = ("session", "segment", "text")
"""Fields that must be strings: normal form is our own, and a number there is a mistake that would go on."""


def _read(value: dict[str, Any], context: FormatContext) -> Iterable[Message | Ignored]:
    for name in _STRINGS:
        if not isinstance(value.get(name), str | None):
            raise BadInput("invalid_message", f"Expected `str` - at `$.{name}`")
    message: Message = convert(value, Message)
    check_key(None if context.session is None else context.session.encode(), message)
    return (message,)


def _recognises(value: dict[str, Any]) -> bool:
    if not isinstance(value.get("session"), str):
        return False
    return value.get("type") == "end" or (value.get("type") in ("update", "delete") and "segment" in value)


FORMAT = Format("normal", _read, _recognises, dict)
