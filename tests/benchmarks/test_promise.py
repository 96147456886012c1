"""The experiment on promises: what is read once, which alarms ring, and the plot."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import promise as module
from benchmarks.__main__ import main
from benchmarks.promise import DomainText
from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.model.config import ConfigError
from tests.tiny import WORDS, tiny_checkpoint


@pytest.fixture
def made(tmp_path: Path) -> Path:
    checkpoint = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    for name, shift in (("home", 0), ("away", 3)):
        rows = ("\n".join(f"{WORDS[(i + shift * k) % 20]}\tO" for k in range(6)) for i in range(40))
        (tmp_path / f"{name}.conll").write_text("\n\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def fates(shares: dict[str, float], sessions: int, seed: int) -> list[module.UnitFates]:
    """Sessions of four spans of each label."""
    rng = np.random.default_rng(seed)
    return [
        {("low", label): (int(rng.binomial(4, share)), 4) for label, share in shares.items()} for _ in range(sessions)
    ]


def test_it_reads_each_file_once_and_rings_where_the_promise_breaks(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[str] = []
    told = {"home": {"person": 0.1, "place": 0.1}, "away": {"person": 0.5, "place": 0.1}}

    def measure(task: module.PromiseTask, *more: object) -> tuple[list[module.UnitFates], str]:
        name = task.data.stem
        read.append(name)
        return fates(told[name], 400, seed=len(name)), "sequence"

    monkeypatch.setattr(module, "measure_fates", measure)
    command = [
        "promise",
        "--tagger",
        str(made / "tiny"),
        "--level",
        "low",
        "--seeds",
        "4",
        "--keep",
        str(made / "keep"),
    ]
    command += ["--data", f"home={made / 'home.conll'}", "--other", f"away={made / 'away.conll'}"]
    assert main([*command, "--out", str(made / "out"), "--plot", str(made / "plot.png")]) == 0
    assert main(command) == 0
    assert read == ["home", "away"]
    rows = {(x["domain"], x["label"]): x for x in json.loads((made / "out" / "promise.json").read_bytes())["rows"]}
    assert {key: x["rang"] for key, x in rows.items()} == {
        ("home", "person"): 0,
        ("home", "place"): 0,
        ("away", "person"): 4,
        ("away", "place"): 0,
    }
    assert rows["away", "person"]["spans_to_alarm"] == 4 * rows["away", "person"]["sessions_to_alarm"]
    assert 0.1 < rows["home", "person"]["alpha"] < 0.2
    assert (made / "plot.png").stat().st_size > 1000
    assert "4 of 4" in capsys.readouterr().out


def test_it_runs_with_a_tagger(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST", 1)
    command = [
        "promise",
        "--tagger",
        str(made / "tiny"),
        "--level",
        "low",
        "--seeds",
        "1",
        "--keep",
        str(made / "keep"),
    ]
    command += ["--data", f"home={made / 'home.conll'}+spoken", "--other", f"away={made / 'away.conll'}+limit9"]
    assert main([*command, "--out", str(made / "out")]) == 0
    rows = json.loads((made / "out" / "promise.json").read_bytes())["rows"]
    assert {x["domain"] for x in rows} == {"home", "away"}
    assert all(x["spans"] for x in rows)


@pytest.mark.parametrize("text", ["news", "=a.conll", "news=", "news=a+loud", "news=a+join", "news=a+limit0"])
def test_domains_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"NAME=FILE"):
        DomainText.parse(text)


def test_a_domain_says_how_its_file_is_read() -> None:
    found = DomainText.parse("calls=a=b.conll+spoken+join60+limit9")
    assert found == DomainText(name="calls", path=Path("a=b.conll"), spoken=True, join=60, limit=9)
