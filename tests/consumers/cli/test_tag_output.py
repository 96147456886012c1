"""`hearken tag --output`: captions, read by a rule of their own, and live text on a terminal."""

import html
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from consumers.demo.live_text import LiveText
from consumers.formats.line_reader import LineReader
from consumers.formats.readers import NormalReader
from consumers.runtime.segment_output.caption_output import CaptionOutput
from consumers.runtime.tag_lines import TagRun
from tests.consumers.fakes import fake_engine
from tests.waiting import killed_after

ROOT = Path(__file__).parents[3]
VTT_TIME = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"


def update(text: str, segment: str = "u1", **fields: object) -> str:
    return json.dumps({"type": "update", "session": "call", "segment": segment, "text": text} | fields)


def caption(form: str, *lines: str, taggers: tuple[str, ...] = ("ner",)) -> tuple[str, str]:
    """What `hearken tag` writes, and its errors."""
    engine = fake_engine(taggers, coalesce=False)
    out, errors = io.BytesIO(), io.StringIO()
    output = CaptionOutput(form, engine.intake.segments)  # type: ignore[arg-type]
    run = TagRun(engine, NormalReader(), False, out, errors, output=output)
    run.run(LineReader(io.BytesIO("\n".join(lines).encode())))
    assert run.bad == errors.getvalue().count("\n")
    return out.getvalue().decode(), errors.getvalue()


def milliseconds(hours: str, minutes: str, seconds: str, ms: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(ms)


def parse(form: str, text: str) -> list[tuple[int, int, str]]:
    """Cues by the grammar of WebVTT (W3C, section 4) or of SRT: start, end, payload. Anything else is an error."""
    assert "\r" not in text
    assert "\0" not in text
    blocks = text.removesuffix("\n\n").split("\n\n")
    if form == "vtt":
        assert text.startswith("WEBVTT\n")
        blocks = [
            x for x in blocks[1:] if not re.match(r"STYLE\n(::cue\(\.[A-Za-z_][\w-]*\) \{ color: [a-z]+ \}(\n|$))+$", x)
        ]
    cues = []
    time = VTT_TIME if form == "vtt" else VTT_TIME.replace(r"\.", ",")
    for number, block in enumerate(x for x in blocks if x):
        lines = block.split("\n")
        if form == "srt":
            assert lines.pop(0) == str(number + 1)
        found = re.fullmatch(rf"{time} --> {time}", lines.pop(0))
        assert found
        start, end = milliseconds(*found.groups()[:4]), milliseconds(*found.groups()[4:])
        assert start < end
        assert not cues or cues[-1][0] <= start
        assert 1 <= len(lines) <= 2
        assert all(x.strip() for x in lines)
        assert not any("-->" in x for x in lines)
        if form == "vtt":
            check_payload("\n".join(lines))
        cues.append((start, end, "\n".join(lines)))
    return cues


def check_payload(text: str) -> None:
    """Tags of a WebVTT cue are `c` with classes, closed in order, a `v` is in front; `&` begins a reference."""
    depth = 0
    body = re.sub(r"^<v [^<>\n]+>", "", text)
    for tag in re.findall(r"<[^>]*>", body):
        assert re.fullmatch(r"<c(\.[A-Za-z_][\w-]*)+>|</c>", tag), tag
        depth += -1 if tag == "</c>" else 1
        assert 0 <= depth <= 1
    assert depth == 0
    assert re.sub(r"&(amp|lt|gt);", "", re.sub(r"<[^>]*>", "", body)).count("&") == 0


def plain(form: str, payload: str) -> str:
    """Text of a cue without its labels, on one line."""
    if form == "srt":
        return re.sub(r"\]\([^)]*\)|\[", "", payload).replace("\n", " ")
    return html.unescape(re.sub(r"<[^>]*>", "", payload)).replace("\n", " ")


TIMED = [{"start": 1.0 + 0.5 * i, "end": 1.4 + 0.5 * i} for i in range(5)]


def test_captions_have_labels_and_the_times_of_their_words() -> None:
    said = update("we met anna in rome", final=True, words=TIMED, speaker="agent <1>")
    late = update("bob & anna <i>", "u2", final=True, time=65.0)
    assert caption("srt", late, said) == (
        "1\n00:00:01,000 --> 00:00:03,400\nagent <1>: we met [anna](person) in [rome](place)\n\n"
        "2\n00:01:05,000 --> 00:01:06,000\n[bob](person) & [anna](person) <i>\n\n",
        "",
    )
    vtt, _ = caption("vtt", said, late)
    assert "STYLE\n::cue(.person) { color: cyan }\n::cue(.place) { color: lime }\n\n" in vtt
    assert "<v agent &lt;1&gt;>we met <c.person>anna</c> in <c.place>rome</c>" in vtt
    assert "<c.person>bob</c> &amp; <c.person>anna</c> &lt;i&gt;" in vtt
    assert [x[:2] for x in parse("vtt", vtt)] == [(1000, 3400), (65000, 66000)]


def test_what_is_rewritten_edited_or_deleted_has_the_caption_that_stands_at_the_end() -> None:
    lines = [update("we met", time=2.0), update("we met bob", time=3.0), update("we met anna", time=4.0, final=True)]
    lines += [update("gone", "u2", final=True, time=5.0), '{"type":"delete","session":"call","segment":"u2"}']
    lines += [update("anna left", final=True, time=9.0)]
    text, errors = caption("vtt", *lines)
    assert [x[2] for x in parse("vtt", text)] == ["<c.person>anna</c> left"]
    assert errors == ""


def test_clock_times_count_from_the_first_caption_and_what_has_none_is_said() -> None:
    lines = [update("we met anna", time=1.7e9, final=True), update("in rome", "u2", time=1.7e9 + 2.5, final=True)]
    other = update("bob", "u1", final=True, time=1.0).replace('"call"', '"other"')
    text, errors = caption("srt", *lines, update("never timed", "u3", final=True), other, other)
    assert [x[:2] for x in parse("srt", text)] == [(0, 1000), (2500, 3500)]
    assert "'other' is left out" in errors
    assert "no times, so it has no caption: 'never timed'" in errors


def test_marks_of_punctuation_are_written_and_no_label() -> None:
    text = update(
        "we met anna stop so it goes stop", final=True, words=[{"start": i, "end": i + 0.5} for i in range(8)]
    )
    srt, _ = caption("srt", text, taggers=("ner", "punctuation"))
    assert "](period)" not in srt
    assert "We met [anna](person) stop. So it goes" in srt


WORDS = st.lists(
    st.sampled_from(
        ["anna", "rome", "bob", "-->", "<b>", "&amp;", "]", "a" * 50, "\x07", "{x}", "é", "👍🏽", "met", "in"]
    ),
    min_size=0,
    max_size=40,
)
TIMES = st.floats(0, 4000, allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS, TIMES, st.booleans()), min_size=1, max_size=5), st.sampled_from(["srt", "vtt"]))
def test_captions_of_any_stream_are_valid_and_have_all_of_its_text(stream: list, form: str) -> None:
    lines, expected = [], {}
    for number, (words, time, timed) in enumerate(stream):
        times = [{"start": time + 0.3 * i, "end": time + 0.3 * i + 0.2} for i in range(len(words))]
        given_times = {"words": times} if timed else {"time": time}
        lines.append(update(" ".join(words), f"u{number}", final=True, **given_times))
        expected[number] = " ".join(words).replace("\x07", " ").split()
    text, errors = caption(form, *lines)
    assert errors == ""
    cues = parse(form, text)
    if form == "vtt":  # SRT has no way to write a bracket that is none of a label
        said = sorted(word for _, _, payload in cues for word in plain(form, payload).split())
        assert said == sorted(word for words in expected.values() for word in words)


