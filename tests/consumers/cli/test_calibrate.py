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
from stream.revisions.emission import LEVELS, Emission
from stream.revisions.settled import SettledRule
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


# Promises.


@pytest.fixture
def promise(tagger, tmp_path, capsys, monkeypatch):
    """Text of which the tiny tagger publishes and withdraws spans at the level `medium`."""
    monkeypatch.setitem(LEVELS, "medium", Emission(0.25, 0.25))
    monkeypatch.setattr("stream.evaluation.calibration.promise.MOST_ALPHA", 0.9)
    path = tmp_path / "plain.conll"
    rows = (f"# doc = {i // 2}\n" + "\n".join(f"{WORDS[(i + k) % 20]}\tB-any" for k in range(9)) for i in range(80))
    path.write_text("\n\n".join(rows) + "\n", encoding="utf-8")

    def calibrate(*more, what="--promise"):
        given = ["calibrate", what, "--tagger", str(tagger), "--data", str(path), *more]
        code = main(given)
        out, err = capsys.readouterr()
        return SimpleNamespace(exit_code=code, stdout=out, stderr=err)

    return calibrate


def test_promises_are_stored_and_watched_at_the_level_and_policy_of_the_calibration(promise, tagger, tmp_path):
    result = promise("--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.stderr + result.stdout
    assert "40 documents" in " ".join(result.stdout.split())
    assert "of each label's published spans at most these shares are taken back" in " ".join(result.stdout.split())
    stored = load_checkpoint(str(tagger))
    assert stored.calibration == {}
    promised = stored.promises[""].levels["medium"].labels
    assert promised
    report = json.loads((tmp_path / "out" / "promise.json").read_bytes())
    assert {x["label"] for x in report["rows"] if x["level"] == "medium" and x["bound"] < 0.9} == set(promised)

    def watch(**changes):
        settings = EngineSettings(tagger=[str(tagger)], **(OFFLINE | changes))
        return {label: x.alpha for (_, label), x in build_engine(settings).promises.evidence.items()}

    assert watch() == {label: x.alpha for label, x in promised.items()}
    assert watch(stability="0.25:0.25") == watch()
    assert watch(stability="0.3:0.25") == {}
    assert watch(policy="last:2") == {}
    by_hand = watch(policy="last:2", promise_alpha=["0.1,place=0.2", "tiny:person=0.3", "person=0.4"])
    assert by_hand == {"person": 0.3, "place": 0.2}
    assert watch(promise_alpha=["place=0.2"]) == watch() | {"place": 0.2}
    for wrong in ("1", "0", "place=", "=0.1", "nobody=0.1", "a", "other:place=0.1"):
        with pytest.raises(SettingError, match="HEARKEN_PROMISE_ALPHA"):
            watch(promise_alpha=[wrong])
    with pytest.raises(SettingError, match="HEARKEN_PROMISE_EPSILON"):
        watch(promise_epsilon=0.0)
    for more in (["--rename", "any=place"], ["--tau", "0.5"], ["--stream", "x"]):
        refused = promise(*more)
        assert (refused.exit_code, len(refused.stderr.strip().splitlines())) == (2, 1)


def test_recorded_streams_are_calibrated_on_too(tagger, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(LEVELS, "low", Emission())
    path = tmp_path / "stream.jsonl"
    with path.open("w", encoding="utf-8") as lines:
        for session in range(160):
            words = [WORDS[(session + k) % 20] for k in range(8)]
            for end in range(1, 9):
                message = {"type": "update", "session": f"s{session}", "segment": "u", "text": " ".join(words[:end])}
                lines.write(json.dumps(message | {"final": end == 8}) + "\n")
            lines.write(json.dumps({"type": "end", "session": f"s{session}"}) + "\n")
    assert main(["calibrate", "--promise", "--tagger", str(tagger), "--stream", str(path)]) == 0
    assert "160 sessions" in " ".join(capsys.readouterr().out.split())
    assert load_checkpoint(str(tagger)).promises[""].unit == "session"
    for more in (["--stream", str(path)], ["--promise", "--stream", str(path), "--join", "9"], ["--promise"]):
        assert main(["calibrate", "--tagger", str(tagger), *more]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_too_little_text_for_any_promise_is_refused(promise, tagger):
    result = promise("--limit", "2", "--epsilon", "0.001")
    assert result.exit_code == 2
    assert "no share is known to be below one half" in result.stderr
    assert load_checkpoint(str(tagger)).promises == {}


# Settled text.


def test_the_threshold_of_settled_text_is_stored_used_and_watched(promise, tagger, tmp_path):
    result = promise("--settled-risk", "0.3", "--out", str(tmp_path / "out"), what="--settled")
    assert result.exit_code == 0, result.stderr + result.stdout
    assert "documents with labels" in " ".join(result.stdout.split())
    assert "a share of at most 0.3 is settled without its label" in " ".join(result.stdout.split())
    stored = load_checkpoint(str(tagger)).settled[""]
    report = json.loads((tmp_path / "out" / "settled.json").read_bytes())
    assert report["chosen"]["threshold"] == stored.threshold
    assert (stored.alpha, stored.unit, stored.show) == (0.3, "document", 0.25)
    assert report["chosen"]["labelled"] == stored.labelled

    def engine(**changes):
        return build_engine(EngineSettings(tagger=[str(tagger)], **(OFFLINE | changes)))

    made = engine()
    assert made.rules.rule_of("tiny") == SettledRule(stored.threshold, labelled=stored.labelled)
    assert {tagger: x.alpha for tagger, x in made.promises.settled.evidence.items()} == {"tiny": 0.3}
    assert not engine(policy="last:2").promises.settled.evidence
    assert engine(settled_threshold=1.0).rules.rule_of("tiny").threshold == 1
    for more in (
        ["--rename", "any=place"],
        ["--tau", "0.5"],
        ["--stream", "x"],
        ["--generated", "0/5"],
        ["--promise"],
        ["--settled-risk", "1"],
    ):
        refused = promise(*more, what="--settled")
        assert (refused.exit_code, len(refused.stderr.strip().splitlines())) == (2, 1)


def test_too_few_sessions_for_the_risk_of_settled_text_are_refused(promise, tagger):
    result = promise(what="--settled")
    assert result.exit_code == 2
    assert "at least 199 are needed" in result.stderr
    assert load_checkpoint(str(tagger)).settled == {}


def test_made_up_calls_calibrate_settled_text(tagger, capsys):
    made_up = ["calibrate", "--settled", "--tagger", str(tagger), "--generated", "0/5", "--limit", "4"]
    assert main([*made_up, "--settled-risk", "0.9"]) == 0
    capsys.readouterr()
    stored = load_checkpoint(str(tagger)).settled[""]
    assert (stored.data, stored.unit) == ("generated/0 of 5", "session")
    for more in (["--spoken"], ["--data", "x.conll"], ["--generated", "7/5"], ["--generated", "some"]):
        assert main([*made_up, *more]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
