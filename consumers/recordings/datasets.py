"""Readers of research data sets: recorded streams as messages in normal form, for measurements on real input.

The shapes are those of the archives, not of vendors' live streams. Times are seconds of the recording.
"""

from collections.abc import Iterator
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from consumers.common.errors import RecordingError
from consumers.recordings.jsonl import read_recording
from stream.messages.types import Delete, End, Message, Update, WordTime

PAUSE_SECONDS = 0.6
"""A speech without segments is cut at a pause of this length (seconds), or at `MAX_WORDS` words."""
MAX_WORDS = 60

Word = tuple[str, float, float]
"""A word with its start and end (seconds)."""


class _DatasetSpeech(msgspec.Struct):
    speech: str
    asr_words: list[Word]


class _DatasetEvent(msgspec.Struct):
    seg: int = -1
    is_final: bool = False
    text: str = ""
    words: list[Word] = []


def read_speeches(path: Path) -> Iterator[Message]:
    """Read debate speeches with timed words (IBM): each word updates its segment; all speeches run at the same time."""
    sessions = [
        list(_read_speech(msgspec.json.decode(line, type=_DatasetSpeech))) for line in path.read_bytes().splitlines()
    ]
    yield from _merge(sessions)


def _read_speech(speech: _DatasetSpeech) -> Iterator[tuple[float, Message]]:
    segment: list[Word] = []
    number = 0
    for i, word in enumerate(speech.asr_words):
        segment.append(word)
        last = i + 1 == len(speech.asr_words)
        closes = last or speech.asr_words[i + 1][1] - word[2] >= PAUSE_SECONDS or len(segment) == MAX_WORDS
        yield word[2], _update(speech.speech, f"s{number}", segment, closes)
        if closes:
            segment, number = [], number + 1
    if speech.asr_words:
        yield speech.asr_words[-1][2], End(session=speech.speech)


def read_events(path: Path) -> Iterator[Message]:
    """Read a recogniser session with interim results (`seg`, `is_final`, `text`, `words`; other lines: skipped)."""
    session = path.name.removesuffix(".events.jsonl")
    for line in path.read_bytes().splitlines():
        event = msgspec.json.decode(line, type=_DatasetEvent)
        if event.seg < 0:
            continue
        yield Update(
            session=session,
            segment=f"s{event.seg}",
            text=event.text,
            final=event.is_final,
            time=event.words[-1][2] if event.words else None,
            words=_word_times(event),
        )
    yield End(session=session)


def _word_times(event: _DatasetEvent) -> tuple[WordTime, ...] | None:
    """Times of an event's words; None if they do not match the words of the text."""
    if len(event.words) != len(event.text.split()):
        return None
    return tuple(WordTime(start, end) for _, start, end in event.words)


def read_increments(path: Path) -> Iterator[Message]:
    """Read timed increments of many call sides (`File:`, `Time:`, then word, start, end).

    An increment replaces all text from the start of its first word on. If that text is in a closed segment, the segment
    is edited.
    """
    sessions = []
    for block in path.read_text(encoding="utf-8").split("File: ")[1:]:
        name, _, rest = block.partition("\n")
        increments = [_increment(text) for text in rest.split("Time: ")[1:]]
        sessions.append(list(_read_session(name.strip(), [words for words in increments if words])))
    yield from _merge(sessions)


def _increment(text: str) -> list[Word]:
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return [(row[0], float(row[1]), float(row[2])) for row in rows if len(row) == 3]


def _read_session(session: str, increments: list[list[Word]]) -> Iterator[tuple[float, Message]]:
    sent: list[tuple[str, list[Word], bool]] = []  # segments as sent: name, words, closed
    names = (f"s{number}" for number in count())
    for words in increments:
        time, begins = words[-1][2], words[0][1]
        while len(sent) > 1 and sent[-1][1][0][1] >= begins:
            name, _, _ = sent.pop()  # replaced entirely; the segment before it continues
            yield time, Delete(session=session, segment=name)
        name, before, closed = sent.pop() if sent else (next(names), [], False)
        kept = [word for word in before if word[1] < begins]
        full = begins - before[-1][2] >= PAUSE_SECONDS or len(before) + len(words) > MAX_WORDS if before else False
        if kept == before and (closed or full):  # the increment replaces nothing: it begins a segment
            if not closed:
                yield time, _update(session, name, before, True)
            sent.append((name, before, True))
            name, kept, closed = next(names), [], False
        sent.append((name, kept + words, closed))
        yield time, _update(session, name, kept + words, closed)
    yield increments[-1][-1][2] if increments else 0.0, End(session=session)


class _DatasetLine(msgspec.Struct):
    """Fields of the first line that identify the file shape."""

    asr_words: Any = None
    seg: Any = None


def read_streams(path: Path) -> list[Message]:
    """Read a recorded stream in any known shape or in normal form, or all `.jsonl` files under a folder.

    Raises:
        RecordingError: the stream cannot be read, or has no messages.
    """
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    try:
        messages = [message for file in files for message in _read_any(file, several=len(files) > 1)]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError, ValueError) as error:
        raise RecordingError(f"{path} is not a recorded stream: {error}") from error
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    if not messages:
        raise RecordingError(f"{path} has no recorded stream")
    return messages


def _read_any(path: Path, several: bool) -> Iterator[Message]:
    if path.suffix == ".text":
        return read_increments(path)
    with path.open("rb") as lines:
        first = msgspec.json.decode(lines.readline(), type=_DatasetLine)
    if first.asr_words is not None:
        return read_speeches(path)
    if first.seg is not None:
        return read_events(path)
    messages = (recorded.message for recorded in read_recording(path) if recorded.message)
    return (replace(x, session=f"{path.stem}/{x.session}") for x in messages) if several else messages


def _update(session: str, segment: str, words: list[Word], final: bool) -> Update:
    return Update(
        session=session,
        segment=segment,
        text=" ".join(word for word, _, _ in words),
        final=final,
        time=words[-1][2],
        words=tuple(WordTime(start, end) for _, start, end in words),
    )


def _merge(sessions: list[list[tuple[float, Message]]]) -> Iterator[Message]:
    """Merge the sessions in order of time; the order within a session does not change."""
    ordered = []
    for messages in sessions:
        latest = 0.0
        for time, message in messages:
            latest = max(latest, time)  # a message is not sent before its predecessor
            ordered.append((latest, message))
    ordered.sort(key=itemgetter(0))  # stable: ties keep the order of the sessions
    yield from (message for _, message in ordered)
