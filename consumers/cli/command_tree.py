"""The tree of commands: paths, lookup, and the options that are settings."""

from collections.abc import Iterable, Iterator
from typing import Any

import typer

from consumers.common.settings import suggest


def command_path(context: Any) -> tuple[str, ...]:
    """The words that call a command, without the program's name: ("topics", "create")."""
    return () if context.parent is None else (*command_path(context.parent), context.info_name)


def find_command(context: Any, words: Iterable[str]) -> Any:
    """The context of a command below another one.

    Raises:
        typer.BadParameter: there is no such command.
    """
    for word in words:
        below = getattr(context.command, "commands", {})
        if word not in below:
            raise typer.BadParameter(f"there is no command {word!r}{suggest(word, below)}")
        context = typer.Context(below[word], info_name=word, parent=context)
    return context


def commands_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands below a group, with the words that call them."""
    for name, below in getattr(command, "commands", {}).items():
        yield (*path, name), below
        yield from commands_of(below, (*path, name))


def settings_of(command: Any) -> list[Any]:
    """The options of a command that can stand in a configuration file."""
    names = [param.name for param in command.params]
    return [x for x in command.params if x.param_type_name == "option" and x.name != "config" and "config" in names]
