"""`hearken config`: every setting with its value and origin."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from consumers.cli.command_tree import commands_of, find_command, settings_of
from consumers.cli.config_file import apply_config, origin_of
from consumers.cli.flags import ConfigOption
from consumers.cli.help_text import default_of
from consumers.http.settings import TOKEN_VARIABLE
from consumers.kafka.client.security import variable_names
from encoder.cache_folder import VARIABLE as CACHE_VARIABLE


def show_config(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="Words of the command; all commands if left out.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show the value of every setting, and its origin: a variable, the configuration file or the default."""
    start = find_command(context.find_root(), command or [])
    words = [below for below, _ in commands_of(start.command)] or [()]
    for shown in (find_command(start, below) for below in words):
        if settings_of(shown.command):
            apply_config(shown, config)
            typer.echo("\n".join([typer.style(shown.command_path, bold=True), *_rows(shown), ""]))
    if found := [name for name in (TOKEN_VARIABLE, CACHE_VARIABLE, *variable_names()) if os.environ.get(name)]:
        typer.echo("\n".join([typer.style("variables without a flag", bold=True), *(f"  {x} is set" for x in found)]))


def _rows(context: Any) -> Iterator[str]:
    for param in settings_of(context.command):
        value, _ = param.consume_value(context, {})
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        origin = origin_of(context, param)
        if origin and param.name == "redact_key":
            value = "(a secret)"
        shown = value if origin else default_of(param)
        yield f"  {param.name:<24}  {shown!s:<26}  {origin or 'default'}"
