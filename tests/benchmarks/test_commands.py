"""`python -m benchmarks`: tables out, files where they were asked for, mistakes on one line."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import overload
from benchmarks.__main__ import main
from benchmarks.commands import GROWTH_PARTS
from benchmarks.growth.registry import PARTS
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import LABELS, tiny_checkpoint

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    made = tiny_checkpoint(stability=8, positions=480, window=128, page_size=16)
    path = tmp_path_factory.mktemp("tiny")
    save_checkpoint(path, made.config, made.weights, made.tokenizer)
    return str(path)


@pytest.fixture
def alone(monkeypatch):
    """Only transformers is here: the others take long to set up, and tests/benchmarks/test_peers.py has them."""
    for package in ("onnx", "openvino", "spacy"):
        monkeypatch.setitem(sys.modules, package, None)


def test_peers_are_compared_and_missing_ones_are_named(tagger, alone, tmp_path, capsys):
    options = ("--sessions", "1,2", "--words", "6", "--repeats", "1", "--steps", "2", "--out", str(tmp_path))
    assert main(["peers", "--tagger", tagger, *options]) == 0
    out = capsys.readouterr().out
    assert "transformers, batched" in out
    assert "pip install openvino nncf" in out
    found = json.loads((tmp_path / "peers.json").read_bytes())
    assert set(found["missing"]) == {"ONNX Runtime", "OpenVINO", "spaCy"}
    own = {"hearken", "no restarts, key-value cache", "re-run packed"}
    assert {row["side"] for row in found["rows"]} == {*own, "transformers, one by one", "transformers, batched"}
    assert main(["savings", str(tmp_path / "peers.json"), "--core-month", "20"]) == 0
    assert "third" in capsys.readouterr().out
    assert main(["savings", str(tmp_path / "absent.json")]) == 2
    assert "absent.json" in capsys.readouterr().err


def test_dense_compares_with_re_runs_of_the_same_weights(tagger, tmp_path, capsys):
    options = ("--sessions", "1,2", "--words", "6", "--repeats", "1", "--steps", "2", "--out", str(tmp_path))
    assert main(["dense", "--tagger", tagger, *options]) == 0
    assert "re-run packed" in capsys.readouterr().out
    rows = json.loads((tmp_path / "dense.json").read_bytes())["rows"]
    sides = ["hearken", "no restarts, key-value cache", "re-run one by one", "re-run packed"]
    assert [(x["sessions"], x["side"]) for x in rows if x["side"] != "re-run batched"] == [
        (count, side) for count in (1, 2) for side in sides
    ]
    assert [x["sessions"] for x in rows if x["side"] == "re-run batched"] == [2]


def test_several_taggers_are_compared_with_the_first(tagger, tmp_path, capsys):
    other = tiny_checkpoint(labels=("O",), taggers={"a": LABELS, "b": LABELS})
    save_checkpoint(tmp_path / "trunk", other.config, other.weights, other.tokenizer)
    words = ["taggers", "--tagger", f"{tmp_path}/trunk:b", "--tagger", tagger, "--tagger", f"{tmp_path}/trunk:a"]
    assert main([*words, "--sessions", "1,2", "--words", "4", "--repeats", "1", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "taggers.json").read_bytes())
    name = Path(tagger).name
    assert [(row["sessions"], row["side"]) for row in report["rows"]] == [
        (count, side) for count in (1, 2) for side in ("b", f"b + a + {name}")
    ]
    assert capsys.readouterr().out.count("1.00x") >= 2
    assert main(["taggers", "--tagger", tagger, "--tagger", tagger]) == 2
    assert "named twice" in capsys.readouterr().err


def test_overload_writes_tables_and_json(tagger, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(overload, "CAPACITY_SECONDS", 0.1)
    words = ["overload", "--tagger", tagger, "--sessions", "2", "--words", "6", "--policy", "always"]
    assert main([*words, "--load", "1.5", "--seconds", "1", "--target", "0.001", "--out", str(tmp_path)]) == 0
    assert "append only" in capsys.readouterr().out
    report = json.loads((tmp_path / "overload.json").read_bytes())
    assert (report["load"], report["sessions"], len(report["waiting"])) == (1.5, 2, 4)


def test_the_commands_parts_are_those_that_there_are():
    assert list(PARTS) == GROWTH_PARTS


def test_growth_measures_the_parts_that_are_wanted(tagger, tmp_path, capsys):
    words = ("--tagger", tagger, "--policy", "price:0.005", "--quick", "--parts", "threshold,rewriting")
    assert main(["growth", *words, "--out", str(tmp_path)]) == 0
    out, error = capsys.readouterr()
    assert "rewriting, 0%: loading" in error
    assert "by share of updates that rewrite" in out
    assert "`never`" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rewriting.json", "threshold.json"]


def test_the_report_fills_the_page_and_goes_on_where_it_was(tagger, alone, tmp_path, capsys):
    docs, keep = tmp_path / "docs", tmp_path / "keep"
    docs.mkdir()
    shutil.copy(DOCS / "performance.md", docs)
    words = ["report", "--quick", "--tagger", tagger, "--policy", "price:0.005", "--out", str(docs)]
    assert main([*words, "--keep", str(keep), "--parts", "threshold"]) == 0
    first = (keep / "threshold.json").read_bytes()
    assert main([*words, "--keep", str(keep), "--resume"]) == 0
    assert (keep / "threshold.json").read_bytes() == first
    written = capsys.readouterr().out
    for name in (*GROWTH_PARTS, "peers"):
        assert f"performance-{name}.png" in written
        assert (docs / f"performance-{name}.png").stat().st_size > 1000
    page = (docs / "performance.md").read_text("utf-8")
    assert "`stability:0.9`" in page
    assert "transformers, batched" in page
    assert page.count("<!-- measured:") == (DOCS / "performance.md").read_text("utf-8").count("<!-- measured:")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["peers", "--sessions", "1,x"], "--sessions '1,x' is not a list of numbers such as 1,8,64"),
        (["peers", "--words", "0"], "--words '0' is not a list"),
        (["growth", "--parts", "sessions,speed"], "--parts 'speed' is none of length, sessions"),
        (["dense", "--sessions", ""], "--sessions '' is not a list"),
        (["taggers", "--tagger", "ner"], "--tagger must be given at least twice"),
        (["device", "--device", "cpu"], "--device measures a GPU"),
        (["device", "--device", "x"], "auto, cpu"),
        (["peers", "--tagger", "nobody", "--sessions", "1"], "tagger 'nobody' is none of the shipped ones"),
        (["growth", "--tagger", "nobody"], "tagger 'nobody' is none of the shipped ones"),
    ],
)
def test_mistakes_are_one_line(words, complaint, capsys):
    assert main([*words]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.strip().splitlines()[-1].startswith("hearken: ")


def test_results_of_another_version_are_a_mistake(tmp_path, capsys):
    (tmp_path / "threshold.json").write_text("{}", encoding="utf-8")
    words = ["report", "--out", str(tmp_path), "--keep", str(tmp_path), "--parts", "threshold", "--resume"]
    assert main(words) == 2
    assert "measure all parts again" in capsys.readouterr().err
