"""`hearken evaluate` on the command line: tables out, files where they were asked for, mistakes on one line."""

import json

import pytest
from typer.testing import CliRunner

from consumers.cli.main import app
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import tiny_checkpoint


@pytest.fixture
def tagger(tmp_path):
    made = tiny_checkpoint()
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    return str(tmp_path / "tiny")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.conll"
    path.write_text("ms\tB-PER\nrice\tI-PER\nin\tO\nrome\tB-LOC\n\nwe\tO\nmet\tO\n", encoding="utf-8")
    return str(path)


def run(*args):
    return CliRunner().invoke(app, list(args))


def test_evaluate_writes_table_json_and_plot(tagger, data, tmp_path):
    result = run(
        *("evaluate", "--data", data, "--tagger", tagger, "--rename", "PER=person", "--rename", "LOC=place"),
        *("--policy", "never", "--policy", "last:2", "--out", str(tmp_path / "out")),
    )
    assert result.exit_code == 0, result.output
    assert "sEM" in result.stdout
    report = json.loads((tmp_path / "out" / "evaluation.json").read_bytes())
    assert [(x["policy"], x["closing"]) for x in report["results"]] == [
        ("never", False), ("never", True), ("last:2", False), ("last:2", True)
    ]  # fmt: skip
    assert report["results"][0]["metrics"]["flips_per_word"] == 0
    assert (tmp_path / "out" / "evaluation.png").stat().st_size > 1000


def test_evaluate_without_closing_has_one_line_a_policy(tagger, data, tmp_path):
    out = tmp_path / "out"
    result = run(
        *("evaluate", "--data", data, "--tagger", tagger, "--rename", "PER=person", "--rename", "LOC="),
        *("--policy", "always", "--no-close", "--limit", "1", "--out", str(out)),
    )
    assert result.exit_code == 0, result.output
    report = json.loads((out / "evaluation.json").read_bytes())
    assert [x["closing"] for x in report["results"]] == [False]
    assert report["sequences"] == 1


def test_seeds_are_taken_together_and_every_metric_is_shown(tagger, data, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["hearken", "evaluate", "--data", "a file"])
    lines = tmp_path / "rows.jsonl"
    result = run(
        *("evaluate", "--data", data, "--tagger", tagger, "--tagger", tagger, "--rename", "PER=person"),
        *("--rename", "LOC=place", "--policy", "last:2", "--policy", "oracle", "--no-close", "--spoken", "--all"),
        *("--json-lines", str(lines)),
    )
    assert result.exit_code == 0, result.output
    for head in ("seeds together", "R-appr.", "EO_2", "RC_2", "CT", "±"):
        assert head in result.stdout
    rows = [json.loads(line) for line in lines.read_bytes().splitlines()]
    assert [row["policy"] for row in rows] == ["last:2", "oracle"] * 2
    assert rows[0]["command"] == "hearken evaluate --data 'a file'"
    assert rows[0]["spoken"]


