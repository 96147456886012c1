"""whisper_streaming: text lines `BEGIN END TEXT` in milliseconds, which are never revised.

Lines are appended until a sentence ends, so that names across lines are labelled as a whole. The program's own output
prefixes each line with a time; its server's does not.
"""

import re
from collections.abc import Iterable

from consumers.formats.base import Format, FormatContext, Ignored, OpenText
from consumers.formats.decode import BadInput
from consumers.formats.utterances import last_closed
from consumers.formats.word_times import last_end
from stream.messages.types import Message, Update, WordTime

MAX_SEGMENT_CHARACTERS = 1000
"""Characters after which a segment closes even if no sentence has ended."""

_CLOCK_FELL = 1.0
"""Seconds by which a line must lie before the last one to be of another run."""
_LINE = re.compile(r"(?:\d{1,12}\.\d{1,6} )?(\d{1,12})(?:\.0*)? (\d{1,12})(?:\.0*)? (.*)", re.DOTALL)
_SENTENCE = re.compile(r"[.?!…。？！][\"'”’)\]]*\s*$")


def _read(value: str, context: FormatContext) -> Iterable[Message | Ignored]:
    line = _LINE.fullmatch(value.removeprefix("\ufeff").rstrip("\r\n"))
    if line is None:
        raise BadInput("invalid_message", "not a line of begin, end (milliseconds) and text")
    begin, end, text = int(line[1]) / 1000, int(line[2]) / 1000, line[3]
    session = context.session_name()
    segment = context.open_segment(session, "audio")
    existing = context.segments(session).get(segment)
    if not text.strip():
        return (Ignored("no_text"),)
    if _is_repeat(existing or last_closed(context, session, "audio"), begin, end, text):
        return (Ignored("repeat"),)
    ends: list[Message | Ignored] = []
    fell = existing is not None and end < (last_end(existing.times) or 0.0) - _CLOCK_FELL
    if existing is not None and fell and not existing.closed and existing.applied < context.offset:
        # the program was started again: what stands is not continued
        ends = [Update(session=session, segment=segment, text=existing.text, final=True)]
        segment, existing = f"audio:{context.offset}", None
    if existing is not None and existing.text and not text[0].isspace() and not existing.text[-1].isspace():
        text = f" {text}"
    total = len(text) + (len(existing.text) if existing else 0)
    return (
        *ends,
        Update(
            session=session,
            segment=segment,
            text=text,
            mode="append",
            final=bool(_SENTENCE.search(text)) or total >= MAX_SEGMENT_CHARACTERS,
            time=end,
            words=tuple(WordTime(begin, end) for _ in text.split()),
        ),
    )


def _is_repeat(before: OpenText | None, begin: float, end: float, text: str) -> bool:
    last = before.times[-1] if before is not None and before.times else None
    return last is not None and before is not None and last[:2] == (begin, end) and before.text.endswith(text.strip())


def _recognises(value: str) -> bool:
    return _LINE.fullmatch(value) is not None


FORMAT = Format("whisper-streaming", _read, _recognises)
