"""`hearken tag`: exit codes, clean output, order, and the same output for the same input however it arrives."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from consumers.common.settings import OFFLINE, EngineSettings, SettingError
from consumers.formats.decode import decode_message
from consumers.formats.line_reader import LineReader
from consumers.formats.readers import MessageReader, NormalReader, make_reader
from consumers.runtime.engine_factory import build_engine
from consumers.runtime.tag_lines import RunningTextReader, TagRun, TextReader
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.consumers.fakes import fake_engine
from tests.tiny import LABELS, tiny_checkpoint
from tests.waiting import killed_after

ROOT = Path(__file__).parents[3]
HERE = [sys.executable, "-m", "tests.consumers.fakes", "tag"]


def update(session: str, text: str, **fields: object) -> str:
    return json.dumps({"type": "update", "session": session, "segment": "s", "text": text, **fields})


NORMAL, TEXT = NormalReader(), TextReader()


def tag_here(data: bytes, reader: MessageReader = NORMAL, final_only: bool = False) -> tuple[list[dict], str, int]:
    out, errors = io.BytesIO(), io.StringIO()
    tagging = TagRun(fake_engine(["ner"], "", coalesce=False), reader, final_only, out, errors)
    tagging.run(LineReader(io.BytesIO(data)))
    return [json.loads(line) for line in out.getvalue().decode().splitlines()], errors.getvalue(), tagging.bad


@pytest.mark.parametrize("reader", [TextReader(), RunningTextReader(), make_reader("vosk", lambda _: {})])
def test_all_lines_are_of_the_session_that_is_named(reader: MessageReader) -> None:
    data = b'{"text": "anna"}\n{"text": "rome"}\n'
    out, errors = io.BytesIO(), io.StringIO()
    TagRun(fake_engine(["ner"], "", coalesce=False), reader, False, out, errors, "call-9").run(
        LineReader(io.BytesIO(data))
    )
    assert {json.loads(line)["session"] for line in out.getvalue().splitlines()} == {"call-9"}


def test_a_message_of_another_session_than_the_one_that_is_named_is_told_by_the_option() -> None:
    out, errors = io.BytesIO(), io.StringIO()
    run = TagRun(fake_engine(["ner"], "", coalesce=False), NORMAL, False, out, errors, "call-9")
    run.run(LineReader(io.BytesIO(update("a", "anna").encode())))
    assert errors.getvalue() == "line 1 (offset 0): key_mismatch: --session is not the message's session\n"


def test_every_line_is_a_step_of_its_session() -> None:
    lines = [update("a", text) for text in ("may", "may said", "may said rome")]
    revisions, errors, bad = tag_here("\n".join(lines).encode())
    assert [(r["rev"], r["offset"]) for r in revisions] == [(1, 1), (2, 2)]
    assert [s["label"] for s in revisions[1]["spans"]] == ["person", "place"]
    assert (errors, bad) == ("", 0)


def test_output_follows_the_lines_of_many_sessions() -> None:
    lines = [update(f"s{i % 7}", " ".join(["anna met rice"] * (1 + i // 7)), final=i >= 63) for i in range(70)]
    revisions, _, _ = tag_here("\n".join(lines).encode())
    offsets = [r["offset"] for r in revisions]
    assert offsets == sorted(offsets)
    assert set(offsets) == set(range(70))
    assert [r["final"] for r in revisions] == [r["offset"] >= 63 for r in revisions]


def test_text_lines_are_closed_segments() -> None:
    revisions, errors, bad = tag_here("\ufeffanna met rice\r\n\nwe met\n".encode(), reader=TEXT)
    assert [(r["segment"], r["offset"], r["final"]) for r in revisions] == [("0", 0, True), ("2", 2, True)]
    assert [s["text"] for s in revisions[0]["spans"]] == ["anna", "rice"]
    assert (errors, bad) == ("", 0)


def test_final_only_writes_closing_revisions_alone() -> None:
    lines = [
        update("a", "anna"),
        update("a", "anna in rome", final=True),
        update("b", "bob"),
        '{"type":"end","session":"b"}',
    ]
    revisions, _, _ = tag_here("\n".join(lines).encode(), final_only=True)
    assert [(r["session"], r["final"], r["offset"]) for r in revisions] == [("a", True, 1), ("b", True, 3)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "invalid_json"),
        (b"[1]", "invalid_message"),
        (b'{"type":"update","session":"a","segment":"s","text":5}', "invalid_message"),
        (b'{"type":"update","session":"a","segment":"s"}', "invalid_message"),
        (b'{"type":"update","session":"a","segment":"s","text":"x","time":NaN}', "invalid_message"),
        (b'{"type":"update","session":"a","segment":"s","text":"x","time":1e999}', "invalid_message"),
        (b'{"type":"update","session":"a","segment":"s","text":"x","y":"\xff"}', "invalid_utf8"),
        (b'{"type":"update","session":"a","segment":"s","text":NaN}', "invalid_message"),
        (b'{"type":"update","session":"a","segment":"s","text":"\xed\xa0\xff"}', "invalid_utf8"),
        (b'{"type":"update","session":"","segment":"s","text":"a"}', "bad_id"),
        (b'{"type":"update","session":"a","segment":"s","text":"' + b"x" * 70_000 + b'"}', "text_too_long"),
        (b'{"type":"update","session":"a","segment":"s","text":"' + b"x" * (1 << 20) + b'"}', "too_large"),
        (b'{"type":"update","session":"a","segment":"s","text":"x","deep":' + b"[" * 100_000, "invalid_json"),
        (b'{"type":"end","session":"nobody"}', "unknown_session"),
        (b'{"type":"delete","session":"good","segment":"nothing"}', "unknown_segment"),
        (b"\x00", "invalid_json"),
    ],
)
def test_bad_lines_are_named_and_the_next_goes_on(line: bytes, reason: str) -> None:
    data = b"\n".join([update("good", "anna").encode(), line, update("good", "anna in rome").encode()])
    revisions, errors, bad = tag_here(data)
    assert [r["offset"] for r in revisions] == [0, 2]
    assert errors.startswith(f"line 2 (offset 1): {reason}: ")
    assert errors.count("\n") == bad == 1
    assert errors.strip().isprintable()


def test_a_failure_of_labelling_is_named_too() -> None:
    data = "\n".join([update("a", "anna"), update("b", "poison"), update("a", "anna rice")]).encode()
    revisions, errors, bad = tag_here(data)
    assert [(r["session"], r["offset"]) for r in revisions] == [("a", 0), ("a", 2)]
    assert errors.startswith("line 2 (offset 1): labelling failed")
    assert bad == 1


def test_a_live_pipe_is_answered_at_once_and_the_same_as_a_file() -> None:
    words = ["we", "met", "may", "said", "in", "jordan", "river"]
    lines = [update(f"s{i % 5}", " ".join(words[: 1 + i // 5])).encode() for i in range(35)]
    lines[20:20] = [b"{"]
    lines[0] = update("s0", "anna").encode()
    rest = b"\n".join(lines[1:])
    with subprocess.Popen(
        HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with killed_after(process.kill):
            process.stdin.write(lines[0] + b"\n")
            process.stdin.flush()
            first = process.stdout.readline()  # the answer comes while the pipe stays open
            for start in range(0, len(rest), 700):
                process.stdin.write(rest[start : start + 700])
                process.stdin.flush()
            out, errors = process.communicate()
    from_file, _, bad = tag_here(b"\n".join(lines))
    assert bad == process.returncode == 1
    assert json.loads(first)["offset"] == 0
    assert [json.loads(x) for x in (first + out).splitlines()] == from_file
    assert errors.decode().splitlines() == [
        "line 21 (offset 20): invalid_json: the JSON ends in the middle: the value was cut off",
        "1 bad line",
    ]


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with subprocess.Popen(
        [*HERE, "--input", "text"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with killed_after(process.kill):
            process.stdin.write(b"anna met rice\n" * 1000)
            process.stdin.close()
            assert process.stderr.read() == b""
            process.wait()
    assert process.returncode == 1


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real checkpoint with random weights."""
    folder = tmp_path_factory.mktemp("tagger") / "tiny"
    checkpoint = tiny_checkpoint(positions=128, window=64)
    save_checkpoint(folder, checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    return folder


def test_several_taggers_answer_each_line_under_their_own_names(tagger: Path, tmp_path: Path) -> None:
    """Two heads of one checkpoint and another checkpoint; each says what it says alone."""
    trunk = tiny_checkpoint(labels=("O",), taggers={"acts": ("O", "B-act", "I-act"), "ner": LABELS, "more": LABELS})
    save_checkpoint(tmp_path / "trunk", trunk.config, trunk.weights, trunk.tokenizer)
    names = [f"{tmp_path}/trunk:ner", str(tagger), f"{tmp_path}/trunk:acts"]
    data = b"we met ms rice in paris\nshe went to rome\n"

    def label(*chosen: str) -> list[dict]:
        out = io.BytesIO()
        engine = build_engine(EngineSettings(tagger=list(chosen), policy="stability:0.9", **OFFLINE))
        TagRun(engine, TEXT, False, out, sys.stderr).run(LineReader(io.BytesIO(data)))
        return [json.loads(line) for line in out.getvalue().decode().splitlines()]

    together = label(*names)
    assert [(x["offset"], x["tagger"]) for x in together] == [(i, x) for i in (0, 1) for x in ("ner", "acts", "tiny")]
    for name, chosen in zip(("ner", "tiny", "acts"), names, strict=True):
        assert [x for x in together if x["tagger"] == name] == label(chosen)
    assert {x["tagger"] for x in label(f"{tmp_path}/trunk")} == {"acts", "ner", "more"}


def test_a_tagger_with_nothing_but_text_scores_gives_them_and_thresholds_name_what_there_is(tmp_path: Path) -> None:
    made = tiny_checkpoint(labels=("O",), text_scores={"": ("rude", "check_worthy")})
    save_checkpoint(tmp_path / "scorer", made.config, made.weights, made.tokenizer)
    out = io.BytesIO()
    settings = EngineSettings(
        tagger=[f"{tmp_path}/scorer"], score_threshold="0.3,scorer:rude=0.01,check_worthy=0.6", **OFFLINE
    )
    engine = build_engine(settings)
    assert engine.score_thresholds == {"scorer": {"rude": 0.01, "check_worthy": 0.6}}
    TagRun(engine, TEXT, False, out, sys.stderr).run(LineReader(io.BytesIO(b"we met ms rice in paris\n \n")))
    (revision,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (revision["spans"], revision["tagger"], revision["final"]) == ([], "scorer", True)
    assert revision["scores"].keys() == {"rude", "check_worthy"}
    above = [x for x, limit in (("rude", 0.01), ("check_worthy", 0.6)) if revision["scores"][x] >= limit]
    assert revision.get("crossed", []) == above
    with pytest.raises(SettingError, match="'scorer:rud' is no text score: the taggers have scorer:rude, scorer:check"):
        build_engine(replace(settings, score_threshold="scorer:rud=0.5"))


def test_a_real_tagger_labels_the_same_in_batches_and_line_by_line(tagger: Path) -> None:
    words = [
        "we",
        "met",
        "ms",
        "rice",
        "in",
        "paris",
        "she",
        "went",
        "to",
        "rome",
        "with",
        "the",
        "president",
        "of",
        "peru",
    ]
    lines = [update(f"s{i % 6}", " ".join(words[i % 3 : i // 3 + 2]), final=i >= 36) for i in range(42)]
    command = [sys.executable, "-m", "consumers.cli.main", "tag", "--tagger", str(tagger), "--policy", "entropy:0.3"]
    data = b"".join(line.encode() + b"\n" for line in lines)
    whole = subprocess.run(command, input=data, capture_output=True, cwd=ROOT, timeout=120, check=False)
    assert (whole.returncode, json.loads(whole.stderr)["event"]) == (0, "loading")
    engine = build_engine(EngineSettings(tagger=[str(tagger)], policy="entropy:0.3", **OFFLINE))
    single = io.BytesIO()
    for number, line in enumerate(lines):
        engine.submit(decode_message(line.encode()), number)
        while engine.pending:
            for revision in engine.step().revisions:
                single.write(msgspec.json.encode(revision) + b"\n")
    assert whole.stdout == single.getvalue()
    assert whole.stdout.count(b'"final":true') == 6


def test_each_revision_is_one_line_whatever_breaks_lines_in_its_text() -> None:
    text = "anna\x0c\x1c\x85\u2028\u2029\x0brice\r"
    revisions, errors, bad = tag_here(update("s", text, final=True).encode())
    assert (errors, bad) == ("", 0)
    (revision,) = revisions
    assert {s["text"] for s in revision["spans"]} == {text[:-1]}
    assert [text[s["start"] : s["end"]] for s in revision["spans"]] == [s["text"] for s in revision["spans"]]


KEEP_ALIVE, RESULT = (
    '{"type": "KeepAlive"}',
    {
        "type": "Results",
        "channel_index": [0, 1],
        "is_final": True,
        "channel": {"alternatives": [{"transcript": "we met anna rice"}]},
    },
)


def tag_format(name: str, data: str) -> "subprocess.CompletedProcess[str]":
    arguments = [*HERE, "--format", name, "--session", "call"]
    return subprocess.run(arguments, input=data, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def test_what_was_ignored_is_listed_at_the_end() -> None:
    done = tag_format("deepgram", "\n".join([KEEP_ALIVE, json.dumps(RESULT), KEEP_ALIVE, '{"type": "New"}']))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.splitlines()[-1] == (
        "3 of 4 lines had nothing to label: 2 keep_alive (first: line 1), 1 other_event (first: line 4)"
    )


def test_a_file_of_which_nothing_was_labelled_is_a_failure() -> None:
    done = tag_format("deepgram", f"{KEEP_ALIVE}\n\n{KEEP_ALIVE}\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 of 2 lines had nothing to label: 2 keep_alive (first: line 1)" in done.stderr
    assert "no line had anything to label; is --format right?" in done.stderr
    assert tag_format("deepgram", "\n\n").returncode == 0


def test_a_wrong_format_is_named_at_the_end_of_the_line() -> None:
    done = tag_format("vosk", json.dumps(RESULT))
    assert (done.returncode, done.stdout) == (1, "")
    assert "other_format: this looks like deepgram and is read as vosk: name it with --format deepgram" in done.stderr


def test_json_over_several_lines_is_one_message() -> None:
    done = tag_format("vosk", '{\n  "partial" : "we met anna"\n}\n{\n  "text" : "we met anna rice"\n}\n')
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(x)["offset"] for x in done.stdout.splitlines()] == [0, 3]


def test_an_unknown_label_to_redact_ends_with_2_and_one_line() -> None:
    done = subprocess.run([*HERE, "--redact", "person,phon"], input=b"", capture_output=True, cwd=ROOT, timeout=120)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"--redact (HEARKEN_REDACT): no label 'phon'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_redacted_updates_come_instead_of_revisions() -> None:
    lines = [update("a", "we met anna"), "{", update("a", "We met Anna.", final=True)]
    given = "\n".join(lines).encode()
    done = subprocess.run([*HERE, "--redact", "all"], input=given, capture_output=True, cwd=ROOT, timeout=120)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(x["type"], x["text"]) for x in said][-1] == ("update", "we met [PERSON].")
    assert done.returncode == 1
    assert b"anna" not in done.stdout.lower() + done.stderr.lower()