def test_a_terminal_shows_coloured_text_and_a_pipe_gets_messages() -> None:
    lines = "\n".join([update("we met"), update("we met anna"), update("we met anna in rome", final=True)]) + "\n"
    command = [sys.executable, "-m", "tests.consumers.fakes", "tag"]
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT, env=environment, text=True
    )
    with run, killed_after(run.kill):
        os.close(theirs)
        assert run.stdin is not None
        run.stdin.write(lines)
        run.stdin.close()
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            shown += part
        run.wait()
    os.close(ours)
    assert run.returncode == 0
    text = shown.decode()
    assert "\x1b[" in text
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")
    assert "we met anna in rome" in last
    assert "person" in last  # the legend
    assert '"revision"' not in text


@pytest.mark.parametrize("animated", [True, False])
def test_live_text_is_printed_for_good_when_it_closes(animated: bool) -> None:
    engine = fake_engine(("ner",), coalesce=False)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=70, height=20, color_system="standard")
    lines = [update("we met"), update("we met anna", final=True, speaker="agent"), update("in \x1b[2J rome", "u2")]
    with LiveText(console, engine.intake.segments, animated=animated) as view:
        run = TagRun(engine, NormalReader(), False, io.BytesIO(), io.StringIO(), output=view)
        run.run(LineReader(io.BytesIO("\n".join(lines).encode())))
    shown = out.getvalue()
    assert "\x1b[2J" not in shown
    final = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", x) for x in shown.split("\n")]
    assert any(re.search(r"agent +we met anna *\r?$", x) for x in final)
    assert any(re.search(r"u2 +in  ?\[2J rome", x) for x in final)
