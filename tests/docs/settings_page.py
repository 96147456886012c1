"""The tables of docs/settings.md, made of the commands' options.

`python -m tests.docs.settings_page` writes them into the page.
"""

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from consumers.cli.command_tree import commands_of, settings_of
from consumers.cli.help_text import default_of, option_row
from consumers.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
FIRST = ("serve",)
"""The command whose settings are described in full; of the others only those that it does not have."""

_BLOCK = re.compile(r"(<!-- settings -->\n).*(<!-- end -->)", re.S)


def write_tables(page: str) -> str:
    """Put the tables into the page's block."""
    found = _BLOCK.search(page)
    assert found, "the page has a block for settings"
    return page[: found.start()] + found[1] + _tables() + found[2] + page[found.end() :]


def _tables() -> str:
    commands = {path: settings_of(command) for path, command in commands_of(get_command(app))}
    known = {_row(param) for param in commands[FIRST]}
    text = f"\n### hearken {FIRST[0]}\n" + _sections(commands.pop(FIRST))
    for path, params in sorted(commands.items()):
        if params:
            own = [param for param in params if _row(param) not in known]
            shared = ", ".join(f"`{param.opts[0]}`" for param in params if _row(param) in known)
            text += f"\n### hearken {' '.join(path)}\n"
            text += f"\nAs `hearken {FIRST[0]}`: {shared}.\n" if shared else ""
            text += _sections(own)
    return text + "\n"


def _sections(params: list[Any]) -> str:
    panels: dict[str, list[Any]] = {}
    for param in params:
        panels.setdefault(param.rich_help_panel or "Options", []).append(param)
    return "".join(_table(panel, rows) for panel, rows in panels.items())


def _table(panel: str, params: list[Any]) -> str:
    rows = "".join(_row(param) + "\n" for param in params)
    return f"\n| {panel} | variable | default | meaning |\n|---|---|---|---|\n{rows}"


def _row(param: Any) -> str:
    flag, help, _ = option_row(param)
    cells = [f"`{flag}`", f"`{param.envvar}`" if param.envvar else "", f"{default_of(param)}", help]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(write_tables(PAGE.read_text("utf-8")), "utf-8")
