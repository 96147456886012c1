"""Variables `HEARKEN_*` that nothing reads."""

import os
import re
from typing import Any

import typer

from consumers.cli.command_tree import commands_of
from consumers.common.settings import PREFIX, suggest

_FOREIGN = re.compile(
    r"HEARKEN_((\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT(_[0-9]+_\w+)?|REQUIRE_\w+|KAFKA_JARS|CHROMIUM|CHECK_KERNELS)"
)
"""Set by Kubernetes for a service named hearken, and by this repository's tests."""


def warn_unknown_variables(root: Any) -> None:
    """Warn on standard error of variables `HEARKEN_*` that set nothing: a typo would else go unnoticed."""
    from consumers.http.settings import TOKEN_VARIABLE
    from consumers.kafka.client.security import variable_names
    from encoder.cache_folder import VARIABLE as CACHE_VARIABLE

    known = {str(param.envvar) for _, command in commands_of(root) for param in command.params}
    known |= {TOKEN_VARIABLE, CACHE_VARIABLE, *variable_names()}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and not _FOREIGN.fullmatch(name):
            typer.echo(f"hearken: warning: {name} sets nothing{suggest(name, known)}", err=True)
