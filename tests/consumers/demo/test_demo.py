"""The demo: the whole path on plain lines, and what a terminal would show."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import consumers.demo.demo
from consumers.common.settings import EngineSettings
from consumers.demo.demo import Demo
from consumers.demo.summary import DemoSummary
from consumers.demo.terminal_view import LiveView, Palette, PlainView, annotate, hide_controls, make_view, paint
from consumers.demo.transcript import Flip, Transcript, Turn
from consumers.http.settings import HttpSettings
from stream.messages.types import Changed, Retracted, Revision, Span, Update, Was
from stream.sessions.stats import EngineStats
from tests.consumers.fakes import build_fake_engine


@pytest.fixture(autouse=True)
def keep_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests keeps its settings, which are for all of one."""
    monkeypatch.setattr(consumers.demo.demo, "tune_interpreter", lambda: None)


def update(segment: str, text: str, **fields: object) -> Update:
    return Update(session="a", segment=segment, text=text, **fields)  # type: ignore[arg-type]


def span(text: str, within: str, label: str, id: int = 1) -> Span:
    start = within.index(text)
    return Span(id=id, start=start, end=start + len(text), label=label, text=text, stability=0.9)


def revision(*spans: Span, **fields: object) -> Revision:
    given = {"tagger": "t", "session": "a", "segment": "u", "rev": 1, "offset": 0, "final": False} | fields
    return Revision(spans=spans, **given)  # type: ignore[arg-type]


def transcript_of(text: str, *spans: Span, final: bool = False) -> Transcript:
    transcript = Transcript()
    transcript.add_message(update("u", text))
    transcript.apply_revision(revision(*spans, final=final))
    return transcript


async def test_the_whole_path_on_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(consumers.demo.demo, "build_engine", build_fake_engine)
    warm = build_fake_engine(EngineSettings())  # the first step of a process loads compiled functions
    warm.submit(update("u1", "anna"), 0)
    warm.step()
    texts = [("u1", "may", False), ("u1", "may said", False), ("u1", "may river", False), ("u1", "may river", True)]
    texts += [("u2", "anna in rome", False), ("u2", "anna in rome at last", True)]
    lines = [
        {"type": "update", "session": "a", "segment": name, "text": text, "final": final, "time": 10.0 + number}
        for number, (name, text, final) in enumerate(texts)
    ]
    file = tmp_path / "recording.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    http = HttpSettings(port=0)
    assert await Demo(engine=EngineSettings(), speed=40.0, file=file, http=http).run() == 0
    shown = capsys.readouterr().out
    assert "live page http://127.0.0.1:" in shown
    assert "u1  [may](place) river" in shown
    assert "u2  [anna](person) in [rome](place) at last" in shown
    assert "flip  u1: 'may'" in shown
    for figure in ("words ", "revisions ", "words recomputed a word", "labels of words that flipped", "p50"):
        assert figure in shown
    assert "\x1b" not in shown


def test_flips_are_told_with_what_stood_before() -> None:
    text = "ms rice in paris"
    transcript = transcript_of(text, span("rice", text, "person"), span("paris", text, "place", 2))
    changed = Changed(id=1, was=Was(start=3, end=7, label="person"), cause="model")
    gone = Retracted(id=2, start=11, end=16, label="place", text="paris", cause="input")
    flips = transcript.apply_revision(revision(span("ms rice", text, "person"), changed=(changed,), retracted=(gone,)))
    assert flips == [
        Flip("u", "rice", "person", "ms rice", "person", "model"),
        Flip("u", "paris", "place", "paris", None, "input"),
    ]
    assert transcript.turns["a", "u"].flipped == {"t": {1}}


def test_spans_that_a_newer_text_overtook_are_not_drawn() -> None:
    transcript = transcript_of("we met bob", span("bob", "we met bob", "person"))
    transcript.add_message(update("u", "we met rob today"))
    assert annotate(transcript.turns["a", "u"], "t") == "we met rob today"
    transcript.add_message(update("u", " again", mode="append"))
    assert transcript.turns["a", "u"].text == "we met rob today again"


