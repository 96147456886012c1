"""Cartesia Ink: transcripts in pieces (ink-whisper), and turns (ink-2).

Pieces: a final piece stays, an interim one replaces what follows it, and `flush_done` or `done` closes; pieces are
joined as they are. Turns: each event replaces the transcript of the turn, and `turn.end` closes it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, close_open
from consumers.formats.convert import Seconds
from consumers.formats.speech.pieces import Piece, write_pieces
from consumers.formats.utterances import write_unnamed
from consumers.formats.word_times import TimedText, VendorWord
from stream.messages.types import Message, Update


class _InkMessage(msgspec.Struct):
    type: str = ""
    request_id: str = ""
    is_final: bool = False
    text: str = ""
    transcript: str | None = None
    duration: Seconds | None = None
    words: list[VendorWord] = []


_TURNS = ("turn.start", "turn.update", "turn.eager_end", "turn.resume", "turn.end")


def _read(value: _InkMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.type == "error":
        return (Ignored("error"),)
    known = value.type in ("transcript", "flush_done", "done", "connected") or value.type in _TURNS
    if not known:
        return (Ignored("other_event" if value.type else "unknown_shape"),)
    session = context.session_name(value.request_id or None)
    begin = f"{value.request_id}/" if value.request_id else ""
    if value.type in ("flush_done", "done", "connected"):
        return [*close_open(context, session, begin), Ignored("metadata")]
    if value.type in _TURNS:
        if value.transcript is None and value.type != "turn.end":
            return (Ignored("metadata"),)
        text = value.transcript or ""
        update = Update(session=session, segment="", text=text, final=value.type == "turn.end")
        return write_unnamed(context, f"{begin}turn", update)
    if not value.text and value.is_final:
        return (Ignored("no_text"),)
    words = [TimedText(x.word, x.start, x.end) for x in value.words]
    piece = Piece(value.text, "", words) if value.is_final else Piece("", value.text, (), words)
    return write_pieces(context, session, f"{begin}audio", [piece])


def _recognises(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if not isinstance(kind, str) or not {"request_id", "requestId"} & value.keys():
        return False
    return kind in _TURNS or kind in ("flush_done", "done") or (kind == "transcript" and "is_final" in value)


FORMAT = Format("cartesia", _read, _recognises, _InkMessage)
