"""Vosk: a partial replaces, a text is final. Utterances have no names; one is open at a time."""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored
from consumers.formats.utterances import write_unnamed
from consumers.formats.word_times import TimedText, VendorWord, add_word_times
from stream.messages.types import Message, Update


class _VoskAlternative(msgspec.Struct):
    text: str = ""
    result: list[VendorWord] = []


class _VoskResult(msgspec.Struct):
    partial: str | None = None
    partial_result: list[VendorWord] = []
    text: str | None = None
    result: list[VendorWord] = []
    alternatives: list[_VoskAlternative] = []
    """Replaces `text` if several are requested; the best is first."""


def _read(value: _VoskResult, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.partial is not None:
        text, words, final = value.partial, value.partial_result, False
    elif value.text is not None:
        text, words, final = value.text, value.result, True
    elif value.alternatives:
        text, words, final = value.alternatives[0].text, value.alternatives[0].result, True
    else:
        return (Ignored("unknown_shape"),)
    update = Update(session=context.session_name(), segment="", text=text, final=final)
    return write_unnamed(context, "audio", add_word_times(update, [TimedText(x.word, x.start, x.end) for x in words]))


_SHAPES = ({"partial", "partial_result"}, {"text", "result", "spk", "spk_frames"}, {"alternatives"})


def _recognises(value: dict[str, Any]) -> bool:
    if not value or value.keys() == {"text"}:  # any program's JSON may have a text
        return False
    return any(value.keys() <= shape and isinstance(_first(value), str | list) for shape in _SHAPES)


def _first(value: dict[str, Any]) -> Any:
    return next((value[name] for name in ("partial", "text", "alternatives") if name in value), None)


FORMAT = Format("vosk", _read, _recognises, _VoskResult)
