"""`hearken thresholds`: logs as people have them, and errors that name the line."""

import json
from pathlib import Path

import pytest

import consumers.runtime.engine_factory as factory
from consumers.cli.main import main
from consumers.recordings.score_log import ScoreLogError, read_score_log
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from tests.stream.fake_tagger import FakeLabeller

HEAD = "text,perspective,label\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "log.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taggers of which TOXICITY is the share of names in a text."""
    labeller = FakeLabeller(names=["moderation"], text_scores={"moderation": ("toxicity",)})
    monkeypatch.setattr(factory, "build_engine", lambda settings: Engine(labeller, Last(3)))


def test_texts_are_scored_and_equal_precision_and_recall_are_found(
    tmp_path: Path, fake: None, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ['"anna, anna\nrome",0.9,1', "we met anna,0.8,1", "we met,0.1,no", 'we "met" we,0.2,false', "...,0.7,0"] * 20
    path = write(tmp_path, HEAD + "\n".join(rows))
    assert main(["thresholds", str(path), "--threshold", "0.65", "--out", str(tmp_path)]) == 0
    assert "equal precision" in capsys.readouterr().out
    report = json.loads((tmp_path / "thresholds.json").read_text())
    assert (report["rows"], report["flagged"], report["right"], report["decided"]) == (100, 60, 40, True)
    precision, recall, count = report["found"]
    assert precision["threshold"] == pytest.approx(1 / 3, abs=1e-3)
    assert (recall["recall"], recall["precision"]) == (1, 1)
    assert count["flagged"] == 100  # beyond the two that have a name all score 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_logs_have_their_own_names_and_marks(tmp_path: Path, delimiter: str) -> None:
    lines = ["Hearken Score|TOXICITY|Threshold|Removed".replace(" ", "_"), "0.5|0.9|0.8|TRUE", "", "0.25|0.7|0.8|0"]
    path = write(tmp_path, b"\xef\xbb\xbf" + "\r\n".join(lines).replace("|", delimiter).encode())
    rows = read_score_log(path, None)
    assert [(x.line, x.score, x.flagged, x.decision) for x in rows] == [(2, 0.5, True, True), (4, 0.25, False, False)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1 must name a column `perspective`"),
        ("perspective\n0.5\n", "line 1 must name a column `text`"),
        ("score,perspective,toxicity\n", "line 1 has two columns for `perspective`: perspective, toxicity"),
        ("score,perspective\n", "no row after line 1"),
        ("", "line 1 must name"),
        (HEAD + "secret,0.5,1\nsecret,x,1\n", "line 3: `perspective` must be a number from 0 to 1"),
        (HEAD + "secret,1.5,1\n", "line 2: `perspective` must be"),
        (HEAD + "secret,nan,1\n", "line 2: `perspective` must be"),
        (HEAD + '"secret\n\n",0.5,1\nsecret,0.5,maybe\n', "line 5: `label` must be 1 or 0"),
        (HEAD + "secret,0.5\n", "line 2 has 2 fields, and line 1 names 3"),
        (HEAD + " ,0.5,1\n", "line 2: the text is empty"),
        (HEAD + 'a,0.5,1\n"secret,0.5,1\n', "line 3: unexpected end of data"),
        (HEAD.encode() + b"a,0.5,1\nsecret\xff,0.5,1\n", "line 3 is not UTF-8"),
    ],
)
def test_errors_name_the_line_and_not_the_text(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ScoreLogError) as found:
        read_score_log(write(tmp_path, text), 0.5)
    assert message in str(found.value)
    assert "secret" not in str(found.value)


def test_a_threshold_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "score,perspective\n0.5,0.5\n")
    assert main(["thresholds", str(path)]) == 2
    assert "--threshold, or as a column `threshold`" in capsys.readouterr().err
    assert main(["thresholds", str(path), "--threshold", "0.4"]) == 2
    assert "1 of 1 rows reach" in capsys.readouterr().err


def test_an_attribute_that_no_tagger_has_is_named(
    tmp_path: Path, fake: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "text,perspective\na,0.5\nb,0.1\n")
    assert main(["thresholds", str(path), "--threshold", "0.4", "--attribute", "SPAM"]) == 2
    assert "--attribute SPAM is not offered; there are TOXICITY" in capsys.readouterr().err
