"""IBM Watson Speech to Text: results replace by index. Speaker labels come separately and are revised too.

A segment is an index (`result_index` and the following ones). Indexes restart at 0 with each request on a connection,
which `{"state": "listening"}` precedes, so that message ends the session.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, Ignored, OpenText
from consumers.formats.convert import Seconds
from consumers.formats.utterances import Result, number_scope, write_numbered
from consumers.formats.word_times import TimedText, add_speakers, add_word_times
from stream.messages.types import Message, Update, WordTime


class _WatsonAlternative(msgspec.Struct):
    transcript: str = ""
    timestamps: list[tuple[str, Seconds, Seconds]] = []


class _WatsonResult(msgspec.Struct):
    final: bool = False
    alternatives: list[_WatsonAlternative] = []


class _Label(msgspec.Struct):
    speaker: str
    start: Seconds = msgspec.field(name="from", default=-1.0)


class _WatsonEvent(msgspec.Struct):
    result_index: int = 0
    results: list[_WatsonResult] = []
    speaker_labels: list[_Label] = []
    state: str | None = None
    error: Any = None
    warnings: Any = None
    processing_metrics: Any = None
    audio_metrics: Any = None


_SCOPE = "result"


def _read(value: _WatsonEvent, context: FormatContext) -> Iterable[Message | Ignored]:
    if value.state is not None:
        return context.end_session()
    if not value.results and not value.speaker_labels:
        if value.error is not None:
            return (Ignored("error"),)
        known = (value.warnings, value.processing_metrics, value.audio_metrics)
        return (Ignored("unknown_shape" if known == (None,) * len(known) else "metadata"),)
    session = context.session_name()
    labels = {_hundredths(x.start): x.speaker for x in value.speaker_labels}
    messages: dict[str, Result] = {}
    for index, update in enumerate(_results(value, session), value.result_index):
        for message in write_numbered(context, _SCOPE, update, index):
            if isinstance(message, Update):
                known_speakers = _known_speakers(_of_stream(context, session, message.segment)) | labels
                message = _set_speakers(message, known_speakers)
            messages["" if isinstance(message, Ignored) else message.segment] = message
    if labels:
        latest = next(reversed([x for x in messages if x] or _numbered_names(context, session)), "")
        standing = _of_stream(context, session, latest)
        speakers = _known_speakers(standing) | labels
        messages = {x.segment: x for x in _relabelled(session, standing, speakers)} | messages
    return messages.values() or (Ignored("metadata"),)


def _results(value: _WatsonEvent, session: str) -> Iterator[Update]:
    for result in value.results:
        best = result.alternatives[0] if result.alternatives else _WatsonAlternative()
        update = Update(
            session=session,
            segment="",
            text=best.transcript,
            final=result.final,
            time=best.timestamps[-1][2] if best.timestamps else None,
        )
        yield add_word_times(update, [TimedText(word, start, end) for word, start, end in best.timestamps])


def _numbered_names(context: FormatContext, session: str) -> list[str]:
    return [name for name in context.segments(session) if number_scope(name, _SCOPE)]


def _of_stream(context: FormatContext, session: str, segment: str) -> Mapping[str, OpenText]:
    """Segments of the connection that a segment is of: in another one, times and speakers mean something else."""
    scope = number_scope(segment, _SCOPE)
    return {name: x for name, x in context.segments(session).items() if number_scope(name, _SCOPE) == scope}


def _relabelled(session: str, existing: Mapping[str, OpenText], speakers: Mapping[int, str]) -> Iterator[Update]:
    """Updates of segments whose speakers have changed, because labels come after the words."""
    for name, segment in existing.items():
        words = tuple(WordTime(*x) for x in segment.times if x is not None)
        if words and len(words) == len(segment.times):
            update = Update(session=session, segment=name, text=segment.text, final=segment.closed, words=words)
            update = _set_speakers(update, speakers)
            if (update.speaker, update.words) != (segment.speaker, words):
                yield update


def _known_speakers(existing: Mapping[str, OpenText]) -> dict[int, str]:
    """Known speakers by the start of their words; interim results have none."""
    told = (
        (_hundredths(x.start), x.speaker or segment.speaker)
        for segment in existing.values()
        for x in segment.times
        if x
    )
    return {start: speaker for start, speaker in told if speaker is not None}


def _set_speakers(update: Update, speakers: Mapping[int, str]) -> Update:
    words = update.words or ()
    pieces = [TimedText("", x.start, x.end, speakers.get(_hundredths(x.start))) for x in words]
    return add_speakers(update, pieces) if pieces else update


def _hundredths(seconds: float) -> int:
    """Starts are sent, and match, in hundredths of a second."""
    return round(seconds * 100)


def _recognises(value: dict[str, Any]) -> bool:
    if value.keys() == {"state"}:
        return bool(value["state"] == "listening")
    labels = value.get("speaker_labels")
    return "result_index" in value or (isinstance(labels, list) and "results" not in value)


FORMAT = Format("watson", _read, _recognises, _WatsonEvent)
