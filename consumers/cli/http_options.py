"""Flags about HTTP, for every command that serves it."""

from pathlib import Path
from typing import Annotated

import typer

from consumers.http.settings import DEFAULT_PORT

HttpHostOption = Annotated[
    str,
    typer.Option(
        envvar="HEARKEN_HTTP_HOST",
        help="Where HTTP listens; beyond this machine only with a token (HEARKEN_HTTP_TOKEN).",
    ),
]
HttpPortOption = Annotated[
    str | None,
    typer.Option(
        envvar="HEARKEN_HTTP_PORT",
        metavar="PORT|off",
        help=f"Port of HTTP (live page, health, metrics, labels); {DEFAULT_PORT} if not given, or off.",
    ),
]
HttpTokenFileOption = Annotated[
    Path | None,
    typer.Option(envvar="HEARKEN_HTTP_TOKEN_FILE", help="File that holds the token, in place of HEARKEN_HTTP_TOKEN."),
]