def test_a_recorded_stream_needs_no_gold(tagger, tmp_path):
    stream, out = tmp_path / "call.events.jsonl", tmp_path / "out"
    words = [["we", 0.1, 0.3], ["met", 0.3, 0.6], ["ms", 0.8, 1.0]]
    events = [{"seg": 0, "text": " ".join(w for w, _, _ in words[:n]), "words": words[:n]} for n in (1, 2, 3)]
    stream.write_text("\n".join(json.dumps(event) for event in events), encoding="utf-8")
    result = run("evaluate", "--stream", str(stream), "--tagger", tagger, "--policy", "never", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "1 segments, 3 updates" in result.stdout
    report = json.loads((out / "evaluation.json").read_bytes())
    assert [(x["policy"], x["closing"]) for x in report["results"]] == [("never", False), ("never", True)]
    assert report["results"][1]["agreement"]["words"] == 1
    assert report["results"][0]["metrics"]["flops_saved"] > 0
    assert (out / "frontier.png").stat().st_size > 1000


def test_levels_have_lines_a_table_and_a_picture_of_their_own(tagger, data, tmp_path):
    stream, out = tmp_path / "call.jsonl", tmp_path / "out"
    said = ["in rome", "in rome we met", "in rome we met ms rice"]
    updates = [{"type": "update", "session": "s", "segment": "u", "text": x, "time": i} for i, x in enumerate(said)]
    stream.write_text("\n".join(json.dumps(x) for x in updates), encoding="utf-8")
    levels = ("--stability", "low", "--stability", "1:1", "--policy", "never", "--out", str(out))
    for source in (["--data", data, "--rename", "PER=person", "--rename", "LOC=place"], ["--stream", str(stream)]):
        result = run("evaluate", *source, "--tagger", tagger, *levels)
        assert result.exit_code == 0, result.output
        assert "what readers were shown" in result.stdout
        report = json.loads((out / "evaluation.json").read_bytes())
        assert [(x["emission"], x["closing"]) for x in report["results"]] == [
            ("low", False), ("low", True), ("1:1", False), ("1:1", True)
        ]  # fmt: skip
        assert report["results"][2]["metrics"]["spans_shown"] == 0
        assert report["results"][1]["metrics"]["offline_f1"] == report["results"][3]["metrics"]["offline_f1"]
        assert (out / "emission.png").stat().st_size > 1000
        (out / "emission.png").unlink()


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [
        {"text": "ms rice met us in rome", "labels": {"who": 1, "place": 1}, "session": "a"},
        {"text": "we went back", "labels": {"who": 0, "place": 0}, "session": "a"},
        {"text": "on monday", "labels": {"who": 0}, "session": "b"},
        {"text": " ", "labels": {"who": 0}},
    ]
    path.write_text("\n".join(json.dumps(x) for x in rows), encoding="utf-8")
    return path


def test_labels_of_texts_are_measured_as_texts(tagger, texts, tmp_path):
    out, lines = tmp_path / "out", tmp_path / "lines.jsonl"
    result = run(
        *("evaluate", "--data", str(texts), "--tagger", tagger, "--rename", "who=person", "--chat", "3", "--sessions"),
        *("--all", "--out", str(out), "--json-lines", str(lines)),
    )
    assert result.exit_code == 0, result.output
    for part in ("same length", "how early", "by place", "best - worst", "1 without a word", "nine times out of ten"):
        assert part in " ".join(result.stdout.split())
    assert "sEM" not in result.stdout  # the file has no spans
    assert [path.name for path in out.iterdir()] == ["texts.json"]
    report = json.loads((out / "texts.json").read_bytes())
    assert [x["label"] for x in report["results"][0]["labels"]] == ["person", "place"]
    [line] = [json.loads(line) for line in lines.read_bytes().splitlines()]
    assert (line["rows"], line["chat"], line["sessions"], line["policy"]) == (3, 3, True, "default")


def test_spans_are_measured_as_text_too_where_it_is_asked_for(tagger, tmp_path):
    path, out = tmp_path / "spans.jsonl", tmp_path / "out"
    rows = [{"text": "ms rice", "spans": [[0, 7, "person"]]}, {"text": "in rome", "spans": [[3, 7, "place"]]}]
    path.write_text("\n".join(json.dumps(x) for x in rows), encoding="utf-8")
    for more, files in (
        ([], {"evaluation.json"}),
        (["--chat", "2", "--threshold", "0.4"], {"evaluation.json", "texts.json"}),
    ):
        arguments = ("--data", str(path), "--tagger", tagger, "--policy", "never", "--out", str(out), *more)
        result = run("evaluate", *arguments)
        assert result.exit_code == 0, result.output
        assert {x.name for x in out.glob("*.json")} == files
        assert ("by place" in result.stdout) == ("sEM" in result.stdout and bool(more))
    [found] = json.loads((out / "texts.json").read_bytes())["results"]
    assert [(x["label"], x["source"], x["threshold"]) for x in found["labels"]] == [
        ("person", "spans", 0.4), ("place", "spans", 0.4)
    ]  # fmt: skip
    assert [x["place"] for x in found["spans"]["places"]] == ["1", "all", "2"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rename", "who="], "'place'"),
        (["--rename", "who=place", "--chat", "9"], "--chat 3"),
        (["--spoken", "--chat", "2"], "--chat: only with"),
        (["--join", "9", "--threshold", "0"], "--threshold: only with"),
        (["--rename", "who=place", "--threshold", "1"], "--threshold must be above 0 and below 1"),
        (["--rename", "who=me"], "no text score and no span for me"),
    ],
)
def test_texts_that_cannot_be_measured_so_are_refused(tagger, texts, more, message):
    if "'place'" in message:
        texts.write_text('{"text": "a", "labels": {"place": 7}}', encoding="utf-8")
    result = run("evaluate", "--data", str(texts), "--tagger", tagger, *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_labels_of_texts_that_are_left_out_are_named(tagger, texts):
    spans = json.dumps({"text": "in rome", "spans": [[3, 7, "place"]]}) + "\n"
    texts.write_text(spans + texts.read_text("utf-8"), encoding="utf-8")
    result = run("evaluate", "--data", str(texts), "--tagger", tagger, "--spoken", "--policy", "never")
    assert result.exit_code == 0, result.output
    assert "labels of whole texts are not measured with --spoken" in result.stderr
    assert "sEM" in result.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--data"),
        (["--sessions"], "--sessions: only with"),
        (["--stream", "b.jsonl", "--chat", "5"], "--chat: only with"),
        (["--data", "a.conll", "--threshold", "0.5"], "--threshold: only with"),
        (["--data", "a.conll", "--stream", "b.jsonl"], "one of them"),
        (["--stream", "b.jsonl", "--join", "5"], "--join"),
        (["--stream", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_what_is_measured_is_asked_for(args, message):
    result = run("evaluate", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--policy", "sometimes"], "sometimes"),
        (["--stability", "sure"], "sure"),
        (["--rename", "PER"], "FILE_TYPE=TAGGER_TYPE"),
        ([], "types that the tagger lacks: LOC, PER"),
        (["--tagger", "nowhere"], "nowhere"),
        (["--data", "nowhere.conll"], "nowhere.conll"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tagger, data, more, message):
    source = [] if "--data" in more else ["--data", data]
    result = run("evaluate", *source, *([] if "--tagger" in more else ["--tagger", tagger]), *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
