"""Recognisers whose utterances have neither names nor times until they are committed, and what follows a commit."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.ignored import IgnoredRecords
from consumers.formats.readers import make_reader
from consumers.formats.registry import recognise
from tests.consumers.formats.runs import Run, said
from tests.stream.fake_tagger import VOCABULARY

WORDS = st.lists(st.sampled_from([x for x in VOCABULARY if x.isalpha()][:4]), min_size=1, max_size=2)


def partial(text: str) -> dict[str, Any]:
    return {"message_type": "partial_transcript", "text": text}


def commit(text: str) -> dict[str, Any]:
    return {"message_type": "committed_transcript", "text": text}


def timed(text: str, begin: float | None) -> dict[str, Any]:
    words = (
        [
            {"text": x, "start": begin + i, "end": begin + i + 0.5}
            for i, x in enumerate(text.split())
            if begin is not None
        ]
        if begin is not None
        else None
    )
    return {"message_type": "committed_transcript_with_timestamps", "text": text, "words": words}


def encode(values: Sequence[Any]) -> list[bytes]:
    return [json.dumps(x).encode() for x in values]


@given(
    utterances=st.lists(
        st.tuples(WORDS, st.lists(WORDS, max_size=2), st.sampled_from(["", "null", "times"]), st.integers(0, 2)),
        min_size=1,
        max_size=5,
    ),
    deaths=st.lists(st.integers(0, 40), max_size=2),
    coalesce=st.booleans(),
    group=st.integers(1, 3),
)
def test_each_commit_of_elevenlabs_is_one_segment(
    utterances: list[tuple[list[str], list[list[str]], str, int]], deaths: list[int], coalesce: bool, group: int
) -> None:
    values: list[Any] = []
    for number, (words, heard, twin, echoes) in enumerate(utterances):
        text = " ".join(words)
        values += [partial(" ".join(x)) for x in [*heard, words]]
        values += [commit(f"{text}."), *[partial(text)] * (echoes // 2)]
        values += [timed(f"{text}.", 10.0 * number if twin == "times" else None)] if twin else []
        values += [partial(text)] * (echoes % 2)
    told = encode(values)
    run = Run("elevenlabs", coalesce=coalesce, group=group).tell(told)
    assert run.finals() == [f"{' '.join(words)}." for words, *_ in utterances]
    assert not run.open()
    assert [bool(x.times) for x in run.segments().values()] == [twin == "times" for *_, twin, _ in utterances]
    whole = run.texts()
    for kept in deaths:
        run.die(kept % (len(run.log) + 1))
        run.tell(told)
        assert run.texts() == whole


def test_a_commit_without_a_partial_between_is_a_repeat_and_with_times_of_its_own_another() -> None:
    assert Run("elevenlabs").tell(encode([partial("yes"), commit("Yes."), commit("Yes.")])).finals() == ["Yes."]
    run = Run("elevenlabs").tell(encode([timed("Yes.", 3.0), timed("Yes.", 3.0), timed("Yes.", 6.0)]))
    assert [x.times[0].start for x in run.segments().values() if x.times[0]] == [3.0, 6.0]


def test_an_empty_commit_takes_back_what_was_heard() -> None:
    values = [
        partial("uh"),
        commit(""),
        timed("", None),
        partial(""),
        {"message_type": "session_started"},
        partial("so"),
    ]
    run = Run("elevenlabs").tell(encode([*values, {"message_type": "session_started", "session_id": "e"}]))
    assert run.texts() == {"audio:5": "so"}


def test_turns_of_cartesia_are_replaced_and_may_end_empty() -> None:
    def turn(kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": f"turn.{kind}", "request_id": "c"} | fields

    values = [
        turn("start", transcript="We"),
        turn("update", transcript="We met Ina"),
        turn("eager_end", transcript="We met Ines."),
        turn("resume"),
        turn("end", transcript="We met Ines in Oslo."),
        turn("start"),
        turn("update", transcript="uh"),
        turn("end", transcript=""),
        turn("start"),
        turn("end", transcript="Bye."),
    ]
    assert Run("cartesia").tell(encode(values)).texts() == {"c/turn:0": "We met Ines in Oslo.", "c/turn:9": "Bye."}


FORM = (
    b"TranscriptionEvent=transcription-content&CallSid=CA1&Track=inbound_track&Final=true"
    b"&TranscriptionData=%7B%22transcript%22%3A%22ask+Greta+%26+Omar%22%7D"
)


def test_forms_of_twilio_are_read_and_recognised() -> None:
    assert Run("twilio").tell([FORM]).finals() == ["ask Greta & Omar"]
    assert recognise(FORM).name == "twilio"
    bad = Run("twilio").tell([FORM.replace(b"%7B", b"")]).bad
    assert [x.reason for x in bad] == ["invalid_json"]


def test_conversation_relay_has_the_caller_and_the_agent() -> None:
    values: list[Any] = [
        {"type": "setup", "sessionId": "VX1", "callSid": "CA1"},
        {"type": "prompt", "voicePrompt": "is Greta", "lang": "en-US", "last": False},
        {"type": "prompt", "voicePrompt": "Is Greta there?", "lang": "en-US", "last": True},
        {"type": "text", "token": "She is in ", "last": False},
        {"type": "text", "token": "Oslo.", "last": True},
        {"type": "dtmf", "digit": "1"},
        {"type": "text", "token": "And Om", "last": False},
        {"type": "interrupt", "utteranceUntilInterrupt": "And", "durationUntilInterruptMs": 100},
        {"type": "prompt", "voicePrompt": "stop", "last": True},
        {"type": "text", "token": "", "last": True},
        {"event": "media", "media": {"payload": "UklGRg=="}},
    ]
    run, ignored = Run("twilio"), IgnoredRecords(warn=False)
    reader = make_reader("twilio", run.engine.intake.segments, "call-1", ignored)
    for offset, value in enumerate(encode(values)):
        for message in reader.read(value, b"call-1", offset):
            run.engine.submit(message, offset)
    stands = [(x.text, x.closed, x.speaker) for x in run.segments().values()]
    assert stands == [
        ("Is Greta there?", True, "caller"),
        ("She is in Oslo.", True, "agent"),
        ("And Om", True, "agent"),
        ("stop", True, "caller"),
    ]
    assert ignored.counts == {("twilio", "metadata"): 2, ("twilio", "no_text"): 1, ("twilio", "other_event"): 1}


def test_two_participants_of_recall_with_one_name_are_two() -> None:
    def event(name: str, who: int, *words: str) -> dict[str, Any]:
        said = {"words": [{"text": x} for x in words], "participant": {"id": who, "name": "Ruth"}}
        return {"event": f"transcript.{name}", "data": {"data": said, "bot": {"id": "b"}, "transcript": {"id": "t"}}}

    values = [event("partial_data", 1, "we"), event("partial_data", 2, "no"), event("data", 1, "we", "met")]
    run = Run("recall", None).tell(encode(values))
    assert {x.speaker: (x.text, x.closed) for x in run.segments("b").values()} == {
        "1": ("we met", True),
        "2": ("no", False),
    }


def test_partials_of_rev_have_words_alone_and_finals_their_blanks() -> None:
    def elements(*values: str) -> list[dict[str, str]]:
        return [{"type": "text" if x.strip().isalnum() else "punct", "value": x} for x in values]

    for kind, values, text in (
        ("partial", ("we", "met", "Greta"), "we met Greta"),
        ("final", ("We", " ", "met", " ", "Greta", "."), "We met Greta."),
        ("final", ("We", "met", "."), "We met."),
    ):
        run = Run("rev").tell(encode([{"type": kind, "ts": 1.0, "end_ts": 2.0, "elements": elements(*values)}]))
        assert [x.text for x in run.segments().values()] == [text]


@pytest.mark.parametrize(("stamp", "seconds"), [(1772359201500, 1772359201.5), (1772359201500000, 1772359201.5)])
def test_times_of_zoom_are_milliseconds_or_microseconds(stamp: int, seconds: float) -> None:
    value = {"msg_type": 17, "content": {"user_id": 7, "data": "we met", "timestamp": stamp}}
    run = Run("zoom").tell(encode([value]))
    assert [x.start for x in run.segments()["7@1772359201.500"].times if x] == [seconds, seconds]


def test_two_pieces_of_zoom_at_one_time_are_two() -> None:
    values = [{"msg_type": 17, "content": {"user_id": 7, "data": x, "timestamp": 5000}} for x in ("we", "met", "met")]
    assert Run("zoom").tell(encode(values)).texts() == {"7@5.000": "we", "7:1": "met"}


def test_words_of_gladia_that_say_other_than_the_partial_are_one_utterance() -> None:
    def transcript(id: str, final: bool, text: str, begin: float, end: float) -> dict[str, Any]:
        words = [{"word": text, "start": begin, "end": end}]
        said = {"start": begin, "end": end, "channel": 0, "text": text, "words": words}
        return {"type": "transcript", "session_id": "g", "data": {"id": id, "is_final": final, "utterance": said}}

    run = Run("gladia").tell(
        encode(
            [
                transcript("1", False, "ferry", 1, 2),
                transcript("2", True, "Gary", 1.1, 2),
                transcript("1", False, "ferry", 1, 2),  # comes late
                transcript("3", False, "so", 4, 5),
            ]
        )
    )
    assert run.texts() == {"g/0/2": "Gary", "g/0/3": "so ..."}
    assert said(run.segments()["g/0/2"]) == [("Gary", 1.1, 2.0, None)]


@pytest.mark.parametrize(("name", "field"), [("azure", "privJson"), ("twilio", "TranscriptionData")])
def test_json_in_a_string_is_mended_as_a_message_is(name: str, field: str) -> None:
    inner = r'{"RecognitionStatus": "Success", "DisplayText": "we \ud83d met", "transcript": "we \ud83d met"}'
    value = {field: inner, "TranscriptionEvent": "transcription-content", "Final": "true"}
    assert Run(name).tell(encode([value])).finals() == ["we \ufffd met"]
