"""What README and docs tell a reader to type exists, and what they show of messages can be read."""

import re
import shlex
from pathlib import Path

import msgspec
import pytest
from typer.main import get_command

from consumers.cli.help_text import default_of
from consumers.cli.main import app
from stream.messages.types import Message, Revision

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(kind):
    return [text for page in PAGES for text in re.findall(rf"```{kind}\n(.*?)```", page.read_text("utf-8"), re.S)]


def typed_commands():
    """Every `hearken ...` line of the shell blocks, continuation lines joined."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("hearken ")]


def command_of(words):
    """The command that the first words name, sub-commands followed, and the words after it."""
    group = get_command(app)
    while hasattr(group, "commands"):
        if group.invoke_without_command and (not words or words[0].startswith("-")):
            break
        assert words[0] in group.commands
        group, words = group.commands[words[0]], words[1:]
    return group, words


@pytest.mark.parametrize("line", typed_commands())
def test_commands_and_their_options_exist(line):
    words = shlex.split(line, comments=True)
    start = next(i for i, word in enumerate(words) if word == "hearken")
    command, words = command_of(words[start + 1 :])
    options = {name for option in command.params for name in option.opts + option.secondary_opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_settings_table_names_real_flags_and_defaults():
    text = (ROOT / "README.md").read_text("utf-8")
    defaults = {name: default_of(x) for x in get_command(app).commands["serve"].params for name in x.opts}
    rows = re.findall(r"^\| (`--.*?) \| (.*?) \|", text, re.M)
    assert len(rows) >= 5
    for flags, values in rows:
        named = re.findall(r"`(--[a-z-]+)`", flags)
        told = re.findall(r"`([^`]+)`", values)
        assert [defaults[name] for name in named] == told


def test_messages_shown_are_messages():
    shown = blocks("json")
    kinds = [
        msgspec.json.decode(text, type=Revision if '"revision"' in text else Message, strict=True) for text in shown
    ]
    assert len(kinds) >= 2
    for revision in (x for x in kinds if isinstance(x, Revision)):
        assert set(revision.added) <= {span.id for span in revision.spans}


def test_files_that_pages_link_to_exist():
    links = {page.parent / link for page in PAGES for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))}
    assert links
    assert [str(link) for link in sorted(links) if not link.exists()] == []
