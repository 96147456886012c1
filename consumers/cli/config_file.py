"""Configuration file: settings as TOML, for all commands at its top, for one command in a table of its name.

broker = "kafka:9092"

[serve]
tagger = ["ner", "claims"]
idle-seconds = 300

[topics.create]
partitions = 6
"""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumers.cli.command_tree import command_path, commands_of, settings_of
from consumers.common.settings import SettingError, suggest


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file whose keys are known settings."""

    path: Path
    tables: dict[tuple[str, ...], dict[str, Any]]
    """Values by table and name, with underscores; () is the top of the file."""
    lines: dict[tuple[str, ...], dict[str, int]]

    def values_for(self, command: tuple[str, ...]) -> dict[str, Any]:
        """What the file sets for a command; the most specific table wins."""
        tables = (self.tables.get(command[:depth], {}) for depth in range(len(command) + 1))
        return {name: value for table in tables for name, value in table.items()}

    def line_of(self, command: tuple[str, ...], name: str) -> int:
        """The line of the value that a command gets."""
        tables = (self.lines.get(command[:depth], {}) for depth in range(len(command), -1, -1))
        return next(lines[name] for lines in tables if name in lines)


def read_config_file(path: Path, root: Any) -> ConfigFile:
    """Read a file and check its keys; `root` is the group of all commands.

    Raises:
        SettingError: it cannot be read, is not TOML, or has a key that is no setting.
    """
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except (OSError, ValueError) as error:  # a ValueError: not TOML, or not UTF-8
        raise SettingError("config", f"{path}: {getattr(error, 'strerror', None) or error}") from error
    file = ConfigFile(path, {}, _find_lines(text))
    _read_table(file, (), document, root)
    return file


def _read_table(file: ConfigFile, table: tuple[str, ...], document: dict[str, Any], command: Any) -> None:
    below: dict[str, Any] = getattr(command, "commands", {})
    known = {x.name for _, one in [((), command), *commands_of(command)] for x in settings_of(one)}
    values = file.tables.setdefault(table, {})
    for key, value in document.items():
        name = key.replace("-", "_")
        if isinstance(value, dict) and key in below:
            _read_table(file, (*table, key), value, below[key])
        elif name in known and not isinstance(value, dict):
            values[name] = value
        else:
            line = file.lines.get(table, {}).get(name) or _table_line(file, (*table, key))
            kind = "command" if isinstance(value, dict) else "setting"
            where = f" of {' '.join(table)}" if table else ""
            close = suggest(name if kind == "setting" else key, known if kind == "setting" else below)
            raise SettingError("config", f"{file.path}, line {line}: {key!r} is no {kind}{where}{close}")


_HEADER = re.compile(r"\s*\[\s*([\w.\-\s\"]+?)\s*\]")
_KEY = re.compile(r"\s*\"?([\w-]+)\"?\s*=")


def _find_lines(text: str) -> dict[tuple[str, ...], dict[str, int]]:
    """Line numbers, counted from 1, of keys by table, and of each table's header under the name ""."""
    found: dict[tuple[str, ...], dict[str, int]] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = tuple(part.strip(' "') for part in header[1].split("."))
            found.setdefault(table, {})[""] = number
        elif key := _KEY.match(line):
            found.setdefault(table, {}).setdefault(key[1].replace("-", "_"), number)
    return found


def _table_line(file: ConfigFile, table: tuple[str, ...]) -> int:
    return next((lines[""] for name, lines in file.lines.items() if name[: len(table)] == table and "" in lines), 1)


def apply_config(context: Any, path: Path | None) -> None:
    """Make the values of a configuration file the defaults of a command.

    Raises:
        SettingError: the file cannot be used.
    """
    if path is not None:
        context.meta["config"] = file = read_config_file(path, context.find_root().command)
        context.default_map = file.values_for(command_path(context))


def origin_of(context: Any, param: Any) -> str:
    """Where the value of an option comes from, if not from a flag: a variable or a line of a file; "": the default."""
    file: ConfigFile | None = context.meta.get("config")
    if param.envvar and os.environ.get(param.envvar):
        return str(param.envvar)
    if file is not None and param.name in (context.default_map or {}):
        return f"{file.path}, line {file.line_of(command_path(context), param.name)}"
    return ""


def file_origin(context: Any, name: str) -> str:
    """Where a wrong value comes from, if that is a configuration file."""
    if str(context.get_parameter_source(name)) != "ParameterSource.DEFAULT_MAP":
        return ""
    return f" ({origin_of(context, next(x for x in context.command.params if x.name == name))})"
