"""Soniox: final tokens append once, the other tokens of each message replace what follows them.

A segment ends with the token `<end>` or `<fin>`, which is no text, and with `finished`. Tokens are parts of words with
their own blanks. Tokens of a translation were not spoken.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, close_open
from consumers.formats.speech.pieces import Piece, write_pieces
from consumers.formats.word_times import TimedText
from stream.messages.types import Message


class _SonioxToken(msgspec.Struct):
    text: str = ""
    start_ms: float | None = None
    end_ms: float | None = None
    is_final: bool = False
    speaker: str | None = None
    translation_status: str = ""


class _SonioxMessage(msgspec.Struct):
    tokens: list[_SonioxToken] | None = None
    finished: bool = False
    error_code: Any = None
    error_message: Any = None
    type: str = ""


_MARKS = re.compile(r"(<(?:end|fin)>)|<(?:lang|speaker):[^<>]{0,40}>")
"""Marks, which are tokens, or stand at the end of one; those of language and speaker are of older streams."""


def _read(value: _SonioxMessage, context: FormatContext) -> Iterable[Message | Ignored]:
    failed = value.error_code is not None or value.error_message is not None
    error = [Ignored("error")] if failed else []
    if value.tokens is None and not value.finished:
        if value.type:  # sent by the client
            return (Ignored("keep_alive" if value.type == "keepalive" else "metadata"),)
        return error or (Ignored("unknown_shape"),)
    session = context.session_name()
    spoken = [x for x in value.tokens or () if x.translation_status != "translation"]
    pieces = _pieces(spoken)
    if not pieces:
        closed = close_open(context, session) if value.finished else []
        other = Ignored("other_event" if value.tokens else "metadata" if value.finished else "keep_alive")
        return [*closed, *(error or [other])]
    if value.finished:
        pieces[-1] = replace(pieces[-1], ends=True)
    return [*write_pieces(context, session, "audio", pieces), *error]


def _pieces(tokens: Sequence[_SonioxToken]) -> list[Piece]:
    """Return what is said of each utterance; interim tokens before a mark come again in the next one."""
    pieces: list[Piece] = []
    confirmed: list[TimedText] = []
    interim: list[TimedText] = []
    for mark, token, is_final in _split_marks(tokens):
        if mark:
            pieces.append(_piece(confirmed, [], ends=True))
            confirmed = []
        elif token.text:
            (confirmed if is_final else interim).append(token)
    if confirmed or interim:
        pieces.append(_piece(confirmed, interim))
    return pieces


def _split_marks(tokens: Iterable[_SonioxToken]) -> Iterator[tuple[bool, TimedText, bool]]:
    """Yield marks and texts: whether it is a mark that ends a segment, the text, and whether it is final."""
    for x in tokens:
        start, end = (None if ms is None else ms / 1000 for ms in (x.start_ms, x.end_ms))
        at = 0
        for found in _MARKS.finditer(x.text):
            yield False, TimedText(x.text[at : found.start()], start, end, x.speaker), x.is_final
            if found[1] and x.is_final:
                yield True, TimedText(""), True
            at = found.end()
        yield False, TimedText(x.text[at:], start, end, x.speaker), x.is_final


def _piece(confirmed: Sequence[TimedText], interim: Sequence[TimedText], ends: bool = False) -> Piece:
    return Piece(
        confirmed="".join(x.text for x in confirmed),
        interim="".join(x.text for x in interim),
        confirmed_words=confirmed,
        interim_words=interim,
        ends=ends,
    )


_PROGRESS = ("final_audio_proc_ms", "total_audio_proc_ms", "error_code", "finished")


def _recognises(value: dict[str, Any]) -> bool:
    tokens = value.get("tokens")
    if not isinstance(tokens, list):
        return False
    return any(x in value for x in _PROGRESS) or (
        bool(tokens)
        and all(isinstance(x, dict) and "text" in x and {"start_ms", "is_final"} & x.keys() for x in tokens)
    )


FORMAT = Format("soniox", _read, _recognises, _SonioxMessage)
