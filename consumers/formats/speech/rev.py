"""Rev AI, streaming: a partial replaces, a final result closes. Utterances are identified by their start.

Elements of a final result have the blanks between words among them and are joined as they are; partials have the words
alone. `connected` begins a stream, which closes what is open.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, close_open
from consumers.formats.convert import Seconds
from consumers.formats.utterances import open_start, write_timed, write_unnamed
from consumers.formats.word_times import TimedText, add_word_times, to_name
from stream.messages.types import Message, Update


class _RevElement(msgspec.Struct):
    type: str = ""
    value: str = ""
    ts: Seconds | None = None
    end_ts: Seconds | None = None


class _RevMessage(msgspec.Struct):
    type: str = ""
    ts: Seconds | None = None
    end_ts: Seconds | None = None
    speaker_id: str | None = None
    elements: list[_RevElement] = []


def _read(value: _RevMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.type == "connected":
        return [*close_open(context, context.session_name()), Ignored("metadata")]
    if value.type not in ("partial", "final"):
        if value.type == "error":
            return (Ignored("error"),)
        return (Ignored("other_event" if value.type else "unknown_shape"),)
    pieces = [
        TimedText(x.value, x.ts, x.ts if x.end_ts is None else x.end_ts) if x.type != "punct" else TimedText(x.value)
        for x in value.elements
    ]
    update = Update(
        session=context.session_name(),
        segment="",
        text=_join(value.elements),
        final=value.type == "final",
        time=value.end_ts,
        speaker=to_name(value.speaker_id),
    )
    update = add_word_times(update, pieces)
    start = value.ts if value.ts is not None else next((x.start for x in pieces if x.start is not None), None)
    start = open_start(context, update.session, "audio") if start is None else start
    if start is None:
        return write_unnamed(context, "audio", update)
    return write_timed(context, "audio", update, start, start if value.end_ts is None else value.end_ts)


def _join(elements: Sequence[_RevElement]) -> str:
    """Join elements as they are if there are blanks among them; else words with blanks, marks behind their words."""
    if any(x.value.isspace() for x in elements) or len(elements) < 2:
        return "".join(x.value for x in elements)
    text = ""
    for x in elements:
        text += x.value if x.type == "punct" or not text else f" {x.value}"
    return text


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if kind == "connected":
        return isinstance(value.get("id"), str) and value.keys() <= {"type", "id"}
    return kind in ("partial", "final") and isinstance(value.get("elements"), list)


FORMAT = Format("rev", _read, _recognises, _RevMessage)
