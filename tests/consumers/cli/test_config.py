"""Settings from a file: flag above variable above file above default; unknown keys are named with their line."""

from pathlib import Path

import pytest

from consumers.cli.main import main

FILE = """\
broker = "kafka:9092"
commit-seconds = 0.5

[serve]
tagger = ["ner", "claims"]
in_flight = 7
http-port = 9000
coalesce = false

[topics]
connect_seconds = 3

[topics.create]
partitions = 6
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hearken.toml"
    path.write_text(FILE)
    return path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    """Rows of `hearken config`: value and origin by setting."""
    assert main(["config", *arguments]) == 0
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    return {row[0]: row[1:] for row in rows if len(row) == 3}


def test_every_setting_has_a_value_and_an_origin(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARKEN_COMMIT_SECONDS", "0.7")
    monkeypatch.setenv("HEARKEN_GROUP", "g")
    rows = shown(capsys, "serve", "--config", str(file))
    assert rows["broker"] == ["kafka:9092", f"{file}, line 1"]
    assert rows["tagger"] == ["ner,claims", f"{file}, line 5"]
    assert rows["in_flight"] == ["7", f"{file}, line 6"]
    assert rows["coalesce"] == ["False", f"{file}, line 8"]
    assert rows["commit_seconds"] == ["0.7", "HEARKEN_COMMIT_SECONDS"]
    assert rows["group"] == ["g", "HEARKEN_GROUP"]
    assert rows["stability"] == ["medium", "default"]


def test_the_most_specific_table_wins(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "topics", "create", "--config", str(file))
    assert rows["connect_seconds"] == ["3", f"{file}, line 11"]
    assert rows["partitions"] == ["6", f"{file}, line 14"]
    assert rows["broker"] == ["kafka:9092", f"{file}, line 1"]


def test_the_variable_names_the_file_too(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARKEN_CONFIG", str(file))
    assert shown(capsys, "serve")["in_flight"] == ["7", f"{file}, line 6"]


def test_secrets_are_named_and_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARKEN_SASL_PASSWORD", "hush")
    assert main(["config", "serve"]) == 0
    out = capsys.readouterr().out
    assert "HEARKEN_SASL_PASSWORD is set" in out
    assert "hush" not in out


@pytest.mark.parametrize(
    ("flags", "variables", "error"),
    [
        ([], {}, "'no broker' is not HOST:PORT, for example localhost:9092 ({file}, line 1)"),
        ([], {"HEARKEN_BROKER": "neither"}, "'neither' is not HOST:PORT"),
        (["--broker", "flag"], {"HEARKEN_BROKER": "neither"}, "'flag' is not HOST:PORT"),
    ],
)
def test_a_flag_is_above_a_variable_and_that_above_the_file(
    flags: list[str],
    variables: dict[str, str],
    error: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "hearken.toml"
    file.write_text('broker = "no broker"')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", "--config", str(file), *flags]) == 2
    assert error.format(file=file) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("brokr = 'a:1'", "line 1: 'brokr' is no setting; did you mean 'broker'?"),
        ("[serve]\n\nin-fligt = 3", "line 3: 'in-fligt' is no setting of serve; did you mean 'in_flight'?"),
        ("[serv]\nin_flight = 3", "line 1: 'serv' is no command; did you mean 'serve'?"),
        ("[topics.creat]\npartitions = 3", "line 1: 'creat' is no command of topics; did you mean 'create'?"),
        ("[listen]\nbroker = 'a:1'", "line 2: 'broker' is no setting of listen"),
        ("[serve\n", "Expected ']'"),
        ("[serve]\nin_flight = 'many'", "line 2)"),
        ("[serve]\nguarantee = 'exactly-once'", "did you mean 'exactly_once'? ({file}, line 2)"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    text: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hearken.toml"
    file.write_text(text)
    assert main(["serve", "--config", str(file)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert error.format(file=file) in line


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", "/nowhere.toml"]) == 2
    assert "--config (HEARKEN_CONFIG): /nowhere.toml: No such file" in capsys.readouterr().err
