"""Commands from settings types: their fields become flags, variables and keys of a configuration file.

A command is a function whose parameter is a frozen dataclass. Its fields that are declared by
`consumers.common.settings.setting` become flags; fields that are dataclasses contribute their own. A value comes from
the flag, else the variable, else the configuration file, else the default.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from consumers.cli.config_file import apply_config, file_origin
from consumers.cli.help_text import Command
from consumers.cli.variables import warn_unknown_variables
from consumers.common.settings import PREFIX, SettingError, setting

METAVARS = {"int": "N", "float": "X", "Path": "PATH", "str": "TEXT"}

ConfigOption = Annotated[
    Path | None, setting("Configuration file: settings as TOML.", "--config", panel="Options", metavar="FILE.toml")
]


class Select:
    """The fields of a dataclass that are flags of one command; other fields keep their defaults.

    Args:
        names: names of fields, separated by spaces; those of nested dataclasses too.
        defaults: defaults that differ from the dataclass's; constants for fields that are not selected.
    """

    def __init__(self, names: str, **defaults: Any) -> None:
        self.names = frozenset(names.split())
        self.defaults = defaults


def add_command(
    app: typer.Typer, function: Callable[..., Any], panel: str = "Commands", name: str | None = None
) -> None:
    """Make a function a command, listed under the heading `panel`; its docstring is the help text.

    A parameter whose type is a dataclass is replaced by the flags of its fields; others are as in typer.
    """
    hints = get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    settings = {x: _take_apart(hint) for x, hint in hints.items() if is_dataclass(_take_apart(hint)[0])}
    flags = {"context": _keyword("context", typer.Context)}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in settings:
            base, _, select = settings[parameter.name]
            flags |= {flag.name: flag for flag in flags_of(base, select)}
        elif hints[parameter.name] is not typer.Context:
            flags[parameter.name] = _keyword(parameter.name, _describe(parameter.name, hints), parameter.default)
    if settings:
        config = _describe("config", {"config": ConfigOption})
        info = get_args(config)[1]
        info.is_eager, info.callback = True, _read_config
        flags["config"] = _keyword("config", config, None)

    def run(context: typer.Context, **values: Any) -> Any:
        warn_unknown_variables(context.find_root().command)
        given = {x: context if hints[x] is typer.Context else values[x] for x in hints if x not in settings}
        try:
            built = {x: build_settings(base, values, select) for x, (base, _, select) in settings.items()}
            return function(**given, **built)
        except SettingError as error:
            param = next((x for x in context.command.params if x.name == error.name), None)
            if param is None:
                raise
            origin = file_origin(context, error.name)
            raise SettingError(error.name, error.detail + origin, variable=bool(param.envvar)) from error

    run.__signature__ = inspect.Signature(list(flags.values()))  # type: ignore[attr-defined]
    run.__doc__, run.__name__ = function.__doc__, function.__name__
    app.command(name, cls=Command, rich_help_panel=panel)(run)


def flags_of(settings: type, select: Select | None = None) -> Iterator[inspect.Parameter]:
    """Flags and positional arguments of a settings type, as typer reads them from a function's signature."""
    hints = get_type_hints(settings, include_extras=True)
    for field in fields(settings):
        base, info, nested = _take_apart(hints[field.name])
        if is_dataclass(base):
            yield from flags_of(base, nested or select)  # type: ignore[arg-type]  # a class, no instance
        elif info is not None and (select is None or field.name in select.names):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            if select is not None:
                default = select.defaults.get(field.name, default)
            name = _flag_name(field.name, info)
            annotation = _describe(name, {name: hints[field.name]})
            if select is not None and isinstance(select.defaults.get(field.name), list):
                get_args(annotation)[1].show_default = ",".join(select.defaults[field.name])  # not the dataclass's
            yield _keyword(name, annotation, default)


def build_settings(settings: type, values: Mapping[str, Any], select: Select | None = None) -> Any:
    """Make a settings object of the values of its flags.

    Raises:
        SettingError: a value is not valid.
    """
    hints = get_type_hints(settings, include_extras=True)
    given: dict[str, Any] = {}
    for field in fields(settings):
        base, info, nested = _take_apart(hints[field.name])
        if is_dataclass(base):
            given[field.name] = build_settings(base, values, nested or select)  # type: ignore[arg-type]
        elif info is not None and (select is None or field.name in select.names):
            given[field.name] = values[_flag_name(field.name, info)]
        elif select is not None and field.name in select.defaults:
            given[field.name] = select.defaults[field.name]
    return settings(**given)


def _take_apart(annotation: Any) -> tuple[Any, Any, Select | None]:
    """The type of a field, its declaration as a setting, and the selection from a nested dataclass."""
    base, *extras = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    info = next((x for x in extras if isinstance(x, OptionInfo | ArgumentInfo)), None)
    return base, info, next((x for x in extras if isinstance(x, Select)), None)


def _flag_name(field: str, info: Any) -> str:
    """Name of a setting: of `--input-topic` it is input_topic, whatever its field is called."""
    names = [x for x in (info.default, *(info.param_decls or ())) if isinstance(x, str) and x.startswith("--")]
    return names[0].strip("-").replace("-", "_") if names else field


def _describe(name: str, hints: Mapping[str, Any]) -> Any:
    """The annotation of a flag, completed by its variable's name and the placeholder for its value."""
    base, info, _ = _take_apart(hints[name])
    if info is None:
        return base
    info = copy(info)
    kinds = [x for x in get_args(base) if x is not type(None)] if get_origin(base) in (UnionType, Union) else [base]
    kind = get_args(kinds[0])[0] if get_origin(kinds[0]) is list else kinds[0]
    if isinstance(info, OptionInfo) and info.show_envvar:
        info.envvar = PREFIX + name.upper()
    if info.metavar is None:
        choices = "|".join(get_args(kind)) if get_origin(kind) is Literal else ""
        info.metavar = choices or ("SECONDS" if name.endswith("_seconds") else METAVARS.get(kind.__name__))
    return Annotated[base, info]


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _read_config(context: typer.Context, value: Path | None) -> Path | None:
    apply_config(context, value)
    return value
