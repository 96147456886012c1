"""Without the packages of an extra, what needs them names the extra in one line, and everything else works."""

import subprocess
import sys
from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.common.exit_codes import end_with_code
from tests.waiting import run

ROOT = Path(__file__).parents[3]
KITCHEN = ROOT / "consumers" / "samples" / "kitchen"
PROGRAM = """
import sys
for name in ("torch", "matplotlib", "triton"):
    sys.modules[name] = None  # an import of it fails as if it were not there
from consumers.cli.main import main
sys.exit(main())
"""


def hearken(*words: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    """A command in a process that has none of the extras' packages."""
    return run([sys.executable, "-c", PROGRAM, *words], input=text, capture_output=True, text=True, cwd=ROOT)


def test_labelling_needs_no_extra() -> None:
    done = hearken("tag", "--input", "text", "--final-only", text="bob met anna rice in rome\n")
    assert done.returncode == 0, done.stderr
    assert '"text":"anna rice"' in done.stdout


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("train {kitchen}", "train"),
        ("import {folder} --out {folder}/out", "train"),
        ("evaluate --data {conll} --out {folder}/out", "train"),
        ("calibrate --tagger ner --data {conll} --out {folder}/out", "train"),
        ("tag --device cuda", "gpu"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(words: str, extra: str, tmp_path: Path) -> None:
    (tmp_path / "dev.conll").write_text("anna\tB-person\nleft\tO\n\n")
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForTokenClassification"]}')
    named = words.format(kitchen=KITCHEN, folder=tmp_path, conll=tmp_path / "dev.conll")
    done = hearken(*named.split())
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("hearken: ")
    assert f"pip install 'hearken[{extra}]'" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_module_that_no_extra_brings_is_a_fault_of_ours() -> None:
    def job() -> None:
        raise ModuleNotFoundError("No module named 'nonesuch'", name="nonesuch")

    with pytest.raises(ModuleNotFoundError):
        end_with_code(job)
    assert main(["--version"]) == 0
