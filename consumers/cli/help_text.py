"""Layout of help texts: sections with headings, complete at 80 columns."""

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from consumers.cli.config_file import file_origin
from consumers.common.settings import suggest

NAME_COLUMN = 29
"""Width of the first column; a longer flag gets a line of its own."""

_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


class Command(TyperCommand):
    """A command with readable help, whose errors name the configuration file if the value is from there."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for param in self.params:
            if getattr(param, "multiple", False):  # by default a variable is split at blanks
                param.split_envvar_value = lambda rv: rv.split(",")  # type: ignore[method-assign]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse flags.

        Raises:
            typer.BadParameter: a value is of the wrong type.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if choice := re.search(r"'(.*)' is not one of (.*)\.?$", error.message):
                error.message = choice[0].rstrip(".") + suggest(choice[1], re.findall(r"'([^']*)'", choice[2]))
            if error.param is not None:
                error.message += file_origin(ctx, error.param.name or "")
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write options under the headings of their panels."""
        rows = (("Arguments" if isinstance(x, TyperArgument) else x.rich_help_panel, x) for x in _shown(self, ctx))
        _write_sections(formatter, ((panel or "Options", option_row(x)) for panel, x in rows))


class Group(TyperGroup):
    """A command with sub-commands, listed under the headings of their panels."""

    command_class = Command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the name of a command; without one the help text is shown.

        Raises:
            typer.Exit: there is none.
        """
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write sub-commands, then options."""
        listed = ((name, self.commands[name]) for name in self.list_commands(ctx))
        rows = ((getattr(x, "rich_help_panel", None) or "Commands", (name, _summary(x), "")) for name, x in listed)
        _write_sections(formatter, rows)
        _write_sections(formatter, (("Options", option_row(x)) for x in _shown(self, ctx)))


def _shown(command: Any, ctx: Any) -> list[Any]:
    return [x for x in command.get_params(ctx) if not x.hidden]


def _summary(command: Any) -> str:
    return (command.help or "").split("\n\n")[0].replace("\n", " ")


def _write_sections(formatter: Any, rows: Iterable[tuple[str, tuple[str, str, str]]]) -> None:
    sections: dict[str, list[tuple[str, str, str]]] = {}
    for panel, row in rows:
        sections.setdefault(panel, []).append(row)
    for panel in sorted(sections, key=lambda name: {"Arguments": 0, "Options": 2}.get(name, 1)):
        with formatter.section(typer.style(panel, bold=True)):
            for row in sections[panel]:
                _write_row(formatter, *row)


def _write_row(formatter: Any, name: str, help: str, notes: str) -> None:
    """Write one option or command; names are never broken."""
    indent = " " * NAME_COLUMN
    lines = [line for text in (help, notes) for line in wrap(text, formatter.width - NAME_COLUMN, **_WHOLE_WORDS)]
    first = f"  {name}".ljust(NAME_COLUMN)
    if not first.endswith("  "):
        formatter.write(first.rstrip() + "\n")
        first = indent
    for line in lines:
        formatter.write(f"{first}{line}\n")
        first = indent


def option_row(param: Any) -> tuple[str, str, str]:
    """Flags of an option with the placeholder for its value, its help text, and its variable, range and default."""
    help = _fill_in(param.help or "")
    if param.param_type_name == "argument":
        return param.metavar or param.name.upper(), help, ""
    left = " / ".join([", ".join(sorted(param.opts, key=len)), *param.secondary_opts])
    if not param.is_flag and param.metavar:
        left += f" {param.metavar}"
    default = default_of(param)
    if default and not param.required:
        default = f"default: {default}"
    notes = "; ".join(filter(None, [param.envvar, _range(param), default]))
    return left, help, f"[{notes}]" if notes else ""


def default_of(param: Any) -> str:
    """The default of an option as text; "" for options without a value, such as --help."""
    if param.required:
        return "required"
    if isinstance(param.show_default, str):
        return param.show_default
    if param.is_flag:
        return "" if param.is_eager or param.default is None else "on" if param.default else "off"
    if isinstance(param.default, float):
        return f"{param.default:g}"
    return "none" if param.default is None else str(param.default)


def _range(param: Any) -> str:
    if param.min is None and param.max is None:
        return ""
    return f"at least {param.min:g}" if param.max is None else f"{param.min or 0:g} to {param.max:g}"


def _fill_in(help: str) -> str:
    """Fill in names that are not known before their modules are loaded."""
    if "{formats}" in help:
        from consumers.formats.registry import FORMATS

        return help.replace("{formats}", ", ".join(FORMATS))
    return help