@pytest.mark.parametrize("final", [False, True])
def test_words_have_their_labels_colour_and_provisional_ones_are_dim(final: bool) -> None:
    text = "bob in rome"
    transcript = transcript_of(text, span("bob", text, "person"), span("rome", text, "place", 2), final=final)
    palette = Palette()
    painted = paint(transcript.turns["a", "u"], palette)
    assert painted.plain == text
    assert palette.colour("person") != palette.colour("place")
    colours = {text[x.start : x.end]: str(x.style).split()[0] for x in painted.spans}
    assert colours == {"bob": palette.colour("person"), "rome": palette.colour("place")}
    assert all(("dim" in str(x.style)) == (not final) for x in painted.spans)
    assert ("dim" in str(painted.style)) == (not final)


def test_a_terminal_gets_a_picture_and_a_pipe_gets_lines() -> None:
    text = "bob in rome"
    transcript = transcript_of(text, span("bob", text, "person"), final=True)
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=60, height=20)
    view = make_view(terminal, transcript, ["t"])
    assert isinstance(view, LiveView)
    view.start("title")
    view.add_revision(transcript.turns["a", "u"], "t", [Flip("u", "bob", "place", "bob", "person", "model")])
    view.draw("status")
    view.stop()
    assert all(x in out.getvalue() for x in ("title", "status", "bob", "place -> 'bob' person (model)", "\x1b["))
    assert isinstance(make_view(Console(file=io.StringIO()), transcript, ["t"]), PlainView)


def test_spans_of_several_taggers_are_shown_within_each_other_or_in_lines_of_their_own() -> None:
    text = "bob is in rome"
    transcript = transcript_of(text, span("bob", text, "person"), span("rome", text, "place", 2), final=True)
    transcript.apply_revision(revision(span(text, text, "claim"), tagger="claims", final=True))
    turn, palette = transcript.turns["a", "u"], Palette()
    assert [(x.start, x.end) for x in paint(turn, palette).spans] == [(0, 14), (10, 14), (0, 3)]  # the last is on top
    out = io.StringIO()
    view = make_view(Console(file=out, width=60), transcript, ["t", "claims"])
    view.add_revision(turn, "t", [])
    view.add_revision(turn, "claims", [])
    assert out.getvalue().splitlines() == [
        "u  t  [bob](person) is in [rome](place)",
        "u  claims  [bob is in rome](claim)",
    ]


def test_the_summary_has_the_figures_that_matter() -> None:
    stats = EngineStats(words=200, words_recomputed=300, revisions=40, messages=90, flips_model=3, flips_input=7)
    rows = dict(DemoSummary(stats, [0.001 * x for x in range(1, 101)], 5.0, 2).rows())
    assert rows["words recomputed a word"] == "1.50"
    assert rows["labels of words that flipped"] == "3 by the model, 7 by rewritten input"
    assert rows["latency, update sent to label read"] == "p50 50.5 ms, p99 99.0 ms"
    assert rows["dead letters"] == "2"


async def test_a_service_that_breaks_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Exception):
        pass

    async def fail(self: object, stop: asyncio.Event) -> None:
        raise Broken

    monkeypatch.setattr(consumers.demo.demo, "build_engine", build_fake_engine)
    monkeypatch.setattr("consumers.kafka.service.service.Service.run", fail)
    file = tmp_path / "recording.jsonl"
    file.write_text('{"type":"end","session":"a"}\n')
    with pytest.raises(Broken):
        await Demo(engine=EngineSettings(), file=file).run()


def test_a_terminal_does_not_obey_a_text() -> None:
    assert hide_controls("anna \x1b[2J\x9bm\x07 rice\u202e") == "anna  [2J m  rice "
    turn = Turn("u", text="anna\x1b[2J rice", final=True)
    assert "\x1b" not in paint(turn, Palette()).plain
