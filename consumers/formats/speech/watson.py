"""IBM Watson Speech to Text: results replace by index. Speaker labels come separately and are revised too.

A segment is an index (`result_index` and the following ones). Indexes restart at 0 with each request on a connection,
which `{"state": "listening"}` precedes, so that message ends the session.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from consumers.formats.base import Format, FormatContext, OpenText
from consumers.formats.utterances import write_named
from consumers.formats.word_times import TimedText, add_speakers, add_word_times
from stream.messages.types import Message, Update, WordTime


class _WatsonAlternative(msgspec.Struct):
    transcript: str = ""
    timestamps: list[tuple[str, float, float]] = []


class _WatsonResult(msgspec.Struct):
    final: bool = False
    alternatives: list[_WatsonAlternative] = []


class _Label(msgspec.Struct):
    speaker: int
    start: float = msgspec.field(name="from", default=-1.0)


class _WatsonEvent(msgspec.Struct):
    result_index: int = 0
    results: list[_WatsonResult] = []
    speaker_labels: list[_Label] = []
    state: str | None = None


def _read(value: _WatsonEvent, context: FormatContext) -> Iterable[Message]:
    if value.state is not None:
        return context.end_session()
    if not value.results and not value.speaker_labels:
        return ()
    session = context.session_name()
    existing = context.segments(session)
    speakers = _known_speakers(existing) | {_hundredths(x.start): str(x.speaker) for x in value.speaker_labels}
    updates = {x.segment: _set_speakers(x, speakers) for x in _results(value, session)}
    if value.speaker_labels:
        updates = {x.segment: x for x in _relabelled(session, existing, speakers)} | updates
    return [message for name, update in updates.items() for message in write_named(existing.get(name), update)]


def _results(value: _WatsonEvent, session: str) -> Iterator[Update]:
    for index, result in enumerate(value.results, value.result_index):
        best = result.alternatives[0] if result.alternatives else _WatsonAlternative()
        update = Update(
            session=session,
            segment=f"result-{index}",
            text=best.transcript,
            final=result.final,
            time=best.timestamps[-1][2] if best.timestamps else None,
        )
        yield add_word_times(update, [TimedText(word, start, end) for word, start, end in best.timestamps])


def _relabelled(session: str, existing: Mapping[str, OpenText], speakers: Mapping[int, str]) -> Iterator[Update]:
    """Updates of segments whose speakers have changed, because labels come after the words."""
    for name, segment in existing.items():
        words = tuple(WordTime(*x) for x in segment.times if x is not None)
        if name.startswith("result-") and words and len(words) == len(segment.times):
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
