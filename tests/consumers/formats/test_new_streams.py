"""A stream of the same session whose clock or numbers begin again is labelled while it comes; what stood stays."""

import json
from typing import Any

import pytest

from tests.consumers.formats.runs import Run
from tests.consumers.formats.vendors import ENCODERS, UNNAMED, Result, Word

FIRST = "the ferry to Oslo leaves at noon"
SECOND = "Greta asked about the museum"


def spoken(text: str, number: int = 0, start: float = 0.1, words: int | None = None, final: bool = False) -> Result:
    said = text.split()[:words]
    timed: tuple[Word, ...] = tuple((w, start + 0.3 * i, start + 0.3 * i + 0.2) for i, w in enumerate(said))
    return Result(number, 0, start, timed, final)


def told(name: str, *results: Result) -> list[bytes]:
    values: list[Any] = [ENCODERS[name](x) for x in results]
    for value in values:  # nothing names the connection
        for name in ("metadata", "session_id"):
            value.pop(name, None)
    return [json.dumps(x).encode() for x in values]


def finals(run: Run) -> list[str]:
    return [x.strip() for x in run.finals()]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_new_stream_is_labelled_while_it_comes(name: str) -> None:
    run = Run(name).tell(told(name, spoken(FIRST, words=3), spoken(FIRST, final=True)))
    growing = told(name, *(spoken(SECOND, words=n) for n in (2, 3, 4)))
    for offset, value in enumerate(growing, 2):
        run.tell([value], offset)
        assert [x.split()[0] for x in run.open()] == ["Greta"], "an interim result of the new stream stands"
    assert sorted(len(x.split()) for x in run.open()) == [4]
    run.tell(told(name, spoken(SECOND, final=True)), 5)
    assert sorted(finals(run)) == sorted([FIRST, SECOND])
    assert not run.open()
    # the new stream goes on
    run.tell(told(name, spoken("see you in Turin", 1, 7.0, words=3), spoken("see you in Turin", 1, 7.0, final=True)), 6)
    assert sorted(finals(run)) == sorted([FIRST, SECOND, "see you in Turin"])
    assert not run.open()


@pytest.mark.parametrize("name", ENCODERS)
def test_a_new_stream_that_begins_with_the_same_words_is_labelled_while_it_comes(name: str) -> None:
    first, second = "we met Greta in Oslo at noon", "we met Omar in Turin"
    run = Run(name).tell(told(name, spoken(first, words=3), spoken(first, final=True)))
    for offset, words in enumerate((2, 3, 4), 2):
        run.tell(told(name, spoken(second, words=words)), offset)
        stands = [len(x.split()) for x in run.open()]
        assert stands == [words] or (words == 2 and not stands)  # these could be of the first one, and late
    run.tell(told(name, spoken(second, final=True)), 5)
    assert sorted(finals(run)) == sorted([first, second])
    alone = Run(name).tell(told(name, spoken(first, final=True), spoken(second, final=True)))
    assert sorted(finals(alone)) == sorted([first, second])


@pytest.mark.parametrize("name", ENCODERS)
def test_streams_of_final_results_alone_stand_beside_each_other(name: str) -> None:
    run = Run(name).tell(told(name, spoken(FIRST, final=True), spoken(SECOND, final=True)))
    assert sorted(finals(run)) == sorted([FIRST, SECOND])
    assert not run.bad


@pytest.mark.parametrize("name", ENCODERS)
def test_what_was_open_is_not_overwritten(name: str) -> None:
    """The first stream ends in the middle of a later utterance, whose final result never comes."""
    run = Run(name).tell(told(name, spoken("yes", final=True), spoken(FIRST, 4, 289.0)))
    run.tell(told(name, spoken(SECOND, words=2), spoken(SECOND, words=3), spoken(SECOND, final=True)), 2)
    assert {FIRST, SECOND} <= {x.text.strip() for x in run.segments().values()}
    run.tell(told(name, spoken("until tomorrow then", 1, 6.0, words=2)), 5)
    run.tell(told(name, spoken("until tomorrow then", 1, 6.0, final=True)), 6)
    assert {FIRST, SECOND, "until tomorrow then"} <= {x.text.strip() for x in run.segments().values()}


