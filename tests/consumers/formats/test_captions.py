"""Captions as the parsers of their specifications read them: headers, line ends, settings, notes, voices, entities."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.base import FormatContext, read_value
from consumers.formats.decode import BadInput
from consumers.formats.readers import FormatReader, open_line_reader
from consumers.formats.registry import FORMATS, recognise
from consumers.formats.speech.cue_parser import parse_cues
from stream.messages.types import Update
from tests.consumers.formats.runs import Run

CUES = ["00:01.000 --> 00:02.000\nGreta is in Delft", "00:03.000 --> 00:04.000\ncall Omar"]


def through_file(data: bytes, name: str = "captions") -> Run:
    """The values that a file is split into, through a run."""
    lines = open_line_reader(name, BytesIO(data))
    run = Run("captions")
    while (line := lines.next_line(wait=True)) is not None:
        run.tell([line.value], line.number)
    return run


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "header", ["WEBVTT\n\n", "WEBVTT\n", "WEBVTT - a title\nKind: captions\n\n", "WEBVTT\tx\n\n\n", ""]
)
def test_files_with_any_header_and_line_ends(end: str, mark: str, header: str) -> None:
    data = (mark + header + "\n\n".join(CUES) + "\n").replace("\n", end).encode()
    run = through_file(data)
    assert run.texts() == {"cue@1.000": "Greta is in Delft", "cue@3.000": "call Omar"}
    assert not run.bad
    whole = Run("captions").tell([data])
    assert whole.texts() == run.texts()


@given(st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=12, max_size=12), st.integers(1, 9))
def test_line_ends_may_be_mixed_and_arrive_in_pieces(ends: list[str], size: int) -> None:
    rows = ["WEBVTT", "", *"\n\n".join(CUES).split("\n"), ""]
    data = "".join(row + end for row, end in zip(rows, ends, strict=False)).encode()

    class Pieces(BytesIO):
        def read1(self, count: int | None = -1) -> bytes:
            return super().read1(size)

    lines = open_line_reader("captions", Pieces(data))
    run = Run("captions")
    while (line := lines.next_line(wait=True)) is not None:
        run.tell([line.value], line.number)
    assert run.finals() == ["Greta is in Delft", "call Omar"]


@pytest.mark.parametrize(
    "timing",
    [
        "00:01.000-->00:02.000",
        "00:00:01.000 --> 00:00:02.000 align:start position:0%",
        "  00:01.000\t-->\t00:02.000",
        "00:00:01,000 --> 00:00:02,000",
        "0:00:01.0 --> 0:00:02.0",
        "00:00:01 --> 00:00:02",
    ],
)
def test_times_in_every_form(timing: str) -> None:
    assert Run("captions").tell([f"{timing}\nhello".encode()]).texts() == {"cue@1.000": "hello"}


def test_blocks_that_are_no_cues_have_no_text() -> None:
    notes = ["NOTE", "NOTE a remark\nin two rows", "STYLE\n::cue { color: red }", "REGION\nid:x"]
    run = Run("captions").tell(["\n\n".join(["WEBVTT", *notes, *CUES]).encode()])
    assert run.finals() == ["Greta is in Delft", "call Omar"]
    for note in notes:
        reading = read_value(FORMATS["captions"], note.encode(), FormatContext("s", 0, lambda _: {}))
        assert (reading.messages, reading.ignored) == ([], "metadata")


def test_an_identifier_may_look_like_a_note_and_a_cue_needs_no_empty_line_before_it() -> None:
    rows = ["NOTE 1", "00:01.000 --> 00:02.000", "first", "2", "00:03.000 --> 00:04.000", "second"]
    assert [x.line_texts() for x in parse_cues("\n".join(rows))] == [["first"], ["second"]]
    rows = ["00:01.000 --> 00:02.000", "first", "00:03.000 --> 00:04.000", "second", "third"]
    assert [x.line_texts() for x in parse_cues("\n".join(rows))] == [["first"], ["second", "third"]]


def test_an_arrow_in_a_text_is_text() -> None:
    run = Run("captions").tell([b"00:01.000 --> 00:02.000\nfrom Delft --> to Turin"])
    assert run.finals() == ["from Delft --> to Turin"]


def test_tags_are_taken_off_and_what_is_none_stays() -> None:
    value = "00:01.000 --> 00:02.000\n<c.loud>you &amp; <i>me</i></c> &lt;3 <3 a < b {\\an8}end &nbsp;"
    assert Run("captions").tell([value.encode()]).finals() == ["you & me <3 <3 a < b end"]


def test_a_line_that_another_voice_repeats_is_said_again() -> None:
    def cue(start: int, voice: str, text: str = "No.") -> str:
        return f"00:0{start}.000 --> 00:0{start + 1}.000\n<v {voice}>{text}</v>"

    run = Run("captions").tell(["\n\n".join([cue(1, "Ann"), cue(2, "Ben"), cue(3, "Ann"), cue(4, "Ann")]).encode()])
    assert run.texts() == {"cue@1.000": "No.", "cue@2.000": "No.", "cue@3.000": "No."}
    two = "00:05.000 --> 00:06.000\n<v Ben>No.\n<v Ann>Yes."
    assert run.tell([two.encode()], 1).texts()["cue@5.000"] == "No.\nYes."


def test_cues_with_one_start_are_two_if_they_say_other_things() -> None:
    def cue(text: str) -> str:
        return f"00:01.000 --> 00:02.000\n{text}"

    run = Run("captions").tell([cue("Greta is in Delft").encode(), cue("call Omar").encode()])
    assert run.texts() == {"cue@1.000": "Greta is in Delft", "cue~2@1.000": "call Omar"}
    run.tell([cue("call Omar").encode(), cue("Greta is in Turin").encode()], 2)
    assert run.texts() == {"cue@1.000": "Greta is in Turin", "cue~2@1.000": "call Omar"}
    voices = Run("captions").tell([f"{cue('<v Ann>Yes.')}\n\n{cue('<v Ben>Yes.')}".encode()])
    assert [x.speaker for x in voices.segments().values()] == ["Ann", "Ben"]


def test_many_cues_with_one_start_and_many_cues_are_read_in_time() -> None:
    same = "\n\n".join(
        f"00:00:01.000 --> 00:00:02.000\nnumber {i} of those that stand together {i}" for i in range(600)
    )
    assert len(parse_cues(same)) == 600
    names = [
        x.segment for x in read_value(FORMATS["captions"], same.encode(), FormatContext("s", 0, lambda _: {})).messages
    ]
    assert len(set(names)) == len(names)
    fine = "00:00:01.0001 --> 00:00:02.000\nGreta\n\n00:00:01.0004 --> 00:00:02.000\ncall Omar"
    assert Run("captions").tell([fine.encode()]).texts() == {"cue@1.000": "Greta", "cue~2@1.000": "call Omar"}


WHISPER = "[00:00:00.000 --> 00:00:04.000]   Greta is in Delft.\n[00:00:04.000 --> 00:00:06.000]  Call Omar.\n"


@pytest.mark.parametrize("name", ["captions", "auto"])
def test_lines_that_whisper_prints_are_cues(name: str) -> None:
    assert recognise(WHISPER.encode()).name == "captions"
    run = through_file(WHISPER.encode(), name)
    assert run.texts() == {"cue@0.000": "Greta is in Delft.", "cue@4.000": "Call Omar."}
    assert len(run.told) == 2, "each line is read when it is there"


def test_a_program_that_prints_the_same_twice_has_heard_it_twice() -> None:
    lines = "[00:00:00.000 --> 00:00:02.000]  Yes.\n[00:00:02.000 --> 00:00:04.000]  Yes.\n"
    assert through_file(lines.encode()).finals() == ["Yes.", "Yes."]


@pytest.mark.parametrize("value", ["00:61.000 --> 00:62.000\nx", "when --> then\nx", "a line of text", "1\na line"])
def test_what_is_no_caption_is_said_so(value: str) -> None:
    reader = FormatReader(FORMATS["captions"], lambda _: {}, "s")
    with pytest.raises(BadInput) as bad:
        reader.read(value.encode(), None, 0)
    assert bad.value.reason == "invalid_message"
    with pytest.raises(BadInput, match="no format is known"):
        recognise(b"when --> then")


@given(st.text(alphabet=st.sampled_from("WEBVTNO 0123:.,->\n\r<v/&;a\ufeff"), max_size=60))
def test_any_text_is_read_or_refused(value: str) -> None:
    try:
        reading = read_value(FORMATS["captions"], value.encode() or b" ", FormatContext("s", 0, lambda _: {}))
    except BadInput:
        return
    assert all(isinstance(x, Update) for x in reading.messages)
    assert reading.messages or reading.ignored


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("i <3 you -> so much", "i <3 you -> so much"),
        ("<3> and <1.5 > x", "and <1.5 > x"),
        ("anna <00:00:01.500>in <b>rome</b> <3", "anna in rome <3"),
        ("2 <4 and 5> 4", "2 <4 and 5> 4"),
    ],
)
def test_a_sign_before_a_digit_begins_no_tag(row: str, text: str) -> None:
    (cue,) = parse_cues(f"00:01.000 --> 00:02.000\n{row}\n")
    assert cue.line_texts() == [text]
