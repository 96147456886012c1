"""The normal form as a format (docs/messages.md)."""

from collections.abc import Iterable
from typing import Any

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.decode import check_key
from stream.messages.types import Message


def _read(value: Message, context: FormatContext) -> Iterable[Message | Ignored]:
    check_key(None if context.session is None else context.session.encode(), value)
    return (value,)


def _recognises(value: dict[str, Any]) -> bool:
    if not isinstance(value.get("session"), str):
        return False
    return value.get("type") == "end" or (value.get("type") in ("update", "delete") and "segment" in value)


FORMAT = Format("normal", _read, _recognises, Message)
