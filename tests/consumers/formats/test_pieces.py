"""Recognisers that confirm an utterance piece by piece: the pieces are the text, whatever stands between them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.consumers.formats.runs import Run, said
from tests.stream.fake_tagger import VOCABULARY

Part = tuple[str, float, float]
"""A part of a word with its times; the first of a word has the blank before it."""


@dataclass(frozen=True)
class Step:
    """What one message says: parts confirmed now, interim ones behind them, and whether the utterance ends."""

    confirmed: tuple[Part, ...]
    interim: tuple[Part, ...]
    ends: bool


WORDS = st.lists(st.sampled_from([x for x in VOCABULARY if x.isalpha()]), min_size=1, max_size=5)
HEARD = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "um", "truth"])), max_size=6)
UTTERANCES = st.lists(st.tuples(WORDS, HEARD), min_size=1, max_size=4)


def speak(utterances: Sequence[tuple[list[str], list[tuple[int, str]]]], whole_words: bool) -> list[Step]:
    steps: list[Step] = []
    for number, (words, heard) in enumerate(utterances):
        parts: list[Part] = []
        for i, word in enumerate(words):
            at = 10.0 * number + i
            cuts = [f" {word}" if i else word] if whole_words else [f" {word[:2]}" if i else word[:2], word[2:]]
            parts += [(x, at + 0.4 * j, at + 0.4 * j + 0.3) for j, x in enumerate(cuts) if x]
        done = 0
        for count, interim in heard:
            confirmed, done = parts[done : done + count], min(done + count, len(parts))
            at = parts[done][1] if done < len(parts) else parts[-1][2]
            behind = [(" um", at, at + 0.1)] if interim == "um" else parts[done:]
            steps.append(Step(tuple(confirmed), tuple(behind) if interim else (), False))
        steps.append(Step(tuple(parts[done:]), (), True))
    return steps


def truth(steps: Sequence[Step]) -> list[str]:
    texts = [""]
    for step in steps:
        texts[-1] += "".join(text for text, _, _ in step.confirmed)
        if step.ends:
            texts.append("")
    return texts[:-1]


def _soniox(step: Step) -> list[Any]:
    tokens: list[Any] = [
        {"text": text, "start_ms": 1000 * start, "end_ms": 1000 * end, "is_final": final}
        for parts, final in ((step.confirmed, True), (step.interim, False))
        for text, start, end in parts
    ]
    return [{"tokens": [*tokens, *([{"text": "<end>", "is_final": True}] if step.ends else [])]}]


def _speechmatics(step: Step) -> list[Any]:
    messages: list[Any] = []
    for name, parts in (("AddTranscript", step.confirmed), ("AddPartialTranscript", step.interim)):
        results = [
            {"type": "word", "start_time": start, "end_time": end, "alternatives": [{"content": text.strip()}]}
            for text, start, end in parts
        ]
        text = "".join(f"{x.strip()} " for x, _, _ in parts)
        messages.append({"message": name, "metadata": {"transcript": text}, "results": results})
    return [*messages, *([{"message": "EndOfUtterance", "metadata": {}}] if step.ends else [])]


def _cartesia(step: Step) -> list[Any]:
    messages: list[Any] = []
    for final, parts in ((True, step.confirmed), (False, step.interim)):
        text = "".join(x for x, _, _ in parts)
        messages.append({"type": "transcript", "request_id": "c", "is_final": final, "text": text})
    return [*messages, *([{"type": "flush_done", "request_id": "c"}] if step.ends else [])]


ENCODERS: dict[str, Callable[[Step], list[Any]]] = {
    "soniox": _soniox,
    "speechmatics": _speechmatics,
    "cartesia": _cartesia,
}


def join_ends(values: Sequence[Any]) -> list[Any]:
    """Put the end of each utterance and the beginning of the next into one message."""
    joined: list[Any] = []
    for value in values:
        if joined and joined[-1]["tokens"][-1:] == [{"text": "<end>", "is_final": True}]:
            joined[-1] = {"tokens": joined[-1]["tokens"] + value["tokens"]}
        else:
            joined.append(value)
    return joined


def encode(values: Sequence[Any]) -> list[bytes]:
    return [json.dumps(x).encode() for x in values]


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=40)
@given(
    utterances=UTTERANCES,
    joined=st.booleans(),
    again=st.lists(st.integers(0, 60), max_size=3),
    deaths=st.lists(st.integers(0, 60), max_size=2),
    coalesce=st.booleans(),
    group=st.integers(1, 3),
)
def test_confirmed_pieces_are_the_text(
    name: str,
    utterances: Any,
    joined: bool,
    again: list[int],
    deaths: list[int],
    coalesce: bool,
    group: int,
) -> None:
    steps = speak(utterances, whole_words=name != "soniox")
    values = [x for step in steps for x in ENCODERS[name](step)]
    if name == "soniox" and joined:
        values = join_ends(values)
    if name == "speechmatics":  # whose pieces have times
        for position in sorted((x % len(values) for x in again), reverse=True):
            values.insert(position, values[position])
    told = encode(values)
    run = Run(name, coalesce=coalesce, group=group).tell(told)
    expected = [" ".join(x.split()) for x in truth(steps)]
    assert [" ".join(x.split()) for x in run.finals()] == expected
    assert not run.open()
    whole = run.texts()
    for kept in deaths:
        run.die(kept % (len(run.log) + 1))
        run.tell(told)
        assert run.texts() == whole


def token(text: str, final: bool, *times: int, **fields: Any) -> dict[str, Any]:
    at = {"start_ms": times[0], "end_ms": times[1]} if times else {}
    return {"text": text, "is_final": final} | at | fields


def soniox(*messages: Sequence[Any]) -> Run:
    return Run("soniox").tell(encode([{"tokens": list(tokens)} for tokens in messages]))


def test_a_message_with_several_ends_is_several_segments() -> None:
    end = token("<end>", True)
    run = soniox(
        [token("we", False, 0, 100)],
        [token("we met", True, 0, 300), end, token("Greta.<end>", True, 400, 600), token("in", True, 700, 800), end],
        [token("Os", True, 900, 1000), token("lo", False, 1000, 1100)],
    )
    assert run.texts() == {"audio:0": "we met", "audio:1.5": "Greta.", "audio:1.501": "in", "audio:2": "Oslo ..."}


def test_what_is_confirmed_twice_counts_once_and_what_is_said_twice_twice() -> None:
    first, second = token(" no", True, 500, 700), token(" no", True, 800, 990)
    run = soniox([token("oh", True, 0, 200)], [first], [first, token(" wa", False, 900, 990)], [second])
    assert run.texts() == {"audio:0": "oh no no ..."}


def test_a_clock_that_begins_again_opens_another_segment() -> None:
    run = soniox(
        [token("see you in", True, 60_000, 61_000), token(" Tu", False, 61_200, 61_400)],
        [token("Sor", True, 50, 200), token("ry", False, 200, 300)],
        [token("ry.", True, 200, 350), token("<end>", True)],
    )
    assert run.texts() == {"audio:0": "see you in Tu", "audio:1.5": "Sorry."}


def test_parts_of_words_have_the_times_and_speakers_of_their_tokens() -> None:
    run = soniox(
        [token("Gr", True, 0, 200, speaker="1"), token("etta x", False, 200, 900, speaker="1")],
        [token("eta", True, 200, 400, speaker="1"), token(" here", True, 500, 700, speaker="2")],
    )
    assert said(run.segments()["audio:0"]) == [("Greta", 0.0, 0.4, "1"), ("here", 0.5, 0.7, "2")]


def test_tokens_without_times_and_those_of_a_translation() -> None:
    run = soniox(
        [token("we", True), token("wir", True, translation_status="translation")],
        [token("haben", False, translation_status="translation")],
        [token(" met", False, translation_status="original")],
    )
    assert run.texts() == {"audio:0": "we met ..."}


def piece(text: str, final: bool, begin: float, end: float) -> dict[str, Any]:
    results = [
        {"type": "word", "start_time": begin, "end_time": end, "alternatives": [{"content": x, "speaker": "S1"}]}
        for x in text.split()
    ]
    name = "AddTranscript" if final else "AddPartialTranscript"
    metadata = {"start_time": begin, "end_time": end, "transcript": text}
    return {"message": name, "metadata": metadata, "results": results}


END = {"message": "EndOfUtterance", "metadata": {}}


@pytest.mark.parametrize(
    ("messages", "stands"),
    [
        ([piece("See Greta ", True, 0, 1), END, piece(". ", True, 1, 1)], {"audio:0": "See Greta. "}),
        (
            [piece("See Greta", True, 0, 1), END, piece(". Then ", True, 1, 2), END],
            {"audio:0": "See Greta", "audio:2": ". Then "},
        ),
        (  # words that were interim at the end are confirmed behind it
            [
                piece("See ", True, 0, 1),
                piece("Greta", False, 1, 2),
                END,
                piece("Greta ", False, 1, 2),
                piece("Greta. ", True, 1, 2),
            ],
            {"audio:0": "See Greta. "},
        ),
        ([piece("See", True, 0, 1), piece("Greta", False, 1, 2)], {"audio:0": "See Greta ..."}),
        ([piece("我", True, 0, 1), piece("们", False, 1, 2)], {"audio:0": "我们 ..."}),
        ([piece("See ", True, 0, 1), piece("Greta", False, 1, 2), piece("", False, 1, 2)], {"audio:0": "See  ..."}),
    ],
)
def test_ends_and_blanks_of_speechmatics(messages: list[Any], stands: dict[str, str]) -> None:
    assert Run("speechmatics").tell(encode(messages)).texts() == stands


def test_results_without_a_transcript_are_joined() -> None:
    message = piece("Good day", True, 0, 1)
    del message["metadata"]["transcript"]
    mark = {"type": "punctuation", "attaches_to": "previous", "alternatives": [{"content": ","}]}
    message["results"].insert(1, mark)
    message["results"].append({"type": "speaker_change"})
    assert Run("speechmatics").tell(encode([message])).texts() == {"audio:0": "Good, day  ..."}


def segment(kind: str, text: str, begin: float, speaker: str = "S1") -> dict[str, Any]:
    return {
        "message": kind,
        "segment": {"transcript": text, "speaker": speaker},
        "metadata": {"start_time": begin, "end_time": begin + 1},
    }


def test_realtime_messages_of_agent_stt_repeat_its_segments() -> None:
    run = Run("speechmatics").tell(
        encode(
            [
                piece("See", False, 0.1, 1),
                segment("AddPartialSegment", "See", 0.1),
                piece("See Greta. ", True, 0.1, 1),
                segment("AddSegment", "See Greta.", 0.1),
                END,
                segment("AddPartialSegment", "in", 2),
                {"message": "EndOfTurn", "metadata": {}},
            ]
        )
    )
    assert run.texts() == {"segment@0.100": "See Greta.", "segment@2.000": "in"}


def test_the_voice_sdk_has_open_segments_of_several_speakers() -> None:
    def listed(kind: str, *rows: tuple[str, str, float]) -> dict[str, Any]:
        segments = [
            {"speaker_id": who, "text": text, "is_active": True, "metadata": {"start_time": at, "end_time": at + 1}}
            for who, text, at in rows
        ]
        return {"message": kind, "segments": segments}

    run = Run("speechmatics").tell(
        encode(
            [
                listed("AddPartialSegment", ("S1", "See", 0.0), ("S2", "no", 0.2)),
                listed("AddPartialSegment", ("S1", "See Greta", 0.0), ("S2", "now", 0.2)),
                listed("AddSegment", ("S1", "See Greta.", 0.0)),
            ]
        )
    )
    assert run.texts() == {"segment-S2@0.200": "now ...", "segment-S1@0.000": "See Greta."}
    assert run.segments()["segment-S1@0.000"].speaker == "S1"


def test_a_stream_that_never_ends_an_utterance_is_closed_at_sentence_ends() -> None:
    sentence = "we met Greta in Oslo and then went on to Turin. "
    run = Run("cartesia").tell(
        encode([{"type": "transcript", "request_id": "c", "is_final": True, "text": sentence}] * 50)
    )
    assert len(run.finals()) == 2
    assert "".join(x.text for x in run.segments().values()) == sentence * 50
    assert all(1000 <= len(x) <= 1100 for x in run.finals())
