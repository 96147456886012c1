"""`hearken calibrate`: a table and a stored threshold, or one line that says what is missing."""

import json
from types import SimpleNamespace

import pytest

from consumers.cli.main import main
from consumers.common.settings import DEFAULT_POLICY, OFFLINE, EngineSettings, SettingError
from consumers.runtime.engine_factory import build_engine
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.restart.policies import Last, StabilityThreshold, parse_policy
from encoder.restart.policy_text import DEFAULT_PRICE
from tests.tiny import WORDS, tiny_checkpoint


@pytest.fixture
def tagger(tmp_path):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    return tmp_path / "tiny"


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.conll"
    sentences = ["\n".join(f"{word}\tO" for word in WORDS[i : i + 4]) for i in range(16)]
    path.write_text("\n\n".join(sentences) + "\n\nrome\tB-LOC\n", encoding="utf-8")
    return path


@pytest.fixture
def run(tagger, data, capsys):
    def calibrate(*more):
        given = ["calibrate", "--tagger", str(tagger), "--data", str(data), "--rename", "LOC=place", *more]
        code = main(given)
        out, err = capsys.readouterr()
        return SimpleNamespace(exit_code=code, stdout=out, stderr=err)

    return calibrate


def policy_of(engine):
    return engine._sessions._policy


def test_it_stores_a_threshold_that_becomes_the_default(run, tagger, tmp_path):
    assert policy_of(
        build_engine(EngineSettings(tagger=[str(tagger)], policy=DEFAULT_POLICY, **OFFLINE))
    ) == parse_policy(DEFAULT_PRICE)
    with pytest.raises(SettingError, match=r"HEARKEN_POLICY.*hearken calibrate"):
        build_engine(EngineSettings(tagger=[str(tagger)], policy="stability", **OFFLINE))
    result = run(
        "--policy",
        "stability",
        "--delta",
        "0.4",
        "--tau",
        "1",
        "--tau",
        "0.5",
        "--out",
        str(tmp_path / "out"),
    )
    assert result.exit_code == 0, result.stderr
    assert "p-value" in result.stdout
    assert "at most 0.4 of streaming EM is lost" in result.stdout
    found = load_checkpoint(str(tagger)).calibration[""]
    assert found.certificate.delta == 0.4
    for name in (DEFAULT_POLICY, "stability"):
        assert policy_of(
            build_engine(EngineSettings(tagger=[str(tagger)], policy=name, **OFFLINE))
        ) == StabilityThreshold(found.tau)
    assert policy_of(build_engine(EngineSettings(tagger=[str(tagger)], policy="last:2", **OFFLINE))) == Last(2)
    report = json.loads((tmp_path / "out" / "calibrate.json").read_bytes())
    assert report["chosen"]["tau"] == found.tau
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 1000


def test_too_little_data_is_refused_and_nothing_is_stored(run, tagger, tmp_path):
    result = run("--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "p-value" in result.stdout
    (line,) = (x for x in result.stderr.splitlines() if "refused" in x)
    assert "hearken calibrate: refused: on 17 sequences" in line
    assert "sequences like these would do" in line
    assert [x.name for x in (tmp_path / "out").iterdir()] == ["calibrate.json"]
    assert load_checkpoint(str(tagger)).calibration == {}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--unit", "word"], "'--unit': 'word' is not one of 'sequence', 'document'"),
        (["--unit", "document"], "names no documents"),
        (["--delta", "2"], "--delta"),
        (["--policy", "stability", "--tau", "0.5", "--tau", "0.6"], "--tau"),
        (["--tau", "0.6", "--tau", "0.5"], "--tau"),
        (["--policy", "last"], "--policy"),
        (["--rename", "LOC"], "FILE_TYPE=TAGGER_TYPE"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run, more, message):
    result = run(*more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
