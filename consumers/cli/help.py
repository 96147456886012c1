"""`hearken help`: the help text of a command."""

from typing import Annotated

import typer

from consumers.cli.command_tree import find_command


def show_help(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="Words of the command.")] = None,
) -> None:
    """Show the help text of a command."""
    typer.echo(find_command(context.find_root(), command or []).get_help())
