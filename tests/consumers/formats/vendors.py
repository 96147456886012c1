"""A true transcript as each vendor would send it: interim results that grow, shrink, are rewritten and repeated, then
the final one; late and out of order where a vendor's messages can be told apart.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from tests.stream.fake_tagger import VOCABULARY

Word = tuple[str, float, float]


@dataclass(frozen=True)
class Result:
    """What a recogniser says of one utterance at one moment."""

    number: int
    channel: int
    start: float
    words: tuple[Word, ...]
    final: bool

    @property
    def text(self) -> str:
        return " ".join(word for word, _, _ in self.words)

    @property
    def end(self) -> float:
        return self.words[-1][2] if self.words else self.start + 0.1


KINDS = ("grow", "shrink", "rewrite", "repeat", "empty")
_WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4)
_UTTERANCES = st.lists(
    st.tuples(_WORDS, st.lists(st.sampled_from(KINDS), max_size=5), st.booleans()), min_size=1, max_size=6
)


def transcripts(channels: int = 1) -> st.SearchStrategy[list[Result]]:
    """Results in the order in which they are made; the finals are the true transcript."""
    return st.tuples(_UTTERANCES, st.lists(st.integers(0, channels - 1), min_size=6, max_size=6)).map(
        lambda drawn: _speak(*drawn)
    )


def _speak(utterances: Sequence[tuple[list[str], list[str], bool]], channels: Sequence[int]) -> list[Result]:
    made = []
    for number, (truth, kinds, shifts) in enumerate(utterances):
        start = 10.0 * number + 0.5
        words = tuple((word, start + i, start + i + 0.8) for i, word in enumerate(truth))
        heard: tuple[Word, ...] = words[:1]
        for kind in kinds:
            heard = _change(kind, heard, words)
            # interim results may begin a little elsewhere than the final one does
            made.append(Result(number, channels[number], start - (0.25 if shifts else 0.0), heard, False))
        made.append(Result(number, channels[number], start, words, True))
    return made


def _change(kind: str, heard: tuple[Word, ...], truth: tuple[Word, ...]) -> tuple[Word, ...]:
    if kind == "grow":
        return truth[: len(heard) + 1]
    if kind == "shrink":
        return heard[:-1]
    if kind == "rewrite":
        return tuple(("um", start, end) for _, start, end in heard)
    return () if kind == "empty" else heard


def disturbed(results: Sequence[Result], swaps: Sequence[int], again: Sequence[int]) -> list[Result]:
    """Neighbours swapped, and some sent again right behind themselves.

    Interim results that say other words and come after the final one are left out: only a new stream sends such.
    """
    told = list(results)
    for position in swaps:
        at = position % len(told)
        told[at : at + 2] = reversed(told[at : at + 2])
    finals = {x.number: (at, {word for word, _, _ in x.words}) for at, x in enumerate(told) if x.final}
    told = [
        x
        for at, x in enumerate(told)
        if x.final or at < finals[x.number][0] or {word for word, _, _ in x.words} <= finals[x.number][1]
    ]
    for position in sorted((x % len(told) for x in again), reverse=True):
        told.insert(position, told[position])
    return told


def _deepgram(x: Result) -> Any:
    words = [{"word": w, "start": s, "end": e, "speaker": x.number % 2} for w, s, e in x.words]
    return {
        "type": "Results",
        "channel_index": [x.channel, 2],
        "start": x.start,
        "duration": x.end - x.start,
        "is_final": x.final,
        "channel": {"alternatives": [{"transcript": x.text, "words": words}]},
        "metadata": {"request_id": "feedbeef"},
    }


def _flux(x: Result) -> Any:
    words = [{"word": w, "start": s, "end": e} for w, s, e in x.words]
    event = "EndOfTurn" if x.final else "Update"
    return {"type": "TurnInfo", "event": event, "turn_index": x.number, "transcript": x.text, "words": words}


def _aws(x: Result) -> Any:
    items = [{"Content": w, "StartTime": s, "EndTime": e, "Type": "pronunciation"} for w, s, e in x.words]
    result = {
        "Alternatives": [{"Transcript": x.text, "Items": items}],
        "StartTime": x.start,
        "EndTime": x.end,
        "IsPartial": not x.final,
        "ResultId": f"{x.number}-{x.final}",
        "ChannelId": f"ch_{x.channel}",
    }
    return {"Transcript": {"Results": [result]}}


def _assemblyai(x: Result) -> Any:
    words = [{"text": w, "start": s * 1000, "end": e * 1000} for w, s, e in x.words]
    return {
        "type": "Turn",
        "turn_order": x.number,
        "turn_is_formatted": x.final,
        "end_of_turn": x.final,
        "transcript": " ".join(w for w, _, _ in x.words[: None if x.final else -1]),
        "words": words,
    }


def _google(x: Result) -> Any:
    stable = {"alternatives": [{"transcript": x.text}], "isFinal": x.final, "resultEndTime": f"{x.end:.3f}s"}
    if x.final or len(x.words) < 2:
        return {"results": [stable | {"channelTag": x.channel + 1}]}
    first, rest = " ".join(w for w, _, _ in x.words[:1]), " " + " ".join(w for w, _, _ in x.words[1:])
    parts = [stable | {"alternatives": [{"transcript": part}], "channelTag": x.channel + 1} for part in (first, rest)]
    return {"results": parts}


def _azure(x: Result) -> Any:
    begins = {"Offset": round(x.start * 1e7), "Duration": round((x.end - x.start) * 1e7), "Channel": x.channel}
    return begins | ({"RecognitionStatus": "Success", "DisplayText": x.text} if x.final else {"Text": x.text})


def _vosk(x: Result) -> Any:
    words = [{"word": w, "start": s, "end": e} for w, s, e in x.words]
    return {"text": x.text, "result": words} if x.final else {"partial": x.text, "partial_result": words}


def _watson(x: Result) -> Any:
    best = {"transcript": x.text + " ", "timestamps": [list(word) for word in x.words]}
    return {"result_index": x.number, "results": [{"final": x.final, "alternatives": [best]}]}


def _gladia(x: Result) -> Any:
    words = [{"word": w if i == 0 else f" {w}", "start": s, "end": e} for i, (w, s, e) in enumerate(x.words)]
    utterance = {"start": x.start, "end": x.end, "channel": x.channel, "text": x.text, "words": words, "speaker": 0}
    # a partial need not have the id of its transcript
    data = {"id": f"{x.channel:02}-{x.number:04}{'' if x.final else '-partial'}", "is_final": x.final}
    return {"type": "transcript", "session_id": "beefcafe", "data": data | {"utterance": utterance}}


def _recall(x: Result) -> Any:
    words = [
        {"text": w, "start_timestamp": {"relative": s}, "end_timestamp": {"relative": e} if x.final else None}
        for w, s, e in x.words
    ]
    said = {"words": words, "participant": {"id": x.channel, "name": None}}
    event = "transcript.data" if x.final else "transcript.partial_data"
    return {"event": event, "data": {"data": said, "recording": {"id": "r"}}}


def _rev(x: Result) -> Any:
    elements: list[Any] = []
    for w, s, e in x.words:
        if x.final and elements:
            elements.append({"type": "punct", "value": " "})
        elements.append({"type": "text", "value": w} | ({"ts": s, "end_ts": e} if x.final else {}))
    return {"type": "final" if x.final else "partial", "ts": x.start, "end_ts": x.end, "elements": elements}


def _twilio(x: Result) -> Any:
    return {
        "TranscriptionEvent": "transcription-content",
        "CallSid": "CA1",
        "Track": "inbound_track",
        "Final": str(x.final).lower(),
        "Timestamp": datetime.fromtimestamp(1.8e9 + x.end, UTC).isoformat(),
        "TranscriptionData": json.dumps({"transcript": x.text}),
    }


ENCODERS: dict[str, Callable[[Result], Any]] = {
    "deepgram": _deepgram,
    "deepgram-flux": _flux,
    "aws-transcribe": _aws,
    "assemblyai": _assemblyai,
    "azure": _azure,
    "watson": _watson,
    "google": _google,
    "vosk": _vosk,
    "gladia": _gladia,
    "recall": _recall,
    "rev": _rev,
    "twilio": _twilio,
}
UNNAMED = ("google", "vosk", "twilio")
"""Nothing in their messages says which utterance they are of, so they can be repeated, but not be out of order."""


def encode(name: str, results: Sequence[Result]) -> list[bytes]:
    return [json.dumps(ENCODERS[name](x)).encode() for x in results]