@pytest.mark.parametrize("name", [x for x in ENCODERS if x not in UNNAMED])
def test_a_final_result_that_comes_again_in_other_words_is_an_edit(name: str) -> None:
    edited = FIRST.replace("noon", "ten")
    run = Run(name).tell(told(name, spoken(FIRST, final=True), spoken(edited, final=True)))
    assert len(run.finals()) == 1


def test_a_connection_of_deepgram_is_its_whole_id() -> None:
    values = [ENCODERS["deepgram"](x) for x in (spoken(FIRST, final=True), spoken(FIRST, final=True))]
    for number, value in enumerate(values):
        value["metadata"] = {"request_id": f"00000000-{number}"}
    run = Run("deepgram").tell([json.dumps(x).encode() for x in values])
    assert run.finals() == [FIRST, FIRST]
    flux = [ENCODERS["deepgram-flux"](spoken(FIRST, final=True)) | {"request_id": f"00000000-{i}"} for i in (0, 1)]
    assert Run("deepgram-flux").tell([json.dumps(x).encode() for x in flux]).finals() == [FIRST, FIRST]


def test_two_speakers_of_azure_who_begin_together_are_two() -> None:
    said = [ENCODERS["azure"](spoken(text, final=True)) for text in (FIRST, SECOND)]
    values = [
        said[0] | {"SpeakerId": "Guest-1"},
        said[1] | {"SpeakerId": "Guest-2"},
        said[0] | {"SpeakerId": "Guest-3"},
    ]
    run = Run("azure").tell([json.dumps(x).encode() for x in values])
    assert sorted(finals(run)) == sorted([FIRST, SECOND, FIRST])
    assert {x.speaker for x in run.segments().values()} == {"Guest-1", "Guest-2", "Guest-3"}


def test_two_results_of_amazon_with_one_start_in_one_event_are_two() -> None:
    first, second = (ENCODERS["aws-transcribe"](spoken(text, final=True)) for text in (FIRST, SECOND))
    first["Transcript"]["Results"] += second["Transcript"]["Results"]
    run = Run("aws-transcribe").tell([json.dumps(first).encode()])
    assert sorted(finals(run)) == sorted([FIRST, SECOND])


def test_lines_of_a_program_that_was_started_again_are_a_segment_of_their_own() -> None:
    lines = ["0 900 We met in", "900 1800 Turin and", "0 700 Greta", "700 1500 is here."]
    run = Run("whisper-streaming").tell([x.encode() for x in lines])
    assert run.finals() == ["We met in Turin and", "Greta is here."]


def test_speakers_of_watson_are_those_of_their_own_stream() -> None:
    def result(text: str, speaker: int) -> list[Any]:
        final = json.loads(told("watson", spoken(text, final=True))[0])
        labels = [{"from": 0.1 + 0.3 * i, "to": 0.3, "speaker": speaker} for i in range(len(text.split()))]
        return [final, {"speaker_labels": labels}]

    values = [*result(FIRST, 0), *result(SECOND, 1)]
    run = Run("watson").tell([json.dumps(x).encode() for x in values])
    assert {x.text.strip(): x.speaker for x in run.segments().values()} == {FIRST: "0", SECOND: "1"}


def test_a_stream_read_again_after_a_crash_opens_no_other() -> None:
    for name in ENCODERS:
        values = told(
            name,
            spoken(FIRST, words=3),
            spoken(FIRST, final=True),
            spoken(SECOND, words=2),
            spoken(SECOND, words=4),
            spoken(SECOND, final=True),
        )
        whole = Run(name).tell(values)
        for kept in range(len(whole.log) + 1):
            run = Run(name).tell(values)
            run.die(kept)
            assert run.tell(values).texts() == whole.texts(), (name, kept)
