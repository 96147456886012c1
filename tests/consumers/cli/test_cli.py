"""The command line: wrong settings are one line that names the setting, and exit code 2."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from consumers.cli.main import main
from consumers.common.settings import parse_taggers


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands configure logging for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("serve --broker localhost", "--broker"),
        ("serve --broker localhost:99999", "--broker"),
        ("serve --broker a:1,,b:2", "--broker"),
        ("serve --in-flight 0", "--in-flight"),
        ("serve --in-flight many", "--in-flight"),
        ("serve --commit-seconds -1", "--commit-seconds"),
        ("serve --idle-seconds nan", "--idle-seconds"),
        ("serve --shutdown-seconds inf", "--shutdown-seconds"),
        ("serve --budget-gflops -1", "--budget-gflops"),
        ("serve --budget-gflops inf", "--budget-gflops"),
        ("serve --budget-share 1.5", "--budget-share"),
        ("serve --budget-share 0.5 --budget-gflops 3", "--budget-share"),
        ("serve --input-topic a/b", "--input-topic"),
        ("serve --dead-letter-topic ..", "--dead-letter-topic"),
        ("serve --input-topic x --output-topic x", "--output-topic"),
        ("serve --group=", "--group"),
        ("serve --log-level loud", "--log-level"),
        ("serve --nope", "--nope"),
        ("replay /nowhere.jsonl", "file"),
        ("replay FILE --speed fast", "--speed"),
        ("replay FILE --speed 0", "--speed"),
        ("tag --input words", "--input"),
        ("tag --tagger /nowhere", "--tagger"),
        ("tag --tagger ner --tagger ner", "'ner' is named twice"),
        ("tag --tagger english:nothing", "no head 'nothing'; it has ner, moderation, claims"),
        ("tag --policy sometimes", "--policy"),
        ("tag --policy last:0", "--policy"),
        ("tag --stability sure", "--stability"),
        ("tag --number-format float8", "--number-format"),
        ("tag --stability 0.5:1.5", "--stability"),
        ("demo --speed nan", "--speed"),
        ("demo --broker x", "--broker"),
        ("demo --file /nowhere.jsonl", "--file"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    command: str, setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recording.jsonl"
    file.write_text("")
    assert main([str(file) if word == "FILE" else word for word in command.split()]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("hearken: ")
    assert errors.count("\n") == 1
    assert setting in errors


@pytest.mark.parametrize(
    ("variable", "value", "command"),
    [
        ("HEARKEN_IN_FLIGHT", "many", "serve"),
        ("HEARKEN_BROKER", "nowhere", "serve"),
        ("HEARKEN_COMMIT_SECONDS", "0", "serve"),
        ("HEARKEN_OUTPUT_TOPIC", "hearken.updates", "serve"),
        ("HEARKEN_POLICY", "sometimes", "tag"),
        ("HEARKEN_TAGGER", "/nowhere", "tag"),
        ("HEARKEN_NUMBER_FORMAT", "int4", "tag"),
        ("HEARKEN_HTTP_PORT", "nine", "serve"),
        ("HEARKEN_HTTP_PORT", "65536", "listen"),
        ("HEARKEN_HTTP_HOST", "a b", "listen"),
        ("HEARKEN_HTTP_TOKEN_FILE", "/nowhere", "serve"),
        ("HEARKEN_IDLE_SECONDS", "0", "listen"),
    ],
)
def test_a_wrong_variable_is_named_too(
    variable: str, value: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert main([command]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert variable in errors


@pytest.mark.parametrize(
    ("given", "variable", "meant"),
    [
        (None, None, ["ner"]),
        ([], "", ["ner"]),
        (None, "claims", ["claims"]),
        (None, "ner, claims,/a folder/tagger:x", ["ner", "claims", "/a folder/tagger:x"]),
        (["a,b", "c"], "ner", ["a,b", "c"]),
    ],
)
def test_taggers_come_from_flags_or_else_from_the_variable(
    given: list[str] | None, variable: str | None, meant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is None:
        monkeypatch.delenv("HEARKEN_TAGGER", raising=False)
    else:
        monkeypatch.setenv("HEARKEN_TAGGER", variable)
    assert parse_taggers(given) == meant


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    for command in ("serve", "listen", "replay", "tag", "demo", "train", "evaluate", "bench"):
        assert command in out


def test_a_broker_that_does_not_answer_is_no_wrong_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recording.jsonl"
    file.write_text('{"type":"end","session":"a"}\n')
    assert main(["replay", str(file), "--broker", "127.0.0.1:1", "--connect-seconds", "0.1"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("hearken: no broker answers at 127.0.0.1:1")
