"""`hearken tag --auto-close` and `--output text`: sentences by the tagger `punctuation`, here one of word lists."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.formats.line_reader import LineReader
from consumers.formats.readers import ClosingReader, MessageReader, NormalReader
from consumers.runtime.segment_output.text_output import TextOutput
from consumers.runtime.tag_lines import TEXT_SESSION, RunningTextReader, TagRun, TextReader
from stream.messages.types import End
from stream.sentences.auto_close import AutoClose
from tests.consumers.fakes import fake_engine

ROOT = Path(__file__).parents[3]
HERE = [sys.executable, "-m", "tests.consumers.fakes", "tag"]
SAID = (
    "anna took the early boat to rome stop nobody spoke comma except for bob stop did he ever see paris ask"
    " that was all that may said about the river stop and so on"
)


def tag(
    lines: list[str],
    reader: MessageReader,
    *,
    words: int | None = None,
    as_text: bool = False,
    taggers: Sequence[str] = ("ner", "punctuation"),
) -> list[str]:
    out, errors = io.BytesIO(), io.StringIO()
    auto_close = None if words is None else AutoClose(words)
    closing = reader if auto_close is None else ClosingReader(reader, auto_close)
    ends = (End(session=TEXT_SESSION),) if isinstance(reader, RunningTextReader) else ()
    engine = fake_engine(taggers, coalesce=False)
    output = TextOutput(engine.intake.segments, engine.score_thresholds) if as_text else None
    run = TagRun(engine, closing, False, out, errors, auto_close=auto_close, output=output, ends=ends)
    run.run(LineReader(io.BytesIO("\n".join(lines).encode())))
    assert (errors.getvalue(), run.bad) == ("", 0)
    return out.getvalue().decode().splitlines()


def cut(places: list[int]) -> list[str]:
    """The words of what is said, on lines that end at some of them."""
    words = SAID.split()
    bounds = [0, *sorted({x % len(words) for x in places} - {0}), len(words)]
    return [" ".join(words[a:b]) for a, b in pairwise(bounds)]


def update(text: str, **fields: object) -> str:
    return json.dumps({"type": "update", "session": "stdin", "segment": "text", "text": text, **fields})


@settings(max_examples=25)
@given(st.lists(st.integers(0, 100), max_size=12), st.integers(1, 6))
def test_running_text_closes_at_sentence_ends_and_final_labels_are_those_of_the_closed_texts(
    places: list[int], words: int
) -> None:
    revisions = [json.loads(line) for line in tag(cut(places), RunningTextReader(), words=words)]
    final = [x for x in revisions if x["final"]]
    assert [x["offset"] for x in revisions] == sorted(x["offset"] for x in revisions)
    closed = tag(cut(places), RunningTextReader(), words=words, as_text=True)
    plain = [line.lower().translate(str.maketrans("", "", ".,?")) for line in closed]
    assert " ".join(plain) == SAID
    assert all(line.endswith(("stop", "ask")) for line in plain[:-1])
    whole = [
        json.loads(line)
        for line in tag([update(text, segment=str(i), final=True) for i, text in enumerate(plain)], NormalReader())
    ]
    for tagger in ("ner", "punctuation"):
        mine, offline = (
            [[(s["start"], s["end"], s["label"]) for s in x["spans"]] for x in rows if x["tagger"] == tagger]
            for rows in (final, whole)
        )
        assert mine == offline


@settings(max_examples=25)
@given(st.lists(st.integers(0, 100), max_size=12), st.lists(st.integers(0, 100), max_size=12))
def test_the_same_words_close_alike_however_they_are_cut_into_lines(first: list[int], second: list[int]) -> None:
    """Two words tell this tagger that it was right; with as many behind an end, lines make no difference."""
    texts = [tag([*cut(places), "at last"], RunningTextReader(), words=2, as_text=True) for places in (first, second)]
    assert texts[0] == texts[1]
    assert texts[0][-1] == "And so on at last"


def test_endless_updates_close_too_and_lines_say_when() -> None:
    words = SAID.split()
    lines = [update(" ".join(words[: i + 1])) for i in range(len(words))]
    revisions = [json.loads(line) for line in tag(lines, NormalReader(), words=3)]
    final = [(x["segment"], x["offset"]) for x in revisions if x["final"] and x["tagger"] == "punctuation"]
    ends = [i for i, word in enumerate(words) if word in ("stop", "ask")]
    assert final == [(f"text~{n}" if n > 1 else "text", end + 4) for n, end in enumerate(ends[:3], 1)]
    assert max(len(s["text"]) for x in revisions for s in x["spans"]) < 10


def test_text_output_writes_marks_and_capitals() -> None:
    lines = ["anna left stop did he ask", "so comma it rained stop\x1b[31m", "", "We stop. Did you ask?"]
    assert tag(lines, TextReader(), as_text=True) == [
        "Anna left stop. Did he ask?",
        "So comma, it rained stop. [31m",
        "We stop. Did you ask?",
    ]
    updates = [
        update("we left st"),
        update("we left stop and", segment="b"),
        update("we left stop", final=True),
        update("we stop then stop"),
        '{"type":"delete","session":"stdin","segment":"c"}',
    ]
    updates.insert(1, update("gone stop", segment="c"))
    assert tag(updates, NormalReader(), as_text=True) == ["We left stop.", "We stop. Then stop.", "We left stop. And"]


@pytest.mark.parametrize("taggers", [("scored", "punctuation"), ("punctuation", "scored")])
def test_final_scores_that_reach_their_thresholds_follow_the_text(taggers: Sequence[str]) -> None:
    lines = [
        update("anna rome", segment="a"),
        update("anna met", segment="a", final=True),
        update("we met", final=True),
    ]
    written = tag(lines, NormalReader(), as_text=True, taggers=taggers)
    assert written == ["Anna met  [rude 0.50]", "We met"]
    edited = update("anna", segment="a")
    assert tag([*lines, edited], NormalReader(), as_text=True, taggers=taggers)[2] == "Anna  [rude 1.00, worse 0.50]"


def run(*arguments: str, text: str = SAID) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*HERE, *arguments], input=text, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


def test_the_command_writes_running_text_as_sentences() -> None:
    flags = ["--tagger", "punctuation", "--auto-close", "--auto-close-words", "3", "--output", "text"]
    done = run(*flags, "--format", "text", text=SAID.replace(" stop ", " stop\n"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Anna took the early boat to rome stop.",
        "Nobody spoke comma, except for bob stop.",
        "Did he ever see paris ask?",
        "That was all that may said about the river stop. And so on",
    ]
    assert run(*flags, "--input", "text", text="").stdout == ""


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--tagger", "ner", "--auto-close"], "--auto-close (HEARKEN_AUTO_CLOSE): this needs the tagger punctuation"),
        (["--tagger", "ner", "--output", "text"], "there is ner: add --tagger punctuation"),
        (
            ["--tagger", "punctuation", "--auto-close", "--format", "deepgram"],
            "messages of deepgram close their segments themselves",
        ),
        (["--tagger", "punctuation", "--auto-close", "--auto-close-words", "0"], "--auto-close-words"),
    ],
)
def test_what_cannot_be_done_is_one_line(flags: list[str], error: str) -> None:
    done = run(*flags)
    assert done.returncode == 2
    assert error in done.stderr
