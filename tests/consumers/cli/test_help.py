"""Help texts fit 80 columns, name every variable and default, and nothing is cut."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

from consumers.cli.command_tree import commands_of
from consumers.cli.main import app, main
from consumers.common.settings import POLICIES, NumberFormat
from encoder.restart.policy_text import PolicyError, read_policy
from encoder.runtime.number_format import NUMBER_FORMATS

ROOT = Path(__file__).parents[3]
COMMANDS = [((), get_command(app)), *commands_of(get_command(app))]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


def options() -> Iterator[tuple[tuple[str, ...], Any]]:
    for words, command in COMMANDS:
        yield from ((words, param) for param in command.params if param.param_type_name == "option")


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "hearken" for words, _ in COMMANDS])
def test_help_is_complete_at_80_columns(
    words: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-h"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    flat = " ".join(out.split())
    for name in [*getattr(command, "commands", {}), *(x for param in command.params for x in param.opts)]:
        if not name[0].isalpha() or hasattr(command, "commands"):
            assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", flat), name
    for param in command.params:
        if getattr(param, "envvar", None):
            assert re.search(rf"\[{param.envvar}; .*default: ", flat), param.name
        if param.help:
            assert " ".join(param.help.replace("{formats}", "").split()[:3]) in flat


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS if words], ids=" ".join)
def test_help_command_and_flag_say_the_same(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for arguments in (["help", *words], [*words, "--help"]):
        assert main(arguments) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_every_option_has_a_help_text_and_a_default() -> None:
    assert [(words, x.name) for words, x in options() if not x.help] == []
    assert len({x.name for _, x in options() if x.envvar}) >= 35


def test_commands_stand_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    headings = re.findall(r"^(\w+):$", out, re.M)
    assert headings == ["Run", "Inspect", "Train", "Operate", "Options"]
    assert "soak" not in out
    assert "faults" not in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"hearken \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_shell_completes_commands_options_and_choices() -> None:
    def complete(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        environment = os.environ | words | {"_HEARKEN_COMPLETE": "complete_bash", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", "from consumers.cli.main import main; main()"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.split()

    assert complete("hearken ser") == ["serve"]
    assert complete("hearken serve --guar") == ["--guarantee"]
    assert complete("hearken serve --guarantee e") == ["exactly_once"]
    assert complete("hearken topics c") == ["check", "create"]
    assert complete("hearken tag --format deep") == ["deepgram", "deepgram-flux"]
    assert complete("hearken tag --tagger cl") == ["claims"]
    assert complete("hearken tag --policy st") == ["stability"]


def test_the_completion_script_of_the_shell_is_shown() -> None:
    call = f"'{sys.executable}' -c 'from consumers.cli.main import main; main()' --show-completion; true"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(["bash", "-c", call], env=environment, capture_output=True, text=True, timeout=60).stdout
    assert "_HEARKEN_COMPLETE=complete_bash" in shown


def test_choices_are_those_of_the_encoder() -> None:
    assert get_args(NumberFormat) == NUMBER_FORMATS
    for name in POLICIES[1:]:
        try:
            read_policy(name if name in ("always", "never") else f"{name}:1")
        except PolicyError as error:
            pytest.fail(str(error))


def test_at_a_terminal_tag_says_what_loads_and_that_it_waits() -> None:
    """Standard input and error are a terminal; a line is typed once it is asked for."""
    master, slave = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "tests.consumers.cli.fake_loading", "tag", "--input", "text"]
    with subprocess.Popen(command, stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=environment, cwd=ROOT) as run:
        os.close(slave)
        seen = b""
        while b"Ctrl-D ends" not in seen:
            seen += os.read(master, 4096)
        os.write(master, b"anna met rice\n\x04")
        out, _ = run.communicate(timeout=60)
    os.close(master)
    assert seen.index(b"loading tagger ner") < seen.index(b"reading text from the terminal")
    assert b'"text":"anna"' in out
    assert run.returncode == 0
