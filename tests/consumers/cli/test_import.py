"""`hearken import` from a folder of transformers' to a tagger that runs, is measured and is trained on."""

import io
import json
import sys
from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.common.settings import OFFLINE, EngineSettings
from consumers.formats.line_reader import LineReader
from consumers.runtime.engine_factory import build_engine
from consumers.runtime.tag_lines import TagRun, TextReader
from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.train.config import read_train_config
from encoder.train.run import run_training
from tests.encoder.foreign import write_foreign
from tests.waiting import run

LINES = """\
we met ms rice in paris on monday
she went to rome with the president
the president of peru came back
it's he who met the president
we don't know when she came
on monday we went to peru
rice is what they eat in peru
ms rice came back on monday
who went with her to rome
paris in spring is what we met for
"""
SAID = ("we met ms rice, in Paris", "it's Rome")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(LINES * 3)
    return path


def tag_here(tagger: Path) -> bytes:
    """Label the lines as `hearken tag` does, in this process."""
    out, errors = io.BytesIO(), io.StringIO()
    tagging = TagRun(
        build_engine(EngineSettings(tagger=[str(tagger)], policy="last:3", **OFFLINE)), TextReader(), False, out, errors
    )
    tagging.run(LineReader(io.BytesIO("\n".join(SAID).encode())))
    assert (errors.getvalue(), tagging.bad) == ("", 0)
    return out.getvalue()


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_an_imported_tagger_labels_text(
    family: str, tmp_path: Path, text: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_foreign(tmp_path / "in", family)
    out = tmp_path / "out"
    heal = ["--heal", str(text), "--epochs", "2", "--lr", "0.001"] if family == "bert" else []
    assert main(["import", str(tmp_path / "in"), "--out", str(out), *heal]) == 0
    said = capfd.readouterr().out
    assert f"{family}, 3 layers of 32, 1 of them causal" in said
    assert "labels: O, B-person, I-person, B-place, I-place" in said
    assert "storing it in 8 and 16 bits moves a label's score by" in said
    assert ("healed and rounded" in said) == bool(heal)
    assert ("was not measured" in said) == (not heal)
    found = [json.loads(line) for line in tag_here(out).splitlines()]
    assert [revision["final"] for revision in found] == [True, True]
    for revision, line in zip(found, SAID, strict=True):
        for span in revision["spans"]:
            assert line[span["start"] : span["end"]] == span["text"]
            assert span["label"] in ("person", "place")
    assert any(revision["spans"] for revision in found)
    if heal:
        command = [sys.executable, "-m", "consumers.cli.main", "tag", "--input", "text", "--tagger", str(out)]
        ran = run(command, input="\n".join(SAID), capture_output=True, text=True, check=True)
        assert [json.loads(line) for line in ran.stdout.splitlines()] == found


def test_an_imported_encoder_can_be_tuned_and_measured(
    tmp_path: Path, text: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_foreign(tmp_path / "in", "roberta", tagger=False)
    base, data = tmp_path / "base", tmp_path / "train.conll"
    assert main(["import", str(tmp_path / "in"), "--out", str(base), "--heal", str(text), "--causal-layers", "2"]) == 0
    assert "no labels: tune it with hearken train" in capfd.readouterr().out
    data.write_text("".join(f"{w}\t{'B-place' if w in ('rome', 'peru') else 'O'}\n" for w in LINES.split()) + "\n")
    config = tmp_path / "c.toml"
    config.write_text(
        f'out = "{tmp_path}/run"\nstart = "{base}"\n[tagger]\nepochs = 1\n[[train]]\npath = "{data}"\nrepeat = 8\n'
    )
    folder = run_training(read_train_config(config))
    shape = load_checkpoint(str(folder)).config
    assert (shape.labels, shape.causal_layers, shape.hidden) == (("O", "B-place", "I-place"), 2, 32)
    assert main(["evaluate", "--data", str(data), "--tagger", str(folder), "--policy", "last:2"]) == 0
    assert "last:2" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no model.safetensors"),
        (["--causal-layers", "3"], "causal_layers must be"),
        (["--no-head", "--window", "40"], "window must be"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_two(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    write_foreign(tmp_path / "in", "bert")
    if not arguments:
        (tmp_path / "in" / "model.safetensors").unlink()
    capfd.readouterr()
    assert main(["import", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("hearken import: ")
    assert message in line
